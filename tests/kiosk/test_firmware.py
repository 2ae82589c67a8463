"""The reference firmware, compiled and run in simavr, against the real serial port, session and ballot box."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kiosk.panel import simulated
from kiosk.panel.desk import Panels
from kiosk.panel.frames import (
    Ack,
    FrameReader,
    FromPanel,
    Hello,
    Led,
    Press,
    ToPanel,
    Who,
    decode_from_panel,
    encode,
)
from tests.kiosk.bench import BoothBench, presses, until

BUILD = Path(__file__).parents[2] / "kiosk" / "firmware" / "build"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("firmware")
    subprocess.run([BUILD, folder, "--simulator"], check=True, timeout=120)
    return folder


class Chip:
    """The simulated chip: `line` is its pty; lamps and buzzer as last said; `log` all that was said, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.line = ""
        self.lamps = 0
        self.powered = 0
        self.log: list[str] = []

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    async def press(self, button: int, *, for_s: float = 0.06) -> None:
        self.tell(f"down {button}")
        await asyncio.sleep(for_s)
        self.tell(f"up {button}")

    async def listen(self) -> None:
        assert self._process.stdout is not None
        while raw := await self._process.stdout.readline():
            word, value = raw.decode().split()
            self.log.append(f"{word} {value}")
            match word:
                case "pty":
                    self.line = value
                case "lamps":
                    self.lamps = int(value)
                case "power":
                    self.powered = int(value)


