"""From the finger to the lamp: one press through the whole kiosk, and what the kiosk weighs.

A real `commune kiosk` on a real pty, alone on its disk, its broker out of reach (as when the network is down). The
bench is the panel: it writes a `$CEBTN` frame and waits for the `$CEACK` that may be sent only once the press is on
disk. The peers (`_floor`) answer on ptys of their own, on the same file system, and do nothing but commit: one by a
bare write and fdatasync of as many bytes as the journal's entry takes, one by a row in SQLite. All run turn about, each
after the same pause: a press comes to a machine at rest.

Once more with each sync made as slow as a card's (`_card`): there the disk's share is what it is in the field.
"""

import contextlib
import os
import secrets
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import msgspec

from benchmarks.report import Bound, Row
from bus.config import BrokerConfig, ClockConfig, DeviceConfig
from bus.envelope import SigningKey
from bus.timekeeper import Simulation
from bus.unix_sockets import connect_to
from kiosk.config import KioskConfig, KioskFile, PanelConfig, ScreenConfig
from kiosk.panel.frames import Ack, FrameReader, Hello, Press, Who, decode_to_panel, encode
from kiosk.settings import KioskSettings
from provisioning.toml import write_config

_PRESSES: Final = 600
_PRESSES_A_PICTURE: Final = 5
# Eight hours of an office with a press each five seconds, far more than any counter sees.
_DAY_PRESSES: Final = 5_760
_WARM_PRESSES: Final = 600
_ENTRY_BYTES: Final = 420
_MB: Final = 1_000_000
_LIMIT_S: Final = 10.0
_PAUSE_S: Final = 0.02
_ROUNDS: Final = 5
_CARD_MS: Final = 10  # what a good SD card takes for a small sync


