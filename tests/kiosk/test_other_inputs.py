"""The keypad and the badge scanner, each on the kernel's own file: a FIFO of input events, a pty of lines."""

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.entries import OfficerOnDuty
from bus.errors import UnavailableError
from kiosk.badge import BadgeReader
from kiosk.flow import View
from kiosk.keypad import EVENT, Keypad
from kiosk.settings import Officer
from tests.kiosk.bench import ALWAYS_OPEN, BoothBench, presses, records, until

KEYS = [79, 80, 81, 75, 76]


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def key(code: int, value: int) -> bytes:
    return EVENT.pack(1_764_000_000, 0, 1, code, value) + EVENT.pack(1_764_000_000, 0, 0, 0, 0)


async def test_keys_are_presses_and_holding_one_down_is_one_press(tmp_path: Path) -> None:
    bench, fifo = BoothBench(tmp_path), tmp_path / "event0"
    os.mkfifo(fifo)
    keypad = Keypad(str(fifo), KEYS, bench.booth, name="s0001-kiosk-1-keypad")
    async with running(keypad.run()):
        await until(lambda: keypad.present)
        writer = os.open(fifo, os.O_WRONLY)
        stream = key(80, 1) + key(80, 2) * 3 + key(80, 0) + key(30, 1) + key(76, 1)
        for at in range(0, len(stream), 17):  # events torn anywhere
            os.write(writer, stream[at : at + 17])
            await asyncio.sleep(0)
        await until(lambda: len(presses(bench.journal)) == 2)
        os.close(writer)
    assert [(press.level, press.source) for press in presses(bench.journal)] == [(2, "keypad"), (5, "keypad")]
    assert presses(bench.journal)[0].press.startswith("s0001-kiosk-1-keypad/")
    bench.close()


async def test_a_keypad_unplugged_and_back_names_its_presses_anew(tmp_path: Path) -> None:
    bench, fifo = BoothBench(tmp_path), tmp_path / "event0"
    os.mkfifo(fifo)
    keypad = Keypad(str(fifo), KEYS, bench.booth, name="k")
    async with running(keypad.run()):
        for count in (1, 2):
            await until(lambda: keypad.present)
            writer = os.open(fifo, os.O_WRONLY)
            os.write(writer, key(79, 1))
            await until(lambda wanted=count: len(presses(bench.journal)) == wanted)  # type: ignore[misc]
            os.close(writer)
            await asyncio.sleep(0)
    names = [press.press for press in presses(bench.journal)]
    assert len(set(names)) == 2
    bench.close()


async def test_the_picture_has_the_keypads_levels_and_says_that_it_is_gone(tmp_path: Path) -> None:
    bench, fifo = BoothBench(tmp_path), tmp_path / "event0"
    keypad = Keypad(str(fifo), KEYS[:3], bench.booth, name="k")
    async with running(keypad.run()):
        await until(lambda: bench.booth.picture.view is View.NO_PANEL)
    os.mkfifo(fifo)
    async with running(keypad.run()):
        await until(lambda: bench.booth.picture.view is View.IDLE)
        assert [level.face for level in bench.booth.picture.levels] == [1, 3, 5]
        writer = os.open(fifo, os.O_WRONLY)
        os.write(writer, key(81, 1))
        await until(lambda: presses(bench.journal))
        os.close(writer)
    assert [(press.level, press.levels) for press in presses(bench.journal)] == [(3, 3)]
    bench.close()


async def test_a_path_that_cannot_be_waited_for_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kiosk.keypad._REOPEN_S", 0.01)
    bench, path = BoothBench(tmp_path), tmp_path / "event0"
    path.write_bytes(key(79, 1))
    keypad = Keypad(str(path), KEYS, bench.booth, name="k")
    async with running(keypad.run()):
        await until(lambda: "keypad does not serve" in caplog.text)
        assert not keypad.present
        path.unlink()
        os.mkfifo(path)
        await until(lambda: keypad.present)
    bench.close()


async def test_a_keypad_that_another_has_grabbed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.keypad._REOPEN_S", 0.01)
    bench, fifo = BoothBench(tmp_path), tmp_path / "event0"
    os.mkfifo(fifo)
    answers, asked = [errno.EBUSY, errno.EBUSY, errno.EINVAL], list[bool]()
    keypad = Keypad(str(fifo), KEYS, bench.booth, name="k")

    def ioctl(*_: object) -> None:
        asked.append(keypad.present)
        number = answers.pop(0)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    async with running(keypad.run()):
        await until(lambda: keypad.present)
    assert asked == [False] * 3
    bench.close()


