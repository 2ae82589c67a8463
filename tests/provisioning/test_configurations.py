"""Every part's configuration, damaged in any way: it is read, or refused with reasons that name the file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

import hub.config
from bus.config import ClockConfig, DeviceConfig, ServerTlsConfig, load
from bus.errors import WrongInputError
from hub.config import HttpConfig, HubConfig, RemoteWriteConfig
from hub.roster import DeviceRow, Roster, RosterFile, SiteRow
from kiosk.config import BadgeConfig, KeypadConfig, KioskFile, PageConfig, PanelConfig
from provisioning.toml import to_toml

TLS = ServerTlsConfig("cert.pem", "key.pem", "ca.pem")
HUB = HubConfig(http=HttpConfig(tls=TLS), remote_write=RemoteWriteConfig("http://127.0.0.1:9090/api/v1/write"))
KIOSK = KioskFile(
    DeviceConfig("s0001", "s0001-kiosk-1", "kiosk.pem", ["hub.pub"]),
    clock=ClockConfig("clock.json"),
    panel=[PanelConfig("/dev/ttyACM0")],
    keypad=[KeypadConfig("/dev/input/event0")],
    badge=BadgeConfig("/dev/ttyUSB0"),
    page=PageConfig(enabled=True, tls=TLS),
    settings_from={"s0001-agent": "agent.pub"},
)
KNOWN = RosterFile(site=[SiteRow("s0001", "14800", "Xã Một", device=[DeviceRow("s0001-agent", "agent", "ab" * 32)])])

WORDS = [
    '""',
    "0",
    "-1",
    "1e400",
    "nan",
    "true",
    "[]",
    "{}",
    "[[1]]",
    "1979-05-27",
    '"\\u0000"',
    "9" * 30,
    '"x" = 1',
    "[",
]


def read_kiosk(path: Path) -> object:
    return load(path, KioskFile)


@pytest.mark.parametrize(
    ("sound", "read"),
    [(HUB, hub.config.load), (KIOSK, read_kiosk), (KNOWN, Roster.load)],
    ids=["hub", "kiosk", "known list"],
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_is_read_or_refused(
    tmp_path: Path, data: st.DataObject, sound: Struct, read: Callable[[Path], object]
) -> None:
    lines = to_toml(sound).splitlines()
    path = tmp_path / "part.toml"
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.integers(0, 4)):
            case 0:
                lines[at] = lines[at].partition("=")[0] + "= " + data.draw(st.sampled_from(WORDS))
            case 1:
                del lines[at]
            case 2:
                lines.insert(at, data.draw(st.sampled_from(lines)))
            case 3:
                lines[at] = data.draw(st.text(max_size=30)).replace("\ud800", "")
            case _:
                cut = data.draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut]
        lines = lines or ["x = 1"]
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    refused = ""
    try:
        read(path)
    except WrongInputError as error:
        refused = str(error)
    assert all(line.startswith(f"{path}: ") for line in refused.splitlines())


@pytest.mark.parametrize(
    ("sound", "read"),
    [(HUB, hub.config.load), (KIOSK, read_kiosk), (KNOWN, Roster.load)],
    ids=["hub", "kiosk", "known list"],
)
def test_undamaged_it_is_read(tmp_path: Path, sound: Struct, read: Callable[[Path], object]) -> None:
    path = tmp_path / "part.toml"
    path.write_text(to_toml(sound), encoding="utf-8")
    read(path)
