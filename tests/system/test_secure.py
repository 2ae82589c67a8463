"""Agent, kiosk and hub as real processes with TLS on every connection: nobody comes in without a certificate, what the
parts write arrives, noise on any topic that they hear stops none of them, and systemd is told how they do.
"""

import contextlib
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

import agent.config
import kiosk.config
from bus import topics
from bus.config import BrokerConfig, DeviceConfig, ServerTlsConfig, TlsConfig
from bus.envelope import Sealed, SigningKey
from bus.messages import BEACON_TYPE, DESIRED_TYPE, RECEIPT_TYPE, REPORTED_TYPE, STATUS_TYPE
from bus.mqtt import Link
from hub.api import tokens
from hub.config import HttpConfig, HubConfig
from provisioning.toml import write_config
from tests.broker import Broker
from tests.bus.certificates import Authority
from tests.system.demo import until
from tests.tools import find_tool, free_port

SITE, AGENT, KIOSK, HUB = "s0001", "s0001-agent", "s0001-kiosk-1", "hub"
NOISES = 600


class Systemd:
    """The socket that a part under `Type=notify` speaks to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self, word: str, times: int = 1) -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said.append(self._socket.recv(1000).decode())
        return self.said.count(word) >= times

    def close(self) -> None:
        self._socket.close()


class Part:
    """One part in the foreground, its client certificate beside its key."""

    def __init__(self, folder: Path, name: str, config: msgspec.Struct) -> None:
        self.folder = folder
        self.name = name
        self.log = folder / f"{name}.log"
        self.systemd = Systemd(folder / f"{name}.notify")
        write_config(folder / f"{name}.toml", config)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [find_tool("setpriv"), "--pdeathsig", "KILL", sys.executable, "-m", self.name]
        argv += ["--config", str(self.folder / f"{self.name}.toml")]
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.systemd.path), "WATCHDOG_USEC": "900000"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        until(lambda: self.systemd.heard("READY=1") or not self.runs, limit_s=30, what=f"{self.name} is ready")
        assert self.runs, self.log.read_text()

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.log.read_text()
        assert time.monotonic() - began < 5
        assert self.systemd.heard("STOPPING=1")

    def drop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.systemd.close()


class Province:
    """A broker that asks for certificates, and the three parts on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ours")
        self.broker = Broker(folder / "broker", tls=self.authority.issue("broker"))
        self.broker.start()
        self.hub_port, self.agent_port, self.kiosk_port = free_port(), free_port(), free_port()
        keys = {name: SigningKey.generate() for name in (AGENT, KIOSK, HUB)}
        for name, key in keys.items():
            key.save(folder / f"{name}.pem")
            (folder / f"{name}.pub").write_text(key.public_bytes.hex())
        self.token = tokens.issue(folder / "tokens.toml", name="test", scopes=["read", "metrics", "ratings-raw"])
        devices = "".join(
            f'[[site.device]]\nid = "{name}"\npart = "{part}"\nkey = "{keys[name].public_bytes.hex()}"\n'
            for name, part in ((AGENT, "agent"), (KIOSK, "kiosk"))
        )
        (folder / "roster.toml").write_text(f'[[site]]\nid = "{SITE}"\ncode = "1"\nname = "Xã Một"\n{devices}')
        self.parts = {"hub": self._hub(), "agent": self._agent(), "kiosk": self._kiosk()}

    def serving(self, name: str) -> ServerTlsConfig:
        tls = self.authority.issue(name)
        return ServerTlsConfig(tls.cert, tls.key, tls.ca)

    def client(self, certificate: TlsConfig | None) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.authority.ca)
        if certificate is not None:
            trust.load_cert_chain(certificate.cert, certificate.key)
        once = httpx.Limits(max_keepalive_connections=0)  # a connection kept may be closed just as it is used again
        return httpx.Client(verify=trust, timeout=10, limits=once, headers={"Authorization": f"Bearer {self.token}"})

    def _to_broker(self, name: str) -> BrokerConfig:
        return BrokerConfig(self.broker.host, self.broker.port, self.authority.issue(name))

    def _device(self, name: str) -> DeviceConfig:
        return DeviceConfig(SITE, name, str(self.folder / f"{name}.pem"), [str(self.folder / f"{HUB}.pub")])

    def _hub(self) -> Part:
        http = HttpConfig(port=self.hub_port, token="tokens.toml", tls=self.serving("hub-page"))
        return Part(self.folder, "hub", HubConfig(broker=self._to_broker(HUB), http=http, beacon_s=1))

    def _agent(self) -> Part:
        config = agent.config.Config(
            self._device(AGENT),
            agent.config.LanConfig("lo"),
            agent.config.AgentConfig(str(self.folder / "agent-state"), sample_step_s=1),
            agent.config.PagesConfig(port=self.agent_port, tls=self.serving("agent-page")),
            self._to_broker(AGENT),
            member=[
                agent.config.MemberConfig(KIOSK, "kiosk", {"counter": "7", "officers": [{"code": "A1", "name": "Lan"}]})
            ],
        )
        return Part(self.folder, "agent", config)

    def _kiosk(self) -> Part:
        config = kiosk.config.KioskFile(
            self._device(KIOSK),
            self._to_broker(KIOSK),
            kiosk=kiosk.config.KioskConfig(str(self.folder / "kiosk-state")),
            page=kiosk.config.PageConfig(enabled=True, port=self.kiosk_port, tls=self.serving("kiosk-page")),
            settings_from={AGENT: str(self.folder / f"{AGENT}.pub")},
        )
        return Part(self.folder, "kiosk", config)

    def stored(self, client: httpx.Client, device: str) -> int:
        answer = client.get(f"https://127.0.0.1:{self.hub_port}/api/v1/journals", params={"limit": 100})
        answer.raise_for_status()
        return sum(one["stored"] for one in answer.json()["items"] if one["device"] == device)


