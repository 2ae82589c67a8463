"""The screen's own process in a real terminal, started by a real kiosk: it may crash or hang, and votes go on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from kiosk.config import ScreenConfig
from kiosk.panel.bench import PanelBench
from tests.kiosk.bench import until
from tests.kiosk.resident import ResidentKiosk, nowhere, plugged_in
from tests.kiosk.test_panel import panel_at
from tests.tmux import Terminal, terminal


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[PanelBench]:
    async with panel_at(tmp_path / "line") as made:
        yield made


async def vote(panel: PanelBench) -> None:
    before = panel.state.acknowledged
    panel.press(1)
    await until(lambda: panel.state.acknowledged > before, what="the panel lights up")


def screens(kiosk: ResidentKiosk) -> list[psutil.Process]:
    """The screen processes of this kiosk that live, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "kiosk.screen" in words and str(kiosk.state / "screen.sock") in words:
            found.append(process)
    return found


async def shown(window: Terminal, words: str, *, within_s: float = 20) -> None:
    await asyncio.to_thread(window.wait_for, lambda text: words in text, within_s=within_s)


@pytest.mark.parametrize("term", ["linux", "xterm-256color"])
async def test_pictures_reach_a_real_terminal(tmp_path: Path, panel: PanelBench, term: str) -> None:
    with terminal(tmp_path, columns=50, rows=15) as window:
        window.start(["sleep", "1000"])
        kiosk = ResidentKiosk(tmp_path, nowhere(), screen=ScreenConfig(enabled=True, tty=window.tty(), term=term))
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            await shown(window, "Ông/bà có hài lòng với việc")
            await shown(window, "Mạng đang gián đoạn; quầy vẫn phục vụ.")
            assert "▄█████▄" in window.text()
            await vote(panel)
            await shown(window, "Xin cảm ơn! Ý kiến của")
            await shown(window, "Ông/bà có hài lòng với việc")
            await kiosk.stop()
            assert not screens(kiosk)
        finally:
            await kiosk.kill()


async def test_a_screen_that_is_killed_or_hangs_is_started_again_and_presses_go_on(
    tmp_path: Path, panel: PanelBench
) -> None:
    with terminal(tmp_path, columns=50, rows=15) as window:
        window.start(["sleep", "1000"])
        kiosk = ResidentKiosk(tmp_path, nowhere(), screen=ScreenConfig(enabled=True, tty=window.tty()))
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            await shown(window, "Ông/bà có hài lòng")
            for number in (signal.SIGKILL, signal.SIGSTOP):
                (screen,) = screens(kiosk)
                os.kill(screen.pid, number)
                await vote(panel)
                await until(
                    lambda old=screen.pid: [one.pid for one in screens(kiosk)] not in ([], [old]),  # type: ignore[misc]
                    within_s=30,
                    what="a new screen",
                )
                await shown(window, "Ông/bà có hài lòng")
                await vote(panel)
                await shown(window, "Xin cảm ơn!")
            assert "screen hangs" in kiosk.said()
            await kiosk.stop()
        finally:
            await kiosk.kill()
    assert len(kiosk.presses()) == 4


async def test_a_screen_does_not_outlive_its_kiosk(tmp_path: Path, panel: PanelBench) -> None:
    """Else the next kiosk's screen and the last one's would draw on the same console."""
    with terminal(tmp_path, columns=50, rows=15) as window:
        window.start(["sleep", "1000"])
        kiosk = ResidentKiosk(tmp_path, nowhere(), screen=ScreenConfig(enabled=True, tty=window.tty()))
        await kiosk.start()
        try:
            await shown(window, "Mạng đang gián đoạn")
        finally:
            await kiosk.kill()
        await until(lambda: not screens(kiosk), within_s=15, what="the screen has ended")


async def test_another_screen_does_not_speak_for_one_that_hangs(tmp_path: Path, panel: PanelBench) -> None:
    with terminal(tmp_path, columns=50, rows=15) as window:
        window.start(["sleep", "1000"])
        kiosk = ResidentKiosk(tmp_path, nowhere(), screen=ScreenConfig(enabled=True, tty=window.tty()))
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            await shown(window, "Ông/bà có hài lòng")
            (screen,) = screens(kiosk)
            _, writer = await asyncio.open_unix_connection(str(kiosk.state / "screen.sock"))
            os.kill(screen.pid, signal.SIGSTOP)
            end = asyncio.get_running_loop().time() + 30
            while "screen hangs" not in kiosk.said():
                assert asyncio.get_running_loop().time() < end
                writer.write(b"alive 1\n")
                await asyncio.sleep(0.2)
            writer.close()
            await writer.wait_closed()
            await kiosk.stop()
        finally:
            await kiosk.kill()
