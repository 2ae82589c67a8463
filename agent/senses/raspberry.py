"""Power and heat as a Raspberry Pi's firmware tells them; None on any other machine.

`get_throttled` (firmware mailbox 0x00030046, in sysfs since kernel 5.0): bit 0 under-voltage now, 1 frequency capped,
2 throttled, 3 soft temperature limit; 16 to 19 the same at any time since boot. Newer kernels only have the hwmon
device `rpi_volt`, which tells of under-voltage alone.
"""

from pathlib import Path

from agent.observations import Throttling

_UNDER_VOLTAGE = 1 << 0
_HELD_BACK = 1 << 1 | 1 << 2 | 1 << 3


def read_throttling(sys_root: Path = Path("/sys")) -> Throttling | None:
    """What holds the machine back now and since boot."""
    for name in ("devices/platform/soc/soc:firmware/get_throttled", "devices/platform/firmware/get_throttled"):
        text = _text(sys_root / name)
        if text is not None:
            return _decode(int(text, 16))
    for device in sorted((sys_root / "class/hwmon").glob("hwmon*")):
        alarm = _text(device / "in0_lcrit_alarm")
        if _text(device / "name") == "rpi_volt" and alarm is not None:
            low = alarm == "1"
            return Throttling(under_voltage=low, throttled=False, under_voltage_seen=low, throttled_seen=False)
    return None


def _decode(bits: int) -> Throttling:
    seen = bits >> 16
    return Throttling(
        under_voltage=bool(bits & _UNDER_VOLTAGE),
        throttled=bool(bits & _HELD_BACK),
        under_voltage_seen=bool((bits | seen) & _UNDER_VOLTAGE),
        throttled_seen=bool((bits | seen) & _HELD_BACK),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