async def test_presses_of_a_keypad_that_the_disk_refuses_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, fifo = BoothBench(tmp_path), tmp_path / "event0"
    os.mkfifo(fifo)
    refused: Future[Any] = Future()
    refused.set_exception(UnavailableError("no room"))
    monkeypatch.setattr(bench.journal, "append", lambda *_, **__: refused)
    keypad = Keypad(str(fifo), KEYS, bench.booth, name="k")
    async with running(keypad.run()):
        await until(lambda: keypad.present)
        writer = os.open(fifo, os.O_WRONLY)
        os.write(writer, key(79, 1))
        await until(lambda: keypad.refused_writes == 1)
        os.close(writer)
    bench.close()


async def test_a_scanner_unplugged_while_it_is_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyserial passes the kernel's word on as `termios.error`, which is no OSError."""
    bench = BoothBench(tmp_path, msgspec.structs.replace(ALWAYS_OPEN, officers=[Officer("CB-07", "Hoa", "77")]))
    master, held = os.openpty()
    path, set_attributes = tmp_path / "scanner", termios.tcsetattr
    path.symlink_to(os.ttyname(held))
    os.close(held)

    def unplugged(*arguments: Any) -> None:
        nonlocal master
        if master >= 0:
            os.close(master)  # the line hangs up
            master = -1
        set_attributes(*arguments)

    monkeypatch.setattr(termios, "tcsetattr", unplugged)
    reader = BadgeReader(str(path), bench.booth, baud=9600)
    async with running(reader.run()):
        await until(lambda: reader.port.counters.failed_opens)
        again, held = os.openpty()
        path.unlink()
        path.symlink_to(os.ttyname(held))
        await until(lambda: reader.port.counters.opened)
        os.write(again, b"77\r\n")
        await until(lambda: bench.booth.box.officer == "CB-07")
    os.close(again)
    os.close(held)
    bench.close()


async def test_badges_sign_on_and_off_and_strangers_change_nothing(tmp_path: Path) -> None:
    officers = [Officer("CB-07", "Nguyễn Thị Hoa", "0004512377"), Officer("CB-08", "Lò Văn Minh", "0004512378")]
    bench = BoothBench(tmp_path, msgspec.structs.replace(ALWAYS_OPEN, officers=officers))
    master, held = os.openpty()
    reader = BadgeReader(os.ttyname(held), bench.booth, baud=9600, still_held_ms=0)
    async with running(reader.run()):
        await until(lambda: reader.port.counters.opened)
        os.write(master, b"0004512377\r\n")
        await until(lambda: bench.booth.box.officer == "CB-07")
        os.write(master, b"9999\r")
        await until(lambda: reader.unknown == 1)
        assert bench.booth.box.officer == "CB-07"
        os.write(master, b"0004512378\n")
        await until(lambda: bench.booth.box.officer == "CB-08")
        os.write(master, b"0004512378\n")
        await until(lambda: bench.booth.box.officer == "")
    duties = [data for _, data in records(bench.journal) if isinstance(data, OfficerOnDuty)]
    assert [duty.officer for duty in duties] == ["CB-07", "CB-08", ""]
    assert "0004512377" not in "".join(str(data) for _, data in records(bench.journal))
    os.close(master)
    os.close(held)
    bench.close()


async def test_a_badge_held_at_the_reader_signs_on_once(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path, msgspec.structs.replace(ALWAYS_OPEN, officers=[Officer("CB-07", "Hoa", "77")]))
    master, held = os.openpty()
    reader = BadgeReader(os.ttyname(held), bench.booth, baud=9600)
    async with running(reader.run()):
        await until(lambda: reader.port.counters.opened)
        os.write(master, b"77\r\n" * 4 + b"none\r\n")
        await until(lambda: reader.unknown == 1 and bench.booth.box.officer == "CB-07")
    duties = [data for _, data in records(bench.journal) if isinstance(data, OfficerOnDuty)]
    assert [duty.officer for duty in duties] == ["CB-07"]
    os.close(master)
    os.close(held)
    bench.close()
