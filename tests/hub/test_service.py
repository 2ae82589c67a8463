"""The hub as a process, on a real broker: what devices send, what they hear, and what nobody can break."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bus import topics
from bus.entries import EventNoted
from bus.envelope import Sealed, SigningKey
from bus.messages import BATCH_TYPE, Status, encode
from hub.beacon import send_beacons
from hub.live import Live
from tests.broker import Broker
from tests.hub.cluster import Cluster
from tests.hub.mutations import entry
from tests.hub.peer import Peer
from tests.hub.process import HubProcess, eventually, write_roster
from tests.hub.sender import Sender

if TYPE_CHECKING:
    from bus.mqtt import Link
    from hub.store import Store

MakeHub = Callable[..., HubProcess]


@pytest.fixture
def mine(site: str) -> Sender:
    """A device of a site that no other test uses."""
    return Sender(site, f"{site}-agent")


@pytest.fixture
def broker(new_broker: Callable[[], Broker]) -> Broker:
    """A broker of the test's own: a hub takes every site's batches."""
    return new_broker()


@pytest.fixture
def make_hub(tmp_path: Path, broker: Broker) -> Iterator[MakeHub]:
    made: list[HubProcess] = []

    def make(*senders: Sender, store: str = "", name: str = "hub", more: str = "") -> HubProcess:
        hub = HubProcess(tmp_path / name, broker.config, store or "sqlite:///hub.db", *senders, more=more)
        made.append(hub)
        hub.start()
        return hub

    yield make
    for hub in made:
        hub.kill()


def fill(sender: Sender, count: int) -> None:
    for number in range(count):
        sender.add(EventNoted("test", str(number)))


def metric(hub: HubProcess, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(hub.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0.0


async def test_batches_in_receipts_out_beacons_between(mine: Sender, broker: Broker, make_hub: MakeHub) -> None:
    hub = make_hub(mine)
    fill(mine, 50)
    async with Peer(broker.config, mine, hub.key) as peer:
        await peer.until(lambda: len(peer.beacons) >= 2)
        for first in range(1, 51, 10):
            await peer.send(mine.batch(first, first + 9))
        receipt = await peer.stored(50)
        assert receipt.run == peer.beacons[-1].run
        status = Status(mine.device, "agent", online=True, version="9.9", boot="b")
        await peer.link.publish(topics.status(mine.site, mine.device), encode(status), retain=True)
        await eventually(lambda: metric(hub, "commune_device_info", device=mine.device, version="9.9") == 1)
    assert metric(hub, "commune_journal_stored_entries", device=mine.device) == 50
    assert hub.stop() < 5


async def test_a_new_run_after_each_start_and_nothing_twice(mine: Sender, broker: Broker, make_hub: MakeHub) -> None:
    hub = make_hub(mine)
    fill(mine, 20)
    async with Peer(broker.config, mine, hub.key) as peer:
        await peer.send(mine.batch(1, 10))
        first = await peer.stored(10)
        hub.kill()
        hub.start()
        await peer.until(lambda: bool(peer.beacons) and peer.beacons[-1].run != first.run)
        await peer.send(mine.batch(5, 20))
        second = await peer.stored(20)
    assert second.run == peer.beacons[-1].run != first.run
    assert second.at_ms >= first.at_ms


def mutated(rng: random.Random, mine: Sender, other: SigningKey) -> Sealed:
    sealed = mine.seal(mine.batch(1, rng.randint(0, 3)))
    match rng.randrange(9):
        case 0:  # noise
            return Sealed(rng.randbytes(rng.randint(0, 300)), BATCH_TYPE, sealed.signatures)
        case 1:  # one bit
            flipped = bytearray(sealed.body)
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            return Sealed(bytes(flipped), sealed.content_type, sealed.signatures)
        case 2:  # another's key
            return Sealed(sealed.body, sealed.content_type, (other.sign(sealed.content_type, sealed.body),))
        case 3:  # no or strange signatures
            return Sealed(
                sealed.body, sealed.content_type, rng.choice([(), ("x",), (":",), ("a:%%",), ("\U0001f525:eA==",)])
            )
        case 4:  # signed nonsense
            body = rng.choice([b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, rng.randbytes(200)])
            return Sealed(body, BATCH_TYPE, (mine.key.sign(BATCH_TYPE, body),))
        case 5:  # signed, said to be compressed
            body = rng.randbytes(100)
            return Sealed(body, BATCH_TYPE + "+zlib", (mine.key.sign(BATCH_TYPE + "+zlib", body),))
        case 6:  # signed, in an epoch of its own: entries with values that nothing here expects
            line = mine.new_line(rng.choice(["record", "sample"]))
            for number in range(rng.randint(1, 20)):
                mine.add_raw(entry(rng, number + 1, line.klass), line=line)
            return mine.seal(mine.batch(line=line))
        case 7:  # signed, with numbers or texts out of all proportion in its head
            batch = msgspec.json.decode(encode(mine.batch(1, 2))) | {"epoch": mine.new_line("record").epoch}
            name = rng.choice(["first", "first_held", "head", "epoch", "chain", "device", "v", "lost", "entries"])
            large: object = rng.choice([2**63 - 1, 2**63, -(2**63), 10**30, 10**400, 1e300])
            worse = rng.choice([large, "x" * 100_000, [large] * 3, {"first": large, "last": 1}, None])
            text = msgspec.json.encode(batch | {"entries": [{}, {}] if name == "first" else []} | {name: worse})
            return Sealed(text, BATCH_TYPE, (mine.key.sign(BATCH_TYPE, text),))
        case _:  # signed, cut off or with fields of wrong types
            text = encode(mine.batch(1, 2))
            body = text[: rng.randrange(len(text))] if rng.random() < 0.5 else text.replace(b'"head":', b'"head":-')
            return Sealed(body, BATCH_TYPE, (mine.key.sign(BATCH_TYPE, body),))


async def test_no_message_stops_the_stream(mine: Sender, broker: Broker, make_hub: MakeHub, store_url: str) -> None:
    hub = make_hub(mine, store=store_url)
    fill(mine, 5)
    rng, other = random.Random(7), SigningKey.generate()
    places = [mine.topic, topics.up(mine.site, "nobody"), topics.up("s9", mine.device), "ce/1/A B/x/up"]
    sent = 600
    async with Peer(broker.config, mine, hub.key) as peer:
        for _ in range(sent):
            topic = mine.topic if rng.random() < 0.8 else rng.choice(places[1:])
            await peer.link.publish_sealed(topic, mutated(rng, mine, other))
        await peer.send(mine.batch(1, 5))
        await peer.stored(5)
    assert hub.process is not None
    assert hub.process.poll() is None
    reasons = {
        sample.labels["reason"]: sample.value
        for family in text_string_to_metric_families(hub.get("/metrics").text)
        for sample in family.samples
        if sample.name == "commune_rejected_messages_total"
    }
    assert {"wrong-signature", "unreadable", "unknown-device", "wrong-site"} <= set(reasons)
    assert sum(reasons.values()) + metric(hub, "commune_hub_batches_total") == sent + 1
    assert "Traceback" not in hub.log.read_text()


async def test_the_known_list_is_followed(mine: Sender, broker: Broker, make_hub: MakeHub) -> None:
    hub = make_hub()
    fill(mine, 1)
    async with Peer(broker.config, mine, hub.key) as peer:
        await peer.send(mine.batch())
        await peer.until(lambda: len(peer.beacons) >= 2)
        assert peer.heard == []
        write_roster(hub.roster, mine)
        await eventually(lambda: "known list taken over" in hub.log.read_text())
        await peer.send(mine.batch())
        await peer.stored(1)
        bad = ["[[site]]\nid = 7\n", f"x = {'9' * 5_000}\n", f"x = {'[' * 5_000}{']' * 5_000}\n"]
        for times, text in enumerate(bad, 1):  # the last two are more than the reader of TOML bears
            hub.roster.write_text(text)
            await eventually(lambda: metric(hub, "commune_hub_roster_failures_total") == times)  # noqa: B023 - at once
        mine.add(EventNoted("still known"))
        await peer.send(mine.batch())
        await peer.stored(2)


async def test_two_hubs_share_one_store(mine: Sender, broker: Broker, make_hub: MakeHub, cluster: Cluster) -> None:
    store = cluster.new_store()
    others = [Sender(mine.site, f"{mine.site}-kiosk-{number}", "kiosk") for number in range(3)]
    first = make_hub(mine, *others, store=store, name="one")
    second = make_hub(mine, *others, store=store, name="two")
    second.key = first.key
    second.stop()
    (second.folder / "hub.pem").write_bytes((first.folder / "hub.pem").read_bytes())
    second.start()
    peers = [Peer(broker.config, sender, first.key) for sender in [mine, *others]]
    for sender in [mine, *others]:
        fill(sender, 300)

    async def drain(peer: Peer) -> None:
        async with peer:
            for first_seq in range(1, 301, 5):
                await peer.send(peer.sender.batch(max(1, first_seq - 3), first_seq + 4))  # each overlaps the one before
            await peer.stored(300)

    await asyncio.gather(*(drain(peer) for peer in peers))
    shares = [metric(hub, "commune_hub_batches_total") for hub in (first, second)]
    assert sum(shares) == 4 * 60
    assert min(shares) > 0
    assert metric(first, "commune_hub_entries_total") + metric(second, "commune_hub_entries_total") == 4 * 300
    assert metric(first, "commune_quarantined_total") == 0
    runs = {beacon.run for beacon in peers[0].beacons[-2:]}
    assert len(runs) <= 1


async def test_a_store_that_goes_away_is_waited_for(
    mine: Sender, broker: Broker, make_hub: MakeHub, tmp_path: Path
) -> None:
    own = Cluster()
    try:
        own.start()
        hub = make_hub(mine, store=own.new_store())
        fill(mine, 10)
        async with Peer(broker.config, mine, hub.key) as peer:
            await peer.send(mine.batch(1, 5))
            before = await peer.stored(5)
            own.stop()
            await peer.send(mine.batch(6, 10))
            await eventually(lambda: "store away" in hub.log.read_text())
            own.start()
            await peer.until(lambda: bool(peer.beacons) and peer.beacons[-1].run != before.run)
            await peer.send(mine.batch(6, 10))
            after = await peer.stored(10)
        assert after.run != before.run
        assert hub.process is not None
        assert hub.process.poll() is None
    finally:
        own.remove()


def test_check_says_all_that_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('stor = "x"\nbeacon_s = 0\n[http]\nport = 70000\n')
    argv = [sys.executable, "-m", "provisioning.command", "hub", "--config", str(config), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 2
    for found in ("line 1: stor", "line 2: beacon_s", "line 4: http.port"):
        assert found in done.stderr
    config.write_text('store = "mysql://x"\n')
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 2
    for found in ("roster.toml", "hub.pem", "mysql"):
        assert found in done.stderr
    config.write_text(
        '[broker.tls]\nca = "ca.pem"\ncert = "broker.pem"\nkey = "k"\n'
        '[remote_write]\nurl = "https://h/write"\nca = "their-ca.pem"\ntoken = "write.token"\n'
    )
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 2
    for found in ("broker.pem", "remote_write's ca", "write.token"):
        assert found in done.stderr


class Away:
    """A broker that cannot be reached."""

    async def ready(self) -> None:
        await asyncio.Event().wait()


async def test_a_broker_that_is_away_is_no_reason_to_start_the_hub_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.beacon._WAIT_S", 0.01)
    turned = asyncio.Event()
    turns = 0

    def progress() -> None:
        nonlocal turns
        turns += 1
        if turns >= 3:
            turned.set()

    link, store = cast("Link", Away()), cast("Store", None)
    task = asyncio.create_task(send_beacons(link, store, SigningKey.generate(), 10, Live(), progress))
    await asyncio.wait_for(turned.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