@contextlib.asynccontextmanager
async def chip(built: Path, eeprom: Path) -> AsyncIterator[Chip]:
    process = await asyncio.create_subprocess_exec(
        built / "simulate", built / "panel.elf", eeprom, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    simulated = Chip(process)
    listening = asyncio.create_task(simulated.listen())
    try:
        await until(lambda: simulated.powered)
        yield simulated
    finally:
        simulated.tell("quit")
        await asyncio.wait_for(process.wait(), 10)
        await listening


@contextlib.asynccontextmanager
async def kiosk_at(line: str, bench: BoothBench) -> AsyncIterator[Panels]:
    panels = Panels([(line, 115_200)], bench.booth)
    task = asyncio.create_task(panels.run())
    try:
        await until(lambda: panels.desks[0].present)
        yield panels
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_each_button_is_one_vote_and_all_lamps_answer_alike(built: Path, tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with chip(built, tmp_path / "eeprom") as board, kiosk_at(board.line, bench):
        for button in range(1, 6):
            await board.press(button)
            await until(lambda: board.lamps == 31)
            assert len(presses(bench.journal)) == button
            await until(lambda: board.lamps == 0)
    assert [press.level for press in presses(bench.journal)] == [1, 2, 3, 4, 5]
    assert [line for line in board.log if line == "buzzer 1"] == ["buzzer 1"] * 5
    bench.close()


async def test_a_bouncing_contact_is_one_press_and_a_held_button_too(built: Path, tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with chip(built, tmp_path / "eeprom") as board, kiosk_at(board.line, bench):
        for _ in range(5):  # shorter than the debouncing
            board.tell("down 3")
            await asyncio.sleep(0.004)
            board.tell("up 3")
            await asyncio.sleep(0.004)
        await board.press(3, for_s=1.5)
        await until(lambda: len(presses(bench.journal)) == 1)
        await until(lambda: board.lamps == 0)
    assert [press.level for press in presses(bench.journal)] == [3]
    bench.close()


async def test_without_a_kiosk_nothing_lights_up_and_the_press_is_stored_later_once(
    built: Path, tmp_path: Path
) -> None:
    bench = BoothBench(tmp_path)
    async with chip(built, tmp_path / "eeprom") as board:
        async with kiosk_at(board.line, bench):
            pass
        await board.press(5)
        await asyncio.sleep(1.2)  # several repetitions into nobody's ear
        assert board.lamps == 0
        bench = bench.again()
        async with kiosk_at(board.line, bench):
            await until(lambda: board.lamps == 31)
    (press,) = presses(bench.journal)
    assert press.level == 5
    assert 1_000 <= press.age_ms < 10_000
    bench.close()


async def test_power_cycles_give_new_boots_to_the_same_panel(built: Path, tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    names: list[str] = []
    async with chip(built, tmp_path / "eeprom") as board, kiosk_at(board.line, bench) as panels:
        known: set[str] = set()

        def of_a_new_boot() -> bool:
            hello = panels.desks[0]._session.hello
            return hello is not None and hello.boot not in known

        for turn in range(1, 4):
            # Not before it has said hello: a button that is down while it powers up does not count.
            await until(of_a_new_boot)
            known.add(panels.desks[0]._session.hello.boot)  # type: ignore[union-attr]  # seen above
            await board.press(turn)
            await until(lambda wanted=turn: len(presses(bench.journal)) == wanted)  # type: ignore[misc]
            board.tell("cycle")
            await until(lambda wanted=turn + 1: board.powered == wanted)  # type: ignore[misc]
    names = [press.press for press in presses(bench.journal)]
    panels_seen, boots, seqs = zip(*(name.split("/") for name in names), strict=True)
    assert len(set(panels_seen)) == 1
    assert len(set(boots)) == 3
    assert set(seqs) == {"1"}
    bench.close()


async def test_a_button_down_at_power_up_counts_only_after_it_was_let_go(built: Path, tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with chip(built, tmp_path / "eeprom") as board, kiosk_at(board.line, bench) as panels:
        board.tell("hold 2")  # jammed from the first moment of the next power-up
        board.tell("cycle")
        await until(lambda: board.powered == 2 and panels.desks[0].present)
        await asyncio.sleep(0.3)
        assert presses(bench.journal) == []
        board.tell("up 2")
        await asyncio.sleep(0.1)
        await board.press(2)
        await until(lambda: len(presses(bench.journal)) == 1)
    bench.close()


async def test_a_full_queue_takes_no_press(built: Path, tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    async with chip(built, tmp_path / "eeprom") as board:
        async with kiosk_at(board.line, bench):
            pass
        for number in range(20):
            await board.press(1 + number % 5)
            await asyncio.sleep(0.05)
        bench = bench.again()
        async with kiosk_at(board.line, bench):
            await until(lambda: len(presses(bench.journal)) == 16)
            await until(lambda: board.lamps == 0)
    assert sorted(int(press.press.rsplit("/", 1)[1]) for press in presses(bench.journal)) == list(range(1, 17))
    bench.close()


@dataclass
class Heard:
    """What a panel said, heartbeats left out, and its lamps as they changed."""

    frames: list[FromPanel] = field(default_factory=list)
    lamps: list[int] = field(default_factory=list)

    def gist(self) -> list[tuple[object, ...]]:
        """Presses by number, button and repetition (its age in whole repeat intervals); hellos by their buttons."""
        said: list[tuple[object, ...]] = []
        for frame in self.frames:
            match frame:
                case Press(_, seq, button, age_ms):
                    said.append(("press", seq, button, round(age_ms / simulated.REPEAT_MS)))
                case Hello(_, _, buttons):
                    said.append(("hello", buttons))
                case _:
                    pass
        return said


# One script for both: (at ms, what). Acknowledging names the press; the boot is the panel's own.
SCRIPT: list[tuple[int, str, int]] = [
    (300, "press", 2),
    (950, "ack", 1),
    (1_000, "who", 0),
    (2_500, "press", 5),
    (2_560, "press", 1),
    (2_900, "ack", 3),
    (3_100, "ack", 2),
    (3_120, "ack", 2),
    (4_700, "led", 5),
    (5_200, "led", 0),
]
END_MS = 5_500


async def run_chip(built: Path, eeprom: Path) -> Heard:
    heard, reader, boot = Heard(), FrameReader(), ""
    async with chip(built, eeprom) as board:
        line = os.open(board.line, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        began = asyncio.get_running_loop().time()
        script = list(SCRIPT)
        while (now_ms := (asyncio.get_running_loop().time() - began) * 1000) < END_MS:
            with contextlib.suppress(BlockingIOError):
                for body in reader.feed(os.read(line, 4096)):
                    message = decode_from_panel(body)
                    assert message is not None, body
                    boot = message.boot
                    heard.frames.append(message)
            if script and now_ms >= script[0][0]:
                _, what, value = script.pop(0)
                if what == "press":
                    await board.press(value, for_s=0.04)
                else:
                    os.write(line, encode(to_panel(what, value, boot)))
            await asyncio.sleep(0.002)
        os.close(line)
        heard.lamps = [int(said.split()[1]) for said in board.log if said.startswith("lamps")]
    return heard


def run_simulated() -> Heard:
    heard = Heard()
    state, said = simulated.power_up("P-1", "0000000A", 5, now_ms=0)
    heard.frames += said
    script, lamps = list(SCRIPT), 0
    for now_ms in range(END_MS):
        said = []
        while script and now_ms >= script[0][0]:
            _, what, value = script.pop(0)
            if what == "press":
                state, said = simulated.press(state, value, now_ms=now_ms)
            else:
                state, said = simulated.hear(state, [to_panel(what, value, state.boot)], now_ms=now_ms)
            heard.frames += said
        state, said = simulated.tick(state, now_ms=now_ms)
        heard.frames += said
        if (now := simulated.lamps(state, now_ms=now_ms)) != lamps:
            lamps = now
            heard.lamps.append(now)
    return heard


def to_panel(what: str, value: int, boot: str) -> ToPanel:
    match what:
        case "ack":
            return Ack(boot, value)
        case "led":
            return Led(value, 1 if value else 0)
        case _:
            return Who()


@pytest.mark.alone
async def test_the_simulated_panel_says_and_shows_what_the_firmware_does(built: Path, tmp_path: Path) -> None:
    real, made_up = await run_chip(built, tmp_path / "eeprom"), run_simulated()
    assert real.gist() == made_up.gist()
    assert real.lamps == made_up.lamps == [31, 0, 31, 0, 5, 0]
