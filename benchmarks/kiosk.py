"""From the finger to the lamp: one press through the whole kiosk, and what the kiosk weighs.

A real `commune kiosk` on a real pty, alone on its disk, its broker out of reach (as when the network is down). The
bench is the panel: it writes a `$CEBTN` frame and waits for the `$CEACK` that may be sent only once the press is on
disk. The peer answers on a pty of its own and does the least that is durable: it reads the frame, writes the same
number of bytes as the journal's entry takes, fdatasync, and answers. Both run turn about, on the same file system.
The second peer is the write and fdatasync alone, without any line.
"""

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec

from benchmarks.report import Bound, Row
from bus.config import BrokerConfig, DeviceConfig
from bus.envelope import SigningKey
from bus.unix_sockets import connect_to
from kiosk.config import KioskConfig, KioskFile, PanelConfig, ScreenConfig
from kiosk.panel.frames import Ack, FrameReader, Hello, Press, Who, decode_to_panel, encode
from kiosk.settings import KioskSettings
from provisioning.toml import write_config

_PRESSES: Final = 1_000
_PRESSES_A_PICTURE: Final = 5
# Eight hours of an office with a press each five seconds, far more than any counter sees.
_DAY_PRESSES: Final = 5_760
_WARM_PRESSES: Final = 600
_ENTRY_BYTES: Final = 420
_MB: Final = 1_000_000
_LIMIT_S: Final = 10.0


def run(scale: float) -> list[Row]:
    """Latency with nothing else to do, then a day's presses in one go, weighed before and after."""
    count, day = max(100, int(_PRESSES * scale)), max(600, int(_DAY_PRESSES * scale))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        panel = stack.enter_context(_Panel())
        kiosk = stack.enter_context(_kiosk(folder, panel.line, screen=False))
        panel.say_hello()
        picture = stack.enter_context(_Screen(folder / "state" / "screen.sock"))
        floor = stack.enter_context(_Floor(folder / "floor"))
        bare = stack.enter_context(_Bare(folder / "bare"))
        times = _in_turn(panel, picture, floor, bare, count)
        growth = _growth(kiosk.pid, panel, picture, day)
    return [*_latency(times), *growth, _weight()]


@dataclass(slots=True)
class _Times:
    acknowledged: list[float]
    pictured: list[float]
    floor: list[float]
    bare: list[float]


def _latency(times: _Times) -> list[Row]:
    line, bare = "pty and bare write + fdatasync", "bare write + fdatasync"
    acknowledged, pictured = _quantile(times.acknowledged, 0.99), _quantile(times.pictured, 0.99)
    bounds = (Bound("value", at_most=50), Bound("ratio", at_most=1.5))
    return [
        Row("press to acknowledgement, p50", _half(times.acknowledged), "ms", line, _half(times.floor)),
        Row("press to acknowledgement, p99", acknowledged, "ms", line, _quantile(times.floor, 0.99), bounds),
        Row("press to acknowledgement, p99", acknowledged, "ms", bare, _quantile(times.bare, 0.99)),
        Row("press to picture, p50", _half(times.pictured), "ms"),
        Row("press to picture, p99", pictured, "ms", bounds=(Bound("value", at_most=100),)),
    ]


def _in_turn(panel: "_Panel", picture: "_Screen", floor: "_Floor", bare: "_Bare", count: int) -> _Times:
    times = _Times([], [], [], [])
    for number in range(count):
        # The thanks are a new picture only after an idle one, which takes its second to come back.
        new_picture = number % _PRESSES_A_PICTURE == 0
        if new_picture:
            picture.until_idle()
        begun = time.perf_counter()
        panel.press(number % 5 + 1)
        times.acknowledged.append((panel.acknowledged() - begun) * 1000)
        if new_picture:
            times.pictured.append((picture.thanked() - begun) * 1000)
        picture.drain()
        times.floor.append(floor.press() * 1000)
        times.bare.append(bare.write() * 1000)
    return times


def _growth(pid: int, panel: "_Panel", picture: "_Screen", presses: int) -> list[Row]:
    """Presses one after the other, each button in turn: flags, replaced votes and pictures are all in it.

    Of its own pages alone: the share in others' pages moves as other processes come and go.
    """

    def press(count: int) -> None:
        for number in range(count):
            panel.press(number % 5 + 1)
            panel.acknowledged()
            picture.drain()

    press(_WARM_PRESSES)
    before = _memory(pid, "Anonymous")
    press(presses)
    grown = (_memory(pid, "Anonymous") - before) / _MB
    return [Row(f"growth over {presses:,} presses (8 hours)", grown, "MB", bounds=(Bound("value", at_most=1),))]


def _weight() -> Row:
    """Kiosk and screen, the screen on a console of its own."""
    with tempfile.TemporaryDirectory() as name, _Panel() as panel, _Console() as console:
        folder = Path(name)
        with _kiosk(folder, panel.line, screen=True, tty=console.line) as kiosk:
            panel.say_hello()
            panel.press(1)
            panel.acknowledged()
            console.read_for(8.0)
            panel.beat()
            pids = [kiosk.pid, *_children(kiosk.pid)]
            if len(pids) < 2:
                raise RuntimeError("the screen does not run")
            total = sum(_memory(pid, "Pss") for pid in pids) / _MB
    return Row("PSS of kiosk and screen", total, "MB", bounds=(Bound("value", at_most=60),))


