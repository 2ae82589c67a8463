"""What a kiosk takes of the box's memory: the real `commune kiosk` with its text screen on a real terminal of 120x33.

Memory is the proportional set (PSS) of both processes, after a first press. Then 480 presses, one for each minute of
an eight-hour day, as fast as the disk takes them, and what that added once all is still again.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from benchmarks.report import Bound, Row
from kiosk.config import PageConfig, ScreenConfig
from kiosk.panel.bench import PanelBench
from tests.kiosk.bench import until
from tests.kiosk.resident import ResidentKiosk, nowhere, page_at, plugged_in
from tests.tmux import Terminal, terminal

_MB: Final = 1_000_000
_PRESSES: Final = 480
_STILL_S: Final = 5.0  # the thanks are over, and a second look of the screen has been answered


def run(scale: float) -> list[Row]:
    """Without the touch page, which the small box does not serve, and with it."""
    presses = max(20, round(_PRESSES * scale))
    plain, grown = _measure(PageConfig(), presses)
    paged, _ = _measure(page_at(), 1)
    within = (Bound("value", at_most=60),)
    return [
        Row("PSS of kiosk and screen", sum(plain) / _MB, "MB", bounds=within),
        Row("of which the screen", plain[1] / _MB, "MB"),
        Row("PSS of kiosk and screen, touch page served too", sum(paged) / _MB, "MB"),
        Row(f"growth over {presses} presses", grown / _MB, "MB", bounds=(Bound("value", at_most=1),)),
    ]


def _measure(page: PageConfig, presses: int) -> tuple[tuple[int, int], int]:
    """PSS of kiosk and screen after the first press, and what `presses` more of them added, in bytes."""
    with tempfile.TemporaryDirectory() as folder, terminal(Path(folder), columns=120, rows=33) as window:
        window.start(["sleep", "100000"])
        return asyncio.run(_live(Path(folder), window, page, presses))


async def _live(folder: Path, window: Terminal, page: PageConfig, presses: int) -> tuple[tuple[int, int], int]:
    panel = PanelBench(folder / "line", panel="P-1", buttons=5)
    playing = asyncio.create_task(panel.run())
    await until((folder / "line").exists)
    kiosk = ResidentKiosk(folder, nowhere(), screen=ScreenConfig(enabled=True, tty=window.tty()), page=page)
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        await asyncio.to_thread(window.wait_for, lambda text: "█" in text)
        await _press(panel, 1)
        await asyncio.sleep(_STILL_S)
        before = _pss(kiosk)
        await _press(panel, presses)
        await asyncio.sleep(_STILL_S)
        return before, sum(_pss(kiosk)) - sum(before)
    finally:
        await kiosk.stop()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def _press(panel: PanelBench, count: int) -> None:
    for number in range(count):
        before, end = panel.state.acknowledged, time.monotonic() + 10
        panel.press(number % 5 + 1)
        while panel.state.acknowledged == before:
            if time.monotonic() > end:
                raise TimeoutError("a press was not acknowledged within 10 s")
            await asyncio.sleep(0.002)


def _pss(kiosk: ResidentKiosk) -> tuple[int, int]:
    assert kiosk.process is not None
    resident = psutil.Process(kiosk.process.pid)
    (screen,) = (child for child in resident.children() if "kiosk.screen" in child.cmdline())
    return resident.memory_full_info().pss, screen.memory_full_info().pss
