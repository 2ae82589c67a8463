"""The slow senses as the agent runs them: configured in its file, shown in `/metrics`, told to the diagnosis."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from agent import rounds
from agent.config import Config, PowerConfig
from agent.metrics import Metrics
from agent.observations import OpticalPower, UpsState
from agent.rounds import Rounds
from agent.senses import ups
from bus.clock import Quality, Stamp
from bus.config import ConfigError, load
from bus.errors import UnavailableError
from tests.agent.senses.snmpd import ABSENT, LIGHT, UP, snmpd_in

DAY_MS = 86_400_000
FILE = """
[device]
site = "s0001"
id = "s0001-agent"
key = "agent.pem"
hub_keys = []
[agent]
state = "{folder}"
[lan]
port = "lo"
[[line]]
id = "vnpt"
name = "VNPT"
network = "internet"
hosts = ["127.0.0.1"]
[[optical]]
line = "vnpt"
host = "127.0.0.1"
oid = "{light}"
threshold_dbm = -27.0
snmp = {{ port = {port}, community = "commune" }}
[[switch_port]]
id = "uplink"
host = "127.0.0.1"
if_index = {up}
snmp = {{ port = {port}, user = "watcher", auth_key = "watcher-secret", priv_key = "watcher-private" }}
[[switch_port]]
id = "no-such-port"
host = "127.0.0.1"
if_index = {absent}
snmp = {{ port = {port}, community = "commune" }}
"""


def write(folder: Path, port: int = 161, *, change: tuple[str, str] = ("", "")) -> Path:
    path = folder / "agent.toml"
    path.write_text(FILE.format(folder=folder, port=port, light=LIGHT, up=UP, absent=ABSENT).replace(*change))
    return path


async def test_light_and_the_switchs_ports_are_read_shown_and_told(tmp_path: Path) -> None:
    today = time.time_ns() // 1_000_000 // DAY_MS
    past = {"vnpt": {"daily_dbm": {str(today - back): -23.5 + 0.1 * back for back in range(1, 11)}}}
    (tmp_path / "optical.json").write_bytes(msgspec.json.encode(past))
    metrics, told = Metrics(), asyncio.Event()
    low: dict[str, float] = {}

    def hear(lines: Mapping[str, float]) -> None:
        low.update(lines)
        told.set()

    with snmpd_in(tmp_path) as port:
        config = load(write(tmp_path, port), Config)
        watch = Rounds(
            config,
            metrics,
            stamp=lambda: Stamp("b", 1, time.time_ns() // 1_000_000, Quality.TRUSTED),
            on_power=lambda _: None,
            on_light=hear,
        )
        running = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(30):
                await told.wait()
                while b"switch_port_up" not in metrics.text():  # noqa: ASYNC110 - the round tells nobody when it is done
                    await asyncio.sleep(0.05)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    shown = metrics.text().decode().splitlines()
    for line in (
        'commune_optical_received_dbm{receiver="vnpt"} -23.5',
        'commune_optical_threshold_dbm{receiver="vnpt"} -27.0',
        'commune_switch_port_up{port="uplink"} 1.0',
        'commune_switch_port_errors_total{port="uplink"} 12.0',
    ):
        assert line in shown
    (left,) = [line for line in shown if line.startswith("commune_optical_left_seconds{")]
    days_left = float(left.split()[1]) / 86_400
    assert 30 < days_left < 40, "0.1 dB a day, 3.5 dB left"
    assert low == {}, "more than a month away"
    assert not any("no-such-port" in line for line in shown), "what is not there is not invented"


class Asked:
    """Rounds without waits, their answers given one by one; keeps what the diagnosis is told after each."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, answers: list[object]) -> None:
        self.told: list[object] = []
        left = iter(answers)

        async def answer(*_: object, **__: object) -> object:
            try:
                said = next(left)
            except StopIteration:
                raise asyncio.CancelledError from None
            if isinstance(said, Exception):
                raise said
            return said

        for pace in ("POWER_S", "OPTICAL_S"):
            monkeypatch.setattr(rounds, pace, 0)
        monkeypatch.setattr(ups, "read_ups", answer)
        monkeypatch.setattr(rounds, "_read_light", answer)
        self.rounds = Rounds(
            load(write(folder), Config),
            Metrics(),
            stamp=lambda: Stamp("b", 1, 0, Quality.UNKNOWN),
            on_power=lambda power: self.told.append(power and power.on_battery),
            on_light=lambda low: self.told.append(low.get("vnpt")),
        )


def power(*, on_mains: bool) -> UpsState:
    return UpsState("office", "OL" if on_mains else "OB", on_mains=on_mains, battery_low=False)


async def test_a_ups_that_does_not_answer_for_a_moment_is_not_back_on_the_mains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = UnavailableError("stale")
    answers = [power(on_mains=False), stale, stale, stale, power(on_mains=False), *[stale] * 5, power(on_mains=True)]
    asked = Asked(tmp_path, monkeypatch, [*answers])
    with pytest.raises(asyncio.CancelledError):
        await asked.rounds._watch_power(PowerConfig("office"))
    assert asked.told == [True, True, None, None, False], "three rounds are held, then it is not known"


async def test_light_that_is_not_read_for_a_moment_stays_low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = UnavailableError("no answer")
    low, well = OpticalPower("ont", -27.5), OpticalPower("ont", -20.0)
    asked = Asked(tmp_path, monkeypatch, [low, lost, None, lost, low, *[lost] * 4, low, well])
    with pytest.raises(asyncio.CancelledError):
        await asked.rounds._watch_light()
    assert asked.told == [0.0] * 8 + [None, 0.0, None]


async def test_light_that_sways_about_its_threshold_is_low_all_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(tmp_path, monkeypatch, [OpticalPower("ont", dbm) for dbm in (-26.9, -27.0, -26.8, -27.1, -26.6)])
    with pytest.raises(asyncio.CancelledError):
        await asked.rounds._watch_light()
    assert asked.told == [None, 0.0, 0.0, 0.0, None]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('user = "watcher", ', ""), "belong to a user"),
        (('auth_key = "watcher-secret", ', ""), "needs authentication"),
        (('"watcher-secret"', '"short"'), "snmp.auth_key"),
        (('id = "no-such-port"', 'id = "uplink"'), "switch_port.1.id: 'uplink' is used twice"),
        (('host = "127.0.0.1"\nif_index', 'host = "127.0.0.256"\nif_index'), "not an IP address"),
    ],
)
def test_how_to_ask_is_checked(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(write(tmp_path, change=change), Config)
