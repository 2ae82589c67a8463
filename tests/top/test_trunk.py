"""What a real agent tells of its broker: the bridge to the province as Mosquitto says it, and its own certificate."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.certificate import days_left
from agent.top.sight import BrokerView, Look, Sight, see
from agent.top.sources import find_boxes
from agent.top.view import lay_out
from bus.config import TlsConfig
from bus.envelope import SigningKey
from bus.errors import UnavailableError
from provisioning.mosquitto import Bridge, Listener
from tests.agent.test_neighbours import FILE
from tests.bus.certificates import Authority
from tests.provisioning.test_mosquitto import SITE, broker
from tests.tools import free_port
from tests.top.looks import GOOD, NOW_MS

DAY_MS = 86_400_000


def configure(folder: Path, port: int, tls: TlsConfig) -> list[str]:
    SigningKey.generate().save(folder / "agent.pem")
    SigningKey.generate().save_public(folder / "hub.pub")
    files = f'[broker.tls]\nca = "{tls.ca}"\ncert = "{tls.cert}"\nkey = "{tls.key}"\n'
    (folder / "agent.toml").write_text(FILE.format(folder=folder, port=port) + files)
    return [sys.executable, "-m", "agent", "--config", str(folder / "agent.toml")]


async def told(folder: Path, holds: BrokerView) -> None:
    """Wait until the agent says so, but for the certificate's days, which it always says rightly."""
    look = Look()
    async with asyncio.timeout(40):
        while True:
            if (folder / "state" / "control.sock").is_socket():
                (box,) = find_boxes(folder)
                look = await box.look()
            seen = look.now.broker if look.now is not None else None
            if seen is not None:
                assert seen.certificate_days == pytest.approx(1, abs=0.01)
                if msgspec.structs.replace(seen, certificate_days=None) == holds:
                    return
            await asyncio.sleep(0.1)


async def test_the_bridge_and_the_certificate_as_a_real_agent_tells_them(tmp_path: Path) -> None:
    authority, commune, province = Authority(tmp_path / "keys"), free_port(), free_port()
    listener = Listener("127.0.0.1", commune, authority.issue("s0001-broker"))
    bridge = Bridge(SITE, "127.0.0.1", province)
    command = configure(tmp_path, commune, authority.issue("s0001-agent"))
    agent = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        await told(tmp_path, BrokerView(connected=False))
        with broker(tmp_path, "commune", listener, bridge):
            await told(tmp_path, BrokerView(connected=True, bridged=False))
            with broker(tmp_path, "province", Listener("127.0.0.1", province)):
                await told(tmp_path, BrokerView(connected=True, bridged=True))
            await told(tmp_path, BrokerView(connected=True, bridged=False))
        await told(tmp_path, BrokerView(connected=False))
    finally:
        agent.terminate()
        assert await asyncio.wait_for(agent.wait(), 10) == 0


def test_the_days_of_a_certificate_and_a_file_that_holds_none(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("s0001-agent")
    until_ms = round(days_left(Path(tls.cert), 0) * DAY_MS)
    assert days_left(Path(tls.cert), until_ms - 3 * DAY_MS) == pytest.approx(3, abs=1e-6)
    assert days_left(Path(tls.cert), until_ms + DAY_MS) == pytest.approx(-1, abs=1e-6)
    for path in (Path(tls.key), tmp_path / "nothing.pem"):
        with pytest.raises(UnavailableError, match="cannot be read"):
            days_left(path, 0)


@pytest.mark.parametrize(
    ("broker_view", "said"),
    [
        (BrokerView(True), "broker up   journal"),
        (BrokerView(True, True, 0.5), "broker up   province up   certificate 0 d   journal"),
        (BrokerView(True, False, -0.5), "broker up   province NOT CONNECTED   CERTIFICATE EXPIRED"),
    ],
)
def test_what_is_known_of_the_way_to_the_province_is_said(broker_view: BrokerView, said: str) -> None:
    assert GOOD.now is not None
    sight = see(Sight("x"), replace(GOOD, now=msgspec.structs.replace(GOOD.now, broker=broker_view)))
    lines = lay_out(sight, 80, 24, language="en", clock="", page="", now_ms=NOW_MS)
    assert said in "\n".join(line.plain for line in lines).replace("\u00a0", " ")
