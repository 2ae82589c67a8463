"""The slow senses as the agent runs them: configured in its file, shown in `/metrics`, told to the diagnosis."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from agent.config import Config
from agent.metrics import Metrics
from agent.rounds import Rounds
from bus.clock import Quality, Stamp
from bus.config import ConfigError, load
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
        rounds = Rounds(
            config,
            metrics,
            stamp=lambda: Stamp("b", 1, time.time_ns() // 1_000_000, Quality.TRUSTED),
            on_power=lambda _: None,
            on_light=hear,
        )
        running = asyncio.create_task(rounds.run())
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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('user = "watcher", ', ""), "belong to a user"),
        (('auth_key = "watcher-secret", ', ""), "needs authentication"),
        (('"watcher-secret"', '"short"'), "snmp.auth_key"),
        (('id = "no-such-port"', 'id = "uplink"'), "switch_port used twice"),
        (('host = "127.0.0.1"\nif_index', 'host = "127.0.0.256"\nif_index'), "not an IP address"),
    ],
)
def test_how_to_ask_is_checked(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(write(tmp_path, change=change), Config)