def run(scale: float) -> list[Row]:
    """Latency with nothing else to do, then a day's presses in one go, weighed before and after."""
    count, day = max(20, int(_PRESSES * scale)), max(600, int(_DAY_PRESSES * scale))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        panel = stack.enter_context(_Panel())
        stack.enter_context(_kiosk(folder, panel.line))
        panel.say_hello()
        picture = stack.enter_context(_Screen(folder / "state" / "screen.sock"))
        times = _in_turn(panel, picture, folder, count)
    return [*_latency(times), *_on_a_card(max(10, count // 3)), _growth(day), _weight()]


@dataclass(slots=True)
class _Times:
    acknowledged: list[float] = field(default_factory=list)
    pictured: list[float] = field(default_factory=list)
    fdatasync: list[float] = field(default_factory=list)
    sqlite: list[float] = field(default_factory=list)


_ACK: Final = "press to acknowledgement, p99"
_FDATASYNC: Final = "pty and bare write + fdatasync"
_SQLITE: Final = "pty and bare commit, SQLite WAL FULL"
_LIMITS: Final = (Bound("value", at_most=50), Bound("ratio", at_most=1.5))
_PLAIN: Final[Mapping[str, str]] = MappingProxyType({})


def _latency(times: _Times) -> list[Row]:
    acknowledged, pictured = _worst_of_hundred(times.acknowledged), _quantile(times.pictured, 0.99)
    return [
        Row("press to acknowledgement, p50", _half(times.acknowledged), "ms", _FDATASYNC, _half(times.fdatasync)),
        Row("press to acknowledgement, p50", _half(times.acknowledged), "ms", _SQLITE, _half(times.sqlite)),
        Row(_ACK, acknowledged, "ms", _FDATASYNC, _worst_of_hundred(times.fdatasync), _LIMITS),
        Row(_ACK, acknowledged, "ms", _SQLITE, _worst_of_hundred(times.sqlite), _LIMITS),
        Row("press to picture, p50", _half(times.pictured), "ms"),
        Row("press to picture, p99", pictured, "ms", bounds=(Bound("value", at_most=100),)),
    ]


def _on_a_card(count: int) -> list[Row]:
    """The same on a disk as slow as a card: every sync of kiosk and peers takes that much longer."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        slow = _slow_syncs(folder)
        panel = stack.enter_context(_Panel())
        stack.enter_context(_kiosk(folder, panel.line, environment=slow))
        panel.say_hello()
        picture = stack.enter_context(_Screen(folder / "state" / "screen.sock"))
        times = _in_turn(panel, picture, folder, count, environment=slow)
    measure = f"{_ACK}, syncs {_CARD_MS} ms slower"
    acknowledged = _worst_of_hundred(times.acknowledged)
    return [
        Row(measure, acknowledged, "ms", _FDATASYNC, _worst_of_hundred(times.fdatasync), _LIMITS),
        Row(measure, acknowledged, "ms", _SQLITE, _worst_of_hundred(times.sqlite), _LIMITS),
    ]


def _slow_syncs(folder: Path) -> dict[str, str]:
    """The environment in which fsync and fdatasync take `_CARD_MS` longer."""
    library = folder / "card.so"
    source = Path(__file__).with_name("_card.c")
    command = ["cc", "-shared", "-fPIC", f"-DDELAY_MS={_CARD_MS}", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library)}


def _in_turn(
    panel: "_Panel", picture: "_Screen", folder: Path, count: int, *, environment: Mapping[str, str] = _PLAIN
) -> _Times:
    times = _Times()
    with (
        _Floor(folder / "floor", "fdatasync", environment) as fdatasync,
        _Floor(folder / "floor.db", "sqlite", environment) as sqlite,
    ):
        panel.press(1)  # the first record of a journal opens its file
        panel.acknowledged()
        for number in range(count):
            # The thanks are a new picture only after an idle one, which takes its second to come back.
            new_picture = number % _PRESSES_A_PICTURE == 0
            if new_picture:
                picture.until_idle()
            time.sleep(_PAUSE_S)
            begun = time.perf_counter()
            panel.press(number % 5 + 1)
            times.acknowledged.append((panel.acknowledged() - begun) * 1000)
            if new_picture:
                times.pictured.append((picture.thanked() - begun) * 1000)
            picture.drain()
            for floor, took in ((fdatasync, times.fdatasync), (sqlite, times.sqlite)):
                time.sleep(_PAUSE_S)
                took.append(floor.press() * 1000)
    return times


def _growth(presses: int) -> Row:
    """Presses one after the other, each button in turn: flags, replaced votes and pictures are all in it.

    Of its own pages alone: the share in others' pages moves as other processes come and go. Its time is known, as that
    of nearly every kiosk is: while it is not, presses wait in memory for their day (`kiosk.days`, 10,000 at most).
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        panel = stack.enter_context(_Panel())
        kiosk = stack.enter_context(_kiosk(folder, panel.line, known_time=True))
        panel.say_hello()
        picture = stack.enter_context(_Screen(folder / "state" / "screen.sock"))

        def press(count: int) -> None:
            for number in range(count):
                panel.press(number % 5 + 1)
                panel.acknowledged()
                picture.drain()

        press(_WARM_PRESSES)
        before = _memory(kiosk.pid, "Anonymous")
        press(presses)
        grown = (_memory(kiosk.pid, "Anonymous") - before) / _MB
    return Row(f"growth over {presses:,} presses (8 hours)", grown, "MB", bounds=(Bound("value", at_most=1),))


def _weight() -> Row:
    """Kiosk and screen, the screen on a console of its own."""
    with tempfile.TemporaryDirectory() as name, _Panel() as panel, _Console() as console:
        folder = Path(name)
        with _kiosk(folder, panel.line, tty=console.line) as kiosk:
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
def _kiosk(
    folder: Path,
    line: str,
    *,
    tty: str = "",
    known_time: bool = False,
    environment: Mapping[str, str] = _PLAIN,
) -> Iterator["subprocess.Popen[bytes]"]:
    SigningKey.generate().save(folder / "kiosk.pem")
    SigningKey.generate().save_public(folder / "hub.pub")
    (folder / "clock.json").write_bytes(msgspec.json.encode(Simulation()))
    config = KioskFile(
        device=DeviceConfig("s0001", "s0001-kiosk-1", str(folder / "kiosk.pem"), [str(folder / "hub.pub")]),
        broker=BrokerConfig("127.0.0.1", 9),
        clock=ClockConfig(simulated=str(folder / "clock.json") if known_time else ""),
        kiosk=KioskConfig(str(folder / "state")),
        panel=[PanelConfig(line)],
        screen=ScreenConfig(enabled=bool(tty), tty=tty),
        settings=KioskSettings(hours=[], thanks_s=1.0),
    )
    write_config(folder / "kiosk.toml", config)
    argv = [sys.executable, "-m", "kiosk", "--config", str(folder / "kiosk.toml")]
    with (
        (folder / "kiosk.log").open("wb") as log,
        subprocess.Popen(argv, stdout=log, stderr=log, env=os.environ | environment) as process,
    ):
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

    def __init__(self, path: Path, store: str, environment: Mapping[str, str]) -> None:
        self._path, self._store, self._environment = path, store, environment

    def __enter__(self) -> Self:
        super().__enter__()
        argv = [sys.executable, "-m", "benchmarks._floor", self.line, str(self._path), str(_ENTRY_BYTES), self._store]
        self._process = subprocess.Popen(argv, env=os.environ | self._environment)
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


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _memory(pid: int, what: str) -> int:
    """A line of smaps_rollup, in bytes."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith(f"{what}:"))


def _half(values: list[float]) -> float:
    return _quantile(values, 0.5)


def _worst_of_hundred(values: list[float]) -> float:
    """The 99th percentile, as the median of that of each round: one slow moment of the machine is no figure."""
    each = max(1, len(values) // _ROUNDS)
    rounds = [values[at : at + each] for at in range(0, each * _ROUNDS, each)]
    return statistics.median(_quantile(part, 0.99) for part in rounds if part)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
