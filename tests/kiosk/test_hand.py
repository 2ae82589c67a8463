"""`commune panel`: the real command behind its socket and its pty, and the terminal under a person's fingers."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from bus.errors import UnavailableError, WrongInputError
from bus.unix_sockets import connect_to
from kiosk.panel import command
from kiosk.panel.bench import Command, Seen
from kiosk.panel.desk import Panels
from kiosk.panel.hand import HandPanel, Lamp
from tests.kiosk.bench import BoothBench, presses, until


async def test_keys_press_and_lamps_are_shown() -> None:
    told: list[Command] = []
    app = HandPanel(told.append, language="vi")
    async with app.run_test(size=(100, 24)) as pilot:
        await app.show(Seen("/dev/pts/9", True, 5, 0, False, 0, 0, 0))
        await pilot.press("2", "5", "u", "c")
        assert [(one.do, one.button) for one in told] == [("press", 2), ("press", 5), ("unplug", 1), ("cycle", 1)]
        assert not app.query(".lit")
        await app.show(Seen("/dev/pts/9", True, 5, 31, True, 0, 2, 2))
        assert len(app.query(".lit")) == 5
        assert str(app.query(Lamp).first().render()).endswith("Rất hài lòng")
        await app.show(Seen("/dev/pts/9", False, 5, 0, False, 0, 2, 2))
        await pilot.press("u")
        assert told[-1].do == "plug"


async def test_a_panel_of_its_own_process_is_driven_by_its_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)  # a state folder may lie deeper than the kernel takes for a socket's path
    deep.mkdir()
    link, control = tmp_path / "panel", deep / "panel.sock"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kiosk.panel.command", "--headless"),
        *("--link", str(link), "--control", str(control), "--id", "P-7", "--buttons", "3"),
    )
    bench = BoothBench(tmp_path)
    panels = Panels([(str(link), 115_200)], bench.booth)
    try:
        await until(lambda: link.exists() and control.exists())
        serving = asyncio.create_task(panels.run())
        await until(lambda: panels.desks[0].present)
        reader, writer = await asyncio.open_unix_connection(sock=connect_to(control))
        writer.write(b'{"do":"press","button":3}\n{"do":"dance"}\n')
        seen: list[Seen] = []
        errors = 0
        while not seen or seen[-1].lamps != 7:
            line = await asyncio.wait_for(reader.readline(), 10)
            if b'"error"' in line:
                errors += 1
            else:
                seen.append(msgspec.json.decode(line, type=Seen))
        assert errors == 1
        assert [(press.press[:3], press.level, press.levels) for press in presses(bench.journal)] == [("P-7", 3, 3)]
        writer.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 0
        bench.close()
    assert not link.is_symlink()


def test_wrong_words_are_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match="--link PATH"):
        command.main([])
    with pytest.raises(UnavailableError, match="no panel answers"):
        command.main(["--attach", str(tmp_path / "nobody.sock")])
