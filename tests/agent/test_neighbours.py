"""The agent on a real broker: who comes and goes, what is desired of a device and reached, all through its own door."""

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus import envelope, topics
from bus.config import BrokerConfig
from bus.convergence import Converger
from bus.entries import DesiredReached, DiagnosisChanged, PresenceChanged, SampleBlock, read_data
from bus.envelope import SigningKey
from bus.link import Incoming
from bus.messages import BATCH_TYPE, BEACON_TYPE, Batch, Beacon, Entry, encode
from bus.mqtt import Link
from bus.presence import Presence, last_will
from bus.unix_sockets import connect_to
from tests.agent.journals import of, read_records

FILE = """
[device]
site = "s0001"
id = "s0001-agent"
key = "{folder}/agent.pem"
hub_keys = ["{folder}/hub.pub"]
[agent]
state = "{folder}/state"
[pages]
port = 0
[broker]
port = {port}
[lan]
port = "lo"
router = "127.0.0.1"
[[member]]
id = "s0001-kiosk-1"
part = "kiosk"
settings = {{ levels = 5 }}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = int(held.getsockname()[1])
    (tmp_path / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen(["mosquitto", "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    yield port
    process.terminate()
    process.wait(10)


async def ask(folder: Path, request: dict[str, Any] | bytes) -> Any:
    line = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
    reader, writer = await asyncio.open_unix_connection(sock=connect_to(folder / "state" / "control.sock"))
    writer.write(line)
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer


async def until(folder: Path, request: dict[str, Any], holds: Any) -> Any:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError, ValueError):
                if holds(answer := await ask(folder, request)):
                    return answer
            await asyncio.sleep(0.1)


async def test_presence_and_desired_state_over_a_real_broker(tmp_path: Path, broker: int) -> None:
    key, hub = SigningKey.generate(), SigningKey.generate()
    key.save(tmp_path / "agent.pem")
    hub.save_public(tmp_path / "hub.pub")
    (tmp_path / "agent.toml").write_text(FILE.format(folder=tmp_path, port=broker))
    command = [sys.executable, "-m", "agent", "--config", str(tmp_path / "agent.toml")]
    agent = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    done: list[tuple[str, bytes]] = []
    link = Link(BrokerConfig(port=broker), "s0001-kiosk-1", will=last_will("s0001", "s0001-kiosk-1", "kiosk"))
    presence = Presence(link, "s0001", "s0001-kiosk-1", "kiosk", version="1.2")
    converger = Converger(
        link,
        site="s0001",
        device="s0001-kiosk-1",
        issuer_keys={"s0001-agent": {key.key_id: key.public_bytes}},
        state_file=tmp_path / "kiosk.json",
    )

    def handler(name: str) -> Any:
        async def handle(value: msgspec.Raw) -> None:
            done.append((name, bytes(value)))

        return handle

    for name in ("identify", "configuration"):
        converger.handle(name, handler(name))
    try:
        link.start()
        here = {"do": "now"}
        answer = await until(tmp_path, here, lambda now: [d["online"] for d in now["devices"]] == [True])
        assert answer["devices"][0] == {"id": "s0001-kiosk-1", "part": "kiosk", "online": True, "expected": True}
        wish = {"do": "desire", "device": "s0001-kiosk-1", "name": "identify", "value": {"at_ms": 1}}
        version = (await ask(tmp_path, wish))["version"]
        reached = {"do": "reached", "device": "s0001-kiosk-1"}
        answer = await until(tmp_path, reached, lambda said: "identify" in said["reached"])
        assert answer["reached"]["identify"] == {"version": version, "result": "done"}
        assert done == [("configuration", b'{"levels":5}'), ("identify", b'{"at_ms":1}')]
        assert "not one of" in (await ask(tmp_path, {**wish, "name": "explode"}))["error"]
        assert "not a request" in (await ask(tmp_path, b"\x00{[\n"))["error"]
        assert "known: desire, now, reached" in (await ask(tmp_path, {"do": "dance"}))["error"]
        await presence.goodbye()
        await until(tmp_path, here, lambda now: [d["online"] for d in now["devices"]] == [False])
    finally:
        agent.terminate()
        code = await asyncio.wait_for(agent.wait(), 10)
        await link.close()
    assert code == 0
    records = read_records(tmp_path / "state" / "journal")
    assert [(r.device, r.online, r.version) for r in of(records, PresenceChanged)] == [
        ("s0001-kiosk-1", True, "1.2"),
        ("s0001-kiosk-1", False, "1.2"),
    ]
    assert {(r.name, r.result) for r in of(records, DesiredReached)} == {
        ("configuration", "done"),
        ("identify", "done"),
    }


def hostile_payloads(version: int) -> Iterator[tuple[str, bytes]]:
    """(leaf, body) below a device's branch: what no part of ours sends, nearly right or not at all."""
    status = {"type": "status", "device": "s0001-kiosk-1", "part": "kiosk", "online": True}
    reached = {"version": version, "result": "done"}
    odd: tuple[Any, ...] = ("x" * 200_000, 10**30, -(2**70), -1, None, [[]], {"a": 1}, 1e308, "\0\ud800", True)
    for field, value in itertools.product(("part", "version", "boot", "at_ms", "online", "device", "type", "v"), odd):
        yield "status", json.dumps(status | {field: value}).encode()
    for field, value in itertools.product(("version", "result", "detail"), odd):
        yield "reported", report("s0001-agent", {"identify": reached | {field: value}})
    flood = {f"p{number}": reached for number in range(3_000)} | {"identify": reached}
    for issuer in ("s0001-agent", "other"):
        yield "reported", report(issuer, flood)
    whole = json.dumps(status).encode()
    for body in (*(whole[:end] for end in range(len(whole))), b"[" * 100_000, whole[:-1] + b',"n":' + b"[" * 100_000):
        yield "status", body
        yield "reported", body.replace(b"status", b"reported")
    yield "status", json.dumps(status | {"version": "x" * 200_000}).encode()


