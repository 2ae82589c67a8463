"""The shell of `bus.clock`: reads the kernel's clocks and keeps the time floor on disk.

Synchronisation is read with adjtimex(2), which chrony, systemd-timesyncd and ntpd all keep true. Where the hardware is
simulated (the demo, the tests) a file takes its place: `{"offset_ms": 0, "error_ms": 1}`, read again at each stamp.
"""

import ctypes
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from bus import clock
from bus.clock import ClockState, Quality, Reading, Stamp
from bus.files import replace_file

_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# The floor is a guard against years, not seconds: rarely written, to spare the card.
_FLOOR_EVERY_MS: Final = 600_000


class _Timex(ctypes.Structure):
    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


class Simulation(msgspec.Struct, forbid_unknown_fields=True):
    """What the simulated clock adds to the machine's, and the error bound it claims (null: not synchronised)."""

    offset_ms: int = 0
    error_ms: float | None = 1.0


def kernel_error_ms() -> float | None:
    """The kernel's bound on its clock's error, in milliseconds; None while it is not synchronised."""
    timex = _Timex(modes=0)
    state = _LIBC.adjtimex(ctypes.byref(timex))
    if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return None
    # maxerror grows by 500 ppm between corrections whatever the daemon knows; esterror is the daemon's own word.
    return float(timex.esterror) / 1000


def kernel_offset_ms() -> float | None:
    """What the kernel still has to slew its clock by, in milliseconds; None while it is not synchronised."""
    timex = _Timex(modes=0)
    state = _LIBC.adjtimex(ctypes.byref(timex))
    if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return None
    return float(timex.offset) / (1e6 if timex.status & _STA_NANO else 1e3)


def boot_id() -> str:
    """The kernel's boot id: new at each boot, 32 hex digits."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")


class Timekeeper:
    """Stamps for one process. Thread-safe. `state_dir` holds the floor; `simulated` takes the machine's place."""

    def __init__(self, state_dir: Path, *, simulated: Path | None = None) -> None:
        self._path = state_dir / "clock.json"
        self._simulated = simulated
        self._lock = threading.Lock()
        floor_ms = self._read_floor()
        self._state = ClockState(boot=boot_id(), floor_ms=floor_ms)
        self._writing = threading.Lock()
        self._written_ms = self._asked_ms = floor_ms
        if simulated is None and Path("/dev/rtc0").exists():
            # The kernel set the clock from the chip at boot (CONFIG_RTC_HCTOSYS): good if it is past the floor.
            reading = self._read()
            if reading.wall_ms >= floor_ms > 0:
                self._state = clock.vouch(self._state, mono_ns=reading.mono_ns, wall_ms=reading.wall_ms)

    def now(self) -> Stamp:
        """The stamp of this moment. Never waits for the disk: event loops ask several times a second."""
        with self._lock:
            self._state, stamp = clock.observe(self._state, self._read())
            due = self._state.floor_ms - self._asked_ms >= _FLOOR_EVERY_MS
            if due:
                self._asked_ms = self._state.floor_ms
        if due:
            threading.Thread(target=self._write_floor, name="time floor", daemon=True).start()
        return stamp

    def confirm(self, wall_ms: int) -> None:
        """A signed-in officer says what time it is: hold it from here on."""
        with self._lock:
            self._state = clock.vouch(self._state, mono_ns=self._read().mono_ns, wall_ms=wall_ms)

    def anchor_due(self) -> Stamp | None:
        """The stamp to journal as this boot's anchor, once, when time has become trusted; None otherwise."""
        stamp = self.now()
        with self._lock:
            if self._state.anchored or stamp.quality is not Quality.TRUSTED:
                return None
            self._state = clock.mark_anchored(self._state)
        return stamp

    def close(self) -> None:
        """Keep the floor on disk."""
        self._write_floor()

    def _read(self) -> Reading:
        mono_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall_ms = time.time_ns() // 1_000_000
        if self._simulated is None:
            return Reading(mono_ns, wall_ms, kernel_error_ms())
        try:
            simulation = msgspec.json.decode(self._simulated.read_bytes(), type=Simulation)
        except (OSError, msgspec.MsgspecError):
            return Reading(mono_ns, wall_ms, None)
        return Reading(mono_ns, wall_ms + simulation.offset_ms, simulation.error_ms)

    def _read_floor(self) -> int:
        try:
            return int(msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])["floor_ms"])
        except (OSError, KeyError, msgspec.MsgspecError):
            return 0

    def _write_floor(self) -> None:
        with self._writing:
            floor_ms = self._state.floor_ms
            if floor_ms <= self._written_ms:
                return
            try:
                replace_file(self._path, msgspec.json.encode({"floor_ms": floor_ms}))
            except OSError:
                return  # a full disk must not stop the clock; the floor in memory still holds
            self._written_ms = floor_ms


__all__ = ["Simulation", "Timekeeper", "boot_id", "kernel_error_ms", "kernel_offset_ms"]
