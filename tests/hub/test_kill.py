"""SIGKILL of the hub at random points under load, with a real journal on the other side: none lost, none twice."""

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EventNoted, SampleBlock
from bus.journal import Journal
from bus.messages import Batch, EntryClass, Receipt
from tests.broker import Broker
from tests.evidence import rounds
from tests.hub.peer import Peer
from tests.hub.process import HubProcess
from tests.hub.sender import START_MS, Sender

KILLS = rounds(small=5, full=200)
PATIENCE_S = 20.0 * KILLS


class Device:
    """Sends all that its journal holds until the hub has said that it has it; as simple as it can be."""

    def __init__(self, journal: Journal, peer: Peer) -> None:
        self._journal = journal
        self._peer = peer
        self._taken = 0

    async def drain(self, done: Callable[[], bool]) -> None:
        while not (done() and self._settled()):
            for view in self._journal.epochs():
                await self._offer(view.epoch, view.klass, view.stored.get("hub", []), view.first_held, view.head)
            try:
                await asyncio.wait_for(self._peer.until(lambda: len(self._peer.heard) > self._taken), 0.5)
            except TimeoutError:
                continue  # the hub is away: offered again
            finally:
                self._take()

    def _take(self) -> None:
        for receipt in self._peer.heard[self._taken :]:
            self._journal.take_receipt(receipt)
        self._taken = len(self._peer.heard)

    def _settled(self) -> bool:
        return all(view.stored.get("hub") == [(1, view.head)] for view in self._journal.epochs() if view.head)

    async def _offer(
        self, epoch: str, klass: EntryClass, stored: list[tuple[int, int]], first_held: int, head: int
    ) -> None:
        first = 1 if not stored or stored[0][0] > 1 else stored[0][1] + 1
        for _ in range(4):
            if first > head:
                return
            chunk = self._journal.read(epoch, klass, first, max_count=37, max_bytes=100_000)
            raws = [msgspec.Raw(raw) for raw in chunk.entries]
            device = self._peer.sender.device
            await self._peer.send(Batch(device, epoch, klass, first_held, head, raws, chunk.chain, [], chunk.first))
            first = chunk.first + len(raws)


def stamp() -> Stamp:
    return Stamp("b" * 32, 1, START_MS, Quality.TRUSTED)


@pytest.mark.prove
@pytest.mark.timeout(60 + PATIENCE_S)
async def test_a_hub_killed_under_load_has_everything_once(
    tmp_path: Path, new_broker: Callable[[], Broker], site: str, evidence: Callable[[str], None]
) -> None:
    broker, sender, rng = new_broker(), Sender(site, f"{site}-agent"), random.Random(11)
    hub = HubProcess(tmp_path / "hub", broker.config, "sqlite:///hub.db", sender)
    hub.start()
    journal = Journal(tmp_path / "journal", stamp=stamp, config=JournalConfig())
    written: dict[tuple[str, str, int], str] = {}
    killing = True

    async def write() -> None:
        number = 0
        while killing:
            pending = [journal.append(EventNoted("load", str(number + at))) for at in range(20)]
            pending.append(journal.append(SampleBlock(START_MS, 1000, {"x": [float(number)]})))
            for future in pending:
                key = await asyncio.wrap_future(future)
                written[key.epoch, key.klass, key.seq] = ""
            number += 20
            await asyncio.sleep(0.02)
        await asyncio.wrap_future(journal.flush())

    async def kill() -> None:
        nonlocal killing
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.3, 1.5))
            await asyncio.to_thread(hub.kill)
            await asyncio.to_thread(hub.start)
        killing = False

    async with Peer(broker.config, sender, hub.key) as peer:
        writing = asyncio.create_task(write())
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            group.create_task(kill())
            group.create_task(Device(journal, peer).drain(writing.done))
        await writing
        runs = {receipt.run for receipt in peer.heard}
    for view in journal.epochs():
        if view.head:
            chunk_first = 1
            while chunk_first <= view.head:
                chunk = journal.read(view.epoch, view.klass, chunk_first, max_count=1000, max_bytes=1 << 20)
                for at, raw in enumerate(chunk.entries, chunk.first):
                    written[view.epoch, view.klass, at] = hashlib.sha256(raw).hexdigest()
                chunk_first = chunk.first + len(chunk.entries)
    journal.close()
    assert hub.stop() < 5
    stored = read_store(tmp_path / "hub" / "hub.db")
    lost, invented = len(written.keys() - stored.keys()), len(stored.keys() - written.keys())
    evidence(f"hub killed {KILLS} times, {len(written)} entries: {lost} lost, {invented} invented, none twice")
    assert stored == written
    assert len(runs) > 1
    assert "Traceback" not in hub.log.read_text()


def read_store(path: Path) -> dict[tuple[str, str, int], str]:
    """Every entry that the hub holds, by its key; rows are unique by the table's own key."""
    with sqlite3.connect(path) as connection:
        rows = [
            (row, table)
            for table in ("entry", "sample")
            for row in connection.execute(
                f"SELECT j.epoch, j.class, e.seq, e.digest FROM {table} e JOIN journal j ON j.id = e.journal_id"
            )
        ]
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        assert connection.execute("SELECT sum(chain_breaks) FROM journal").fetchone() == (0,)
        spans = connection.execute("SELECT sum(last - first + 1) FROM stored_range").fetchone()[0]
    connection.close()
    found = {(epoch, klass, seq): digest.hex() for (epoch, klass, seq, digest), _ in rows}
    assert len(found) == len(rows) == spans
    return found


async def test_a_hub_restored_from_yesterday_is_offered_the_rest_again(
    tmp_path: Path, new_broker: Callable[[], Broker], site: str
) -> None:
    broker, sender = new_broker(), Sender(site, f"{site}-agent")
    hub = HubProcess(tmp_path / "hub", broker.config, "sqlite:///hub.db", sender)
    hub.start()
    journal = Journal(tmp_path / "journal", stamp=stamp, config=JournalConfig())
    store = tmp_path / "hub" / "hub.db"

    async def settle(peer: Peer, count: int) -> Receipt:
        for number in range(count):
            await journal.record(EventNoted("day", str(number)))
        async with asyncio.timeout(30):
            await Device(journal, peer).drain(lambda: True)
        return peer.heard[-1]

    async with Peer(broker.config, sender, hub.key) as peer:
        await settle(peer, 50)
        hub.stop()
        yesterday = store.read_bytes()
        hub.start()
        today = await settle(peer, 70)
        assert today.stored == [(1, 121)]
        hub.kill()
        for leftover in store.parent.glob("hub.db-*"):
            leftover.unlink()
        store.write_bytes(yesterday)
        hub.start()
        (view,) = [view for view in journal.epochs() if view.klass == "record"]
        ask = Batch(sender.device, view.epoch, "record", 1, view.head, [])
        await peer.send(ask)
        await peer.until(lambda: peer.heard[-1].run != today.run)
        assert peer.heard[-1].stored == [(1, 51)]
        effect = journal.take_receipt(peer.heard[-1])
        assert effect.again == ((52, 121),)
        after = await settle(peer, 0)
        assert after.stored == [(1, 121)]
    journal.close()
    hub.stop()
    assert len(read_store(store)) == 121