def report(issuer: str, reached: dict[str, Any]) -> bytes:
    return json.dumps({"type": "reported", "device": "s0001-kiosk-1", "reached": {issuer: reached}}).encode()


async def test_no_message_on_the_broker_ends_the_agent_or_floods_its_journal(tmp_path: Path, broker: int) -> None:
    """Statuses and reports are not signed, and a retained one is met again at each start."""
    key, hub = SigningKey.generate(), SigningKey.generate()
    key.save(tmp_path / "agent.pem")
    hub.save_public(tmp_path / "hub.pub")
    (tmp_path / "agent.toml").write_text(FILE.format(folder=tmp_path, port=broker))
    command = [sys.executable, "-m", "agent", "--config", str(tmp_path / "agent.toml")]
    log = (tmp_path / "agent.log").open("wb")
    agent = await asyncio.create_subprocess_exec(*command, stderr=log)
    try:
        async with Link(BrokerConfig(port=broker), "hostile") as link:
            await link.ready()
            await until(tmp_path, {"do": "now"}, lambda now: now["broker"]["connected"])
            wish = {"do": "desire", "device": "s0001-kiosk-1", "name": "identify", "value": 1}
            version = (await ask(tmp_path, wish))["version"]
            for leaf, body in hostile_payloads(version):
                await link.publish(f"ce/1/s0001/s0001-kiosk-1/{leaf}", body, content_type="", retain=True)
            # What is right after all that is heard.
            honest = Presence(link, "s0001", "s0001-kiosk-2", "kiosk", version="1.2")
            await honest.goodbye()
            await until(tmp_path, {"do": "now"}, lambda now: "s0001-kiosk-2" in [d["id"] for d in now["devices"]])
            await asyncio.sleep(4)  # what was heard is told after three seconds
            assert agent.returncode is None
            assert await ask(tmp_path, {"do": "now"})
    finally:
        if agent.returncode is None:
            agent.terminate()
        code = await asyncio.wait_for(agent.wait(), 10)
        log.close()
    assert code == 0
    assert b"handler failed" not in (tmp_path / "agent.log").read_bytes()
    records = read_records(tmp_path / "state" / "journal")
    assert {record.device for record in of(records, PresenceChanged)} == {"s0001-kiosk-1", "s0001-kiosk-2"}
    assert len(of(records, DesiredReached)) < 20
    assert {record.name for record in of(records, DesiredReached)} == {"identify"}
    assert all(len(encode(record)) < 2_000 for record in records if not isinstance(record, SampleBlock))


async def test_the_diagnosis_is_said_again_before_the_backlog_once_the_hub_is_heard(
    tmp_path: Path, broker: int
) -> None:
    key, hub = SigningKey.generate(), SigningKey.generate()
    key.save(tmp_path / "agent.pem")
    hub.save_public(tmp_path / "hub.pub")
    (tmp_path / "agent.toml").write_text(FILE.format(folder=tmp_path, port=broker))
    command = [sys.executable, "-m", "agent", "--config", str(tmp_path / "agent.toml")]
    agent = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    live: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(incoming: Incoming) -> None:
        batch = msgspec.json.decode(envelope.unseal(incoming.sealed, BATCH_TYPE), type=Batch)
        for entry in batch.entries:
            await live.put(bytes(entry))

    link = Link(BrokerConfig(port=broker), "hub")
    link.subscribe(topics.up("s0001", "s0001-agent"), take)
    try:
        link.start()
        answer = await until(tmp_path, {"do": "now"}, lambda now: now["diagnosis"] and now["broker"]["connected"])
        assert live.empty(), "nothing is sent to a hub that is not heard"
        beacon = encode(Beacon("1", time.time_ns() // 1_000_000, 60))
        await link.publish_sealed(topics.BEACON, envelope.seal(beacon, BEACON_TYPE, hub))
        first = msgspec.json.decode(await asyncio.wait_for(live.get(), 20), type=Entry)
        told = read_data(first.kind, first.data)
    finally:
        agent.terminate()
        assert await agent.wait() == 0
        await link.close()
    assert isinstance(told, DiagnosisChanged)
    assert told.cause == answer["diagnosis"]["cause"]
    said = of(read_records(tmp_path / "state" / "journal"), DiagnosisChanged)
    assert said == [told, told], "once when it was found, with no receipt yet, and once when the hub was heard"