@contextlib.contextmanager
def _kiosk(folder: Path, line: str, *, screen: bool, tty: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    SigningKey.generate().save(folder / "kiosk.pem")
    SigningKey.generate().save_public(folder / "hub.pub")
    config = KioskFile(
        device=DeviceConfig("s0001", "s0001-kiosk-1", str(folder / "kiosk.pem"), [str(folder / "hub.pub")]),
        broker=BrokerConfig("127.0.0.1", 9),
        kiosk=KioskConfig(str(folder / "state")),
        panel=[PanelConfig(line)],
        screen=ScreenConfig(enabled=screen, tty=tty),
        settings=KioskSettings(hours=[], thanks_s=1.0),
    )
    write_config(folder / "kiosk.toml", config)
    argv = [sys.executable, "-m", "kiosk", "--config", str(folder / "kiosk.toml")]
    with (folder / "kiosk.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class _Pty:
    """A raw line: we hold the master, `line` is what is opened."""

    def __enter__(self) -> Self:
        self.master, self._held = os.openpty()
        tty.setraw(self._held)
        self.line = os.ttyname(self._held)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.master)
        os.close(self._held)

    def read(self, limit_s: float) -> bytes:
        """What comes within the limit; b"" for nothing."""
        return os.read(self.master, 4096) if select.select([self.master], [], [], limit_s)[0] else b""


class _Console(_Pty):
    """A terminal that takes what is drawn."""

    def read_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self.read(left_s)


class _Panel(_Pty):
    """A panel without repetition or queue: one press at a time."""

    def __init__(self) -> None:
        self._boot = secrets.token_hex(4).upper()
        self._seq = 0
        self._reader = FrameReader()

    def say_hello(self) -> None:
        """Until the kiosk has opened the line and asks who is there; it has then asked."""
        until = time.monotonic() + 30
        while not any(isinstance(message, Who) for message in self._heard(1.0)):
            if time.monotonic() > until:
                raise RuntimeError("the kiosk asks for no panel")
        self.beat()
        time.sleep(0.5)

    def beat(self) -> None:
        """Still here."""
        os.write(self.master, encode(Hello("P-BENCH", self._boot, 5)))

    def press(self, button: int) -> None:
        self._seq += 1
        os.write(self.master, encode(Press(self._boot, self._seq, button, 0)))

    def acknowledged(self) -> float:
        """When the acknowledgement of the last press was heard."""
        until = time.perf_counter() + _LIMIT_S
        while (now := time.perf_counter()) < until:
            for message in self._heard(until - now):
                if message == Ack(self._boot, self._seq):
                    return time.perf_counter()
                if isinstance(message, Who):
                    self.beat()
        raise RuntimeError(f"press {self._seq} was not acknowledged within {_LIMIT_S} s")

    def _heard(self, limit_s: float) -> list[object]:
        return [decode_to_panel(body) for body in self._reader.feed(self.read(limit_s))]


class _Screen:
    """A screen on the kiosk's socket, which only looks at when its pictures come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = b""
        self._view = ""

    def __enter__(self) -> Self:
        self._socket = connect_to(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def thanked(self) -> float:
        """When the thanks were there."""
        return self._until("thanks")

    def until_idle(self) -> None:
        """The picture between citizens."""
        self._until("idle")

    def drain(self) -> None:
        """Take what has come."""
        while self._take(0):
            pass

    def _until(self, view: str) -> float:
        until = time.monotonic() + _LIMIT_S
        while self._view != view:
            if not self._take(max(0.0, until - time.monotonic())) and time.monotonic() > until:
                raise RuntimeError(f"no picture {view} within {_LIMIT_S} s")
        return time.perf_counter()

    def _take(self, limit_s: float) -> bool:
        if not select.select([self._socket], [], [], limit_s)[0]:
            return False
        *lines, self._held = (self._held + self._socket.recv(65_536)).split(b"\n")
        if lines:
            self._view = msgspec.json.decode(lines[-1])["view"]
        return True


class _Floor(_Pty):
    """The least that is durable behind a line, in a process of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        super().__enter__()
        argv = [sys.executable, "-m", "benchmarks._floor", self.line, str(self._path), str(_ENTRY_BYTES)]
        self._process = subprocess.Popen(argv)
        if self.read(_LIMIT_S) != b"\n":
            raise RuntimeError("the floor does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        super().__exit__()

    def press(self) -> float:
        begun = time.perf_counter()
        os.write(self.master, encode(Press("0000000A", 1, 1, 0)))
        self.read(_LIMIT_S)
        return time.perf_counter() - begun


class _Bare:
    """A write and an fdatasync."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self) -> float:
        begun = time.perf_counter()
        os.write(self._file, bytes(_ENTRY_BYTES))
        os.fdatasync(self._file)
        return time.perf_counter() - begun


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _memory(pid: int, what: str) -> int:
    """A line of smaps_rollup, in bytes."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith(f"{what}:"))


def _half(values: list[float]) -> float:
    return _quantile(values, 0.5)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
