"""The box itself: processor, memory, disks, card wear, heat, clock, and our own processes.

Read by psutil and sysfs (`sys_root` can be moved, for machines that a test makes up). What a machine does not have is
None or absent, never zero.
"""

import os
import time
from pathlib import Path
from typing import Final

import psutil

from agent.observations import BlockDevice, DiskSpace, Health, ProcessUse
from agent.senses.raspberry import read_throttling
from bus.timekeeper import kernel_error_ms, kernel_offset_ms

_SECTOR_BYTES: Final = 512  # of /sys/block/*/stat, whatever the device's own (kernel: Documentation/block/stat.rst)
_FIND_PROCESSES_S: Final = 60.0
_OURS: Final = {"commune", "mosquitto"}
# What `python -m` runs, as the demo does: the command, which is told the part, or a part itself.
_MODULES: Final = {"provisioning.command": "", "agent": "agent", "kiosk": "kiosk", "hub": "hub"}
_NOT_STORAGE: Final = ("loop", "ram", "zram", "sr", "fd")


class HealthWatch:
    """Reads the box's health. Rates (processor) are since the reading before."""

    def __init__(self, *, mounts: tuple[str, ...] = ("/",), sys_root: Path = Path("/sys")) -> None:
        self._mounts = mounts
        self._sys = sys_root
        self._processes: dict[int, psutil.Process] = {}
        self._found_s = float("-inf")
        psutil.cpu_percent(interval=None)  # the first reading only sets the mark

    def read(self) -> Health:
        """One look; a few milliseconds."""
        memory = psutil.virtual_memory()
        return Health(
            mono_ns=time.monotonic_ns(),
            cpu_pct=psutil.cpu_percent(interval=None),
            load_1m=os.getloadavg()[0],
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            temperature_c=self._temperature(),
            throttling=read_throttling(self._sys),
            clock_error_ms=kernel_error_ms(),
            clock_offset_ms=kernel_offset_ms(),
            disks=tuple(self._disks()),
            devices=tuple(self._devices()),
            processes=tuple(self._ours()),
        )

    def _temperature(self) -> float | None:
        """The hottest zone of the processor or board, in degrees."""
        found = []
        for pattern in ("class/thermal/thermal_zone*/temp", "class/hwmon/hwmon*/temp*_input"):
            for path in self._sys.glob(pattern):
                value = _number(path)
                if value is not None and -40_000 < value < 150_000:
                    found.append(value / 1000)
            if found:
                break
        return max(found, default=None)

    def _disks(self) -> list[DiskSpace]:
        disks = []
        for mount in self._mounts:
            try:
                usage = psutil.disk_usage(mount)
            except OSError:
                continue  # not mounted now
            disks.append(DiskSpace(mount, usage.total, usage.free))
        return disks

    def _devices(self) -> list[BlockDevice]:
        devices = []
        for path in sorted((self._sys / "block").glob("*")):
            if path.name.startswith(_NOT_STORAGE):
                continue
            fields = _text(path / "stat").split()
            if len(fields) < 7 or not any(int(field) for field in fields):
                continue
            devices.append(
                BlockDevice(
                    name=path.name,
                    written_bytes=int(fields[6]) * _SECTOR_BYTES,
                    worn_pct=_worn(_text(path / "device/life_time")),
                    end_of_life=_hex(_text(path / "device/pre_eol_info")),
                )
            )
        return devices

    def _ours(self) -> list[ProcessUse]:
        if time.monotonic() - self._found_s >= _FIND_PROCESSES_S:
            self._found_s = time.monotonic()
            self._find_processes()
        used = []
        for pid, process in list(self._processes.items()):
            try:
                with process.oneshot():
                    used.append(
                        ProcessUse(
                            process_name(process.cmdline()), pid, process.cpu_percent(interval=None), _memory(process)
                        )
                    )
            except psutil.Error:
                del self._processes[pid]
        return sorted(used, key=lambda use: -use.memory_bytes)

    def _find_processes(self) -> None:
        found = {process.pid: process for process in psutil.process_iter() if _is_ours(process)}
        # One that is known is kept: its last reading is the mark for its processor time.
        self._processes = {pid: self._processes.get(pid, process) for pid, process in found.items()}


def _is_ours(process: psutil.Process) -> bool:
    try:
        return process_name(process.cmdline()).split(" ")[0] in _OURS
    except psutil.Error:
        return False


def process_name(command: list[str]) -> str:
    """`commune agent` for a Python that runs it, `mosquitto` for the broker; arguments never (they may be secret)."""
    words = [Path(word).name for word in command[:3]]
    for index, word in enumerate(words):
        if word == "commune" or (word in _MODULES and words[index - 1] == "-m"):
            part = _MODULES.get(word, "") or next(iter(command[index + 1 : index + 2]), "")
            return f"commune {part}".rstrip()
    return words[0] if words else ""


def _memory(process: psutil.Process) -> int:
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return int(process.memory_info().rss)
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def _worn(text: str) -> int | None:
    """eMMC 5.0 life time estimates, of its two kinds of cell: 0x01 is 0 to 10 % used, 0x0b beyond its life."""
    steps = [step for step in (_hex(word) for word in text.split()) if step]
    return min(max(steps) * 10, 100) if steps else None


def _hex(text: str) -> int | None:
    try:
        return int(text, 16) or None
    except ValueError:
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
