"""Panels on real lines: a pty stands for the USB serial device, as the kernel's tty layer is the same."""

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import serial

from bus.errors import UnavailableError
from kiosk.flow import View
from kiosk.panel.bench import PanelBench
from kiosk.panel.desk import Panels
from kiosk.panel.frames import Ack, FrameReader, Hello, Press, decode_from_panel, decode_to_panel, encode
from tests.evidence import rounds
from tests.kiosk.bench import BoothBench, presses, until

BOOT = "0000000A"


@contextlib.asynccontextmanager
async def serving(panels: Panels) -> AsyncIterator[None]:
    task = asyncio.create_task(panels.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def panel_at(link: Path, name: str = "P-1") -> AsyncIterator[PanelBench]:
    bench = PanelBench(link, panel=name, buttons=5)
    task = asyncio.create_task(bench.run())
    try:
        await until(link.exists)
        yield bench
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Line:
    """A panel spoken by hand: the master end of a pty."""

    def __init__(self) -> None:
        self.master, held = os.openpty()
        tty.setraw(held)
        self.path = os.ttyname(held)
        self._held = held
        os.set_blocking(self.master, False)
        self._reader = FrameReader()

    def say(self, data: bytes) -> None:
        os.write(self.master, data)

    def acks(self) -> list[Ack]:
        try:
            data = os.read(self.master, 65536)
        except BlockingIOError:
            return []
        heard = [decode_to_panel(body) for body in self._reader.feed(data)]
        return [message for message in heard if isinstance(message, Ack)]

    def close(self) -> None:
        os.close(self.master)
        os.close(self._held)


async def test_a_press_lights_the_panel_up_once_it_is_on_disk(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with panel_at(tmp_path / "line") as panel:
        panels = Panels([(str(panel.link), 115_200)], bench.booth)
        async with serving(panels):
            await until(lambda: panels.desks[0].present)
            panel.press(2)
            assert panel.seen().lamps == 0
            await until(lambda: panel.seen().lamps == 31)
            assert [(press.press.split("/")[0], press.level) for press in presses(bench.journal)] == [("P-1", 2)]
            assert bench.booth.picture.view is View.THANKS
    bench.close()


async def test_presses_that_the_disk_refuses_are_counted_and_light_nothing_until_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = BoothBench(tmp_path)
    refused: Future[Any] = Future()
    refused.set_exception(UnavailableError("no room"))
    async with panel_at(tmp_path / "line") as panel:
        panels = Panels([(str(panel.link), 115_200)], bench.booth)
        async with serving(panels):
            await until(lambda: panels.desks[0].present)
            with monkeypatch.context() as patched:
                patched.setattr(bench.journal, "append", lambda *_, **__: refused)
                panel.press(2)
                await until(lambda: panels.desks[0].refused_writes >= 2)  # the panel repeats it
                assert panel.seen().lamps == 0
            await until(lambda: panel.seen().lamps == 31)
    assert [press.level for press in presses(bench.journal)] == [2]
    bench.close()


async def test_unplugged_under_load_and_replugged_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    chance = random.Random(7)
    async with panel_at(tmp_path / "line") as panel:
        panels = Panels([(str(panel.link), 115_200)], bench.booth)
        acknowledged = 0
        async with serving(panels):
            for _ in range(6):
                await until(lambda: panels.desks[0].present)
                for _ in range(10):
                    panel.press(chance.randint(1, 5))
                    await asyncio.sleep(chance.random() * 0.01)
                acknowledged += panel.seen().acknowledged  # what this power-up was told, presses in flight may be more
                panel.unplug()
                await until(lambda: bench.booth.picture.view in (View.NO_PANEL, View.THANKS))
                await until(lambda: not panels.desks[0].present)
                panel.plug()
            await until(lambda: panels.desks[0].present)
            panel.press(1)
            await until(lambda: panel.seen().acknowledged == 1)
        stored = [press.press for press in presses(bench.journal)]
        assert len(stored) == len(set(stored))
        assert acknowledged + 1 <= len(stored) <= 61
        assert panels.desks[0].port.counters.lost == 6
    bench.close()


async def test_the_picture_says_that_the_panel_is_gone(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with panel_at(tmp_path / "line") as panel:
        panels = Panels([(str(panel.link), 115_200)], bench.booth)
        async with serving(panels):
            await until(lambda: bench.booth.picture.view is View.IDLE and panels.desks[0].present)
            panel.unplug()
            await until(lambda: bench.booth.picture.view is View.NO_PANEL)
    bench.close()


async def test_two_panels_at_one_kiosk_do_not_mix(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with panel_at(tmp_path / "a", "P-A") as one, panel_at(tmp_path / "b", "P-B") as other:
        panels = Panels([(str(one.link), 115_200), (str(other.link), 115_200)], bench.booth)
        async with serving(panels):
            await until(lambda: all(desk.present for desk in panels.desks))
            one.press(1)
            other.press(5)
            await until(lambda: (one.seen().acknowledged, other.seen().acknowledged) == (1, 1))
            one.unplug()
            await until(lambda: not panels.desks[0].present)
            assert bench.booth.picture.view is not View.NO_PANEL
    assert sorted((press.press[:3], press.level) for press in presses(bench.journal)) == [("P-A", 1), ("P-B", 5)]
    bench.close()


async def test_a_second_process_cannot_take_the_line(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with panel_at(tmp_path / "line") as panel:
        panels = Panels([(str(panel.link), 115_200)], bench.booth)
        async with serving(panels):
            await until(lambda: panels.desks[0].present)
            with pytest.raises(serial.SerialException, match="exclusively lock"):
                await asyncio.to_thread(serial.Serial, str(panel.link), exclusive=True)
    bench.close()


async def test_noise_and_half_lines_between_frames_invent_nothing_and_lose_nothing(tmp_path: Path) -> None:
    bench, line, chance = BoothBench(tmp_path), Line(), random.Random(11)
    panels = Panels([(line.path, 115_200)], bench.booth)
    heard: set[int] = set()
    async with serving(panels):
        await until(lambda: panels.desks[0].port.counters.opened)
        line.say(encode(Press(BOOT, 99, 1, 0)))  # before hello: no press, no acknowledgement
        line.say(encode(Hello("P-N", BOOT, 5)))
        for seq in range(1, 101):
            whole = encode(Press(BOOT, seq, 1 + seq % 5, 0))
            line.say(chance.randbytes(chance.randint(0, 40)).replace(b"\r", b"?"))
            line.say(whole[: chance.randint(0, len(whole) - 1)])
            line.say(b"\r\n" + whole)
            await asyncio.sleep(0)
        while heard < set(range(1, 101)):
            heard |= {ack.seq for ack in line.acks()}
            await asyncio.sleep(0.01)
    assert heard == set(range(1, 101))
    assert sorted(int(press.press.rsplit("/", 1)[1]) for press in presses(bench.journal)) == list(range(1, 101))
    assert panels.desks[0].reader.noise_bytes > 0
    line.close()
    bench.close()


async def test_the_wrong_baud_rate_is_no_panel_and_no_press(tmp_path: Path) -> None:
    bench, line = BoothBench(tmp_path), Line()
    panels = Panels([(line.path, 115_200)], bench.booth)
    async with serving(panels):
        await until(lambda: panels.desks[0].port.counters.opened)
        # What a UART sampling at another rate makes of frames: every bit pattern but the right one.
        for seq in range(50):
            sheared = bytes((byte << 1 & 0xF7) | 0x81 for byte in encode(Press(BOOT, seq, 1, 0)))
            line.say(sheared)
        desk = panels.desks[0]
        await until(lambda: desk.reader.noise_bytes > 500)
        assert not desk.present
    assert presses(bench.journal) == []
    line.close()
    bench.close()


async def test_a_line_that_takes_nothing_is_opened_anew_and_the_kiosk_never_waits(tmp_path: Path) -> None:
    bench, line = BoothBench(tmp_path), Line()
    panels = Panels([(line.path, 115_200)], bench.booth)
    async with serving(panels):
        port = panels.desks[0].port
        await until(lambda: port.counters.opened)
        written = 0
        # Nobody reads the other end: fill it until the kernel takes no more.
        while port.counters.lost == 0:
            written += port.write(b"x" * 80)
            assert written < 100_000
        assert port.counters.stuck_writes >= 40
        await until(lambda: port.counters.opened == 2)
    line.close()
    bench.close()


async def test_pressed_while_the_kiosk_is_away_is_stored_once_when_it_is_back(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with panel_at(tmp_path / "line") as panel:
        async with serving(first := Panels([(str(panel.link), 115_200)], bench.booth)):
            await until(lambda: first.desks[0].present)
        panel.press(4)  # the kiosk is dead
        await until(lambda: panel.seen().waiting == 1)
        bench = bench.again()
        async with serving(Panels([(str(panel.link), 115_200)], bench.booth)):
            await until(lambda: panel.seen().acknowledged == 1)
    assert [press.level for press in presses(bench.journal)] == [4]
    bench.close()


@pytest.mark.prove
def test_a_million_random_and_mutated_lines_invent_no_press(evidence: Callable[[str], None]) -> None:
    lines = rounds(small=60_000, full=1_000_000)
    chance = random.Random(20261124)
    true = [encode(Press(BOOT, seq, 1 + seq % 5, seq % 1000)) for seq in range(500)]
    known = {decode_from_panel(line[1:-7]) for line in true}
    reader, sound = FrameReader(), 0
    for number in range(lines):
        line = bytearray(chance.choice(true)) if number % 4 else bytearray(chance.randbytes(chance.randint(1, 90)))
        for _ in range(chance.randint(1, 4)):
            line[chance.randrange(len(line))] = chance.randrange(256)
        for body in reader.feed(bytes(line)):
            sound += 1
            message = decode_from_panel(body)
            assert message is None or message in known, f"invented {message} from {bytes(line)!r}"
    evidence(f"{lines:,} random and mutated lines at the serial reader: no crash, {sound} sound frames, none invented")