@pytest.fixture
def province(tmp_path: Path) -> Iterator[Province]:
    made = Province(tmp_path)
    try:
        for part in made.parts.values():
            part.start()
        yield made
    finally:
        for part in made.parts.values():
            part.drop()
        made.broker.stop()


def noise(rng: random.Random, key: SigningKey) -> tuple[str, Sealed]:
    """Something that nobody should believe, on a topic that a part hears."""
    topic, kind = rng.choice(
        [
            (topics.status(SITE, KIOSK), STATUS_TYPE),
            (topics.status(SITE, "stranger"), STATUS_TYPE),
            (topics.reported(SITE, KIOSK), REPORTED_TYPE),
            (topics.receipt(SITE, AGENT, "hub"), RECEIPT_TYPE),
            (topics.receipt(SITE, KIOSK, "hub"), RECEIPT_TYPE),
            (topics.desired(SITE, AGENT), DESIRED_TYPE),
            (topics.BEACON, BEACON_TYPE),
            (topics.up(SITE, AGENT), "application/json"),
        ]
    )
    body = rng.choice(
        [b"", b"{}", b"null", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"device":1}', rng.randbytes(200), b"x" * 300_000]
    )
    kind = rng.choice([kind, kind + "+zlib", "", "text/plain"])
    signatures = rng.choice([(), (":",), ("a:%%",), ("\U0001f525:eA==",), (key.sign(kind, body),)])
    return topic, Sealed(body, kind, signatures)


async def test_a_province_behind_tls(province: Province) -> None:
    engineer = province.authority.issue("engineer")
    with province.client(engineer) as client:
        until(lambda: province.stored(client, AGENT) > 0, limit_s=30, what="the agent's entries at the hub")
        until(lambda: province.stored(client, KIOSK) > 0, limit_s=30, what="the kiosk's entries at the hub")
        assert "result=done" in province.parts["kiosk"].log.read_text(), "the settings that the agent desires"
        shown = client.get(f"https://127.0.0.1:{province.agent_port}/metrics")
        assert "commune_uptime_seconds" in shown.text
        page = (province.folder / "kiosk-state/page.json").read_text()
        url = page.partition('"url":"')[2].partition('"')[0]
        assert url.startswith(f"https://127.0.0.1:{province.kiosk_port}/")
        assert client.get(url).status_code == 200

        stranger = Authority(province.folder / "theirs", "stranger").issue("engineer")
        for certificate in (None, stranger):
            for port in (province.hub_port, province.agent_port, province.kiosk_port):
                with province.client(certificate) as outsider, pytest.raises(httpx.TransportError):
                    outsider.get(f"https://127.0.0.1:{port}/")

        rng = random.Random(3)
        broker = BrokerConfig(province.broker.host, province.broker.port, engineer)
        link = Link(broker, "noise")
        link.start()
        await link.ready()
        for _ in range(NOISES):
            await link.publish_sealed(*noise(rng, SigningKey.generate()), retain=rng.random() < 0.1)
        await link.close()
        before = {device: province.stored(client, device) for device in (AGENT, KIOSK)}
        until(lambda: province.stored(client, AGENT) > before[AGENT] + 1, limit_s=30, what="the agent's next entries")
    for part in province.parts.values():
        assert part.runs, part.log.read_text()[-3000:]
        until(lambda part=part: part.systemd.heard("WATCHDOG=1", 3), limit_s=15, what=f"{part.name} feeds the watchdog")  # type: ignore[misc]  # lambda default
    for part in reversed(province.parts.values()):
        part.stop()
        assert "Traceback" not in part.log.read_text()
