"""The courier between a real journal and the real hub, over a commune's broker bridged to the province's."""

import asyncio
import contextlib
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus import envelope, topics
from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.courier import Courier, Doorbell
from bus.entries import EventNoted, SampleBlock
from bus.envelope import SigningKey
from bus.journal import Journal
from bus.link import Incoming
from bus.messages import (
    BATCH_TYPE,
    BEACON_TYPE,
    RECEIPT_TYPE,
    Batch,
    Beacon,
    Entry,
    Range,
    Receipt,
    encode,
)
from bus.mqtt import Backoff, Link
from provisioning.mosquitto import Bridge
from tests.broker import Broker
from tests.hub.process import HubProcess
from tests.hub.sender import Sender

QUICK = Backoff(first_s=0.05, cap_s=0.3)


def stamp() -> Stamp:
    return Stamp("b" * 32, time.monotonic_ns(), time.time_ns() // 1_000_000, Quality.TRUSTED)


async def until(holds: Callable[[], bool], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # what is awaited here has no event of its own
            await asyncio.sleep(0.02)


@dataclass
class Box:
    """A device: its journal, its link, its courier."""

    journal: Journal
    link: Link
    courier: Courier

    def waiting(self) -> int:
        return self.journal.waiting("hub")


@contextlib.asynccontextmanager
async def box(
    folder: Path, broker: Broker, site: str, key: SigningKey, hub_key: SigningKey, *, draw: float = 0.1
) -> AsyncIterator[Box]:
    bell = Doorbell()
    journal = Journal(folder, stamp=stamp, config=JournalConfig(), on_durable=bell.ring)
    link = Link(broker.config, f"{site}-agent", backoff=QUICK)
    courier = Courier(
        link,
        journal,
        site=site,
        device=f"{site}-agent",
        key=key,
        hub_keys={hub_key.key_id: hub_key.public_bytes},
        bell=bell,
        draw=lambda: draw,
    )
    courier.start()
    link.start()
    try:
        yield Box(journal, link, courier)
    finally:
        await courier.close()
        await link.close()
        await asyncio.to_thread(journal.close)


class SmallHub:
    """Verifies and receipts, in memory; may forget what it stored. Counts a key with other bytes as a defect."""

    def __init__(self, broker: Broker, site: str, device_key: SigningKey) -> None:
        self.key = SigningKey.generate()
        self.run = "run-1"
        self.interval_s = 1
        self.stored: dict[tuple[str, str], dict[int, bytes]] = {}
        self.batches: list[tuple[Batch, Incoming]] = []
        self.conflicts = 0
        self.silent = False
        self._keys = {device_key.key_id: device_key.public_bytes}
        self._site = site
        self._link = Link(broker.config, f"hub-{site}", backoff=QUICK)
        self._link.subscribe(topics.up(site, "+"), self._take)

    async def __aenter__(self) -> "SmallHub":
        self._link.start()
        await self._link.ready()
        self._beacons = asyncio.create_task(self._send_beacons())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._beacons.cancel()
        await asyncio.gather(self._beacons, return_exceptions=True)
        await self._link.close()

    async def _send_beacons(self) -> None:
        while True:
            if self._link.connected and not self.silent:
                beacon = Beacon(self.run, time.time_ns() // 1_000_000, self.interval_s)
                with contextlib.suppress(Exception):
                    await self._link.publish_sealed(
                        topics.BEACON, envelope.seal(encode(beacon), BEACON_TYPE, self.key), expiry_s=3
                    )
            await asyncio.sleep(0.2)

    async def _take(self, incoming: Incoming) -> None:
        envelope.verify(incoming.sealed, self._keys)
        batch = msgspec.json.decode(envelope.unseal(incoming.sealed, BATCH_TYPE), type=Batch)
        self.batches.append((batch, incoming))
        held = self.stored.setdefault((batch.epoch, batch.klass), {})
        for raw in batch.entries:
            entry = msgspec.json.decode(raw, type=Entry)
            if held.setdefault(entry.seq, bytes(raw)) != bytes(raw):
                self.conflicts += 1
        await self.answer(batch, [(seq, seq) for seq in sorted(held)])

    async def answer(self, batch: Batch, stored: list[Range], **changed: Any) -> None:
        receipt = Receipt(
            consumer="hub",
            device=batch.device,
            epoch=batch.epoch,
            klass=batch.klass,
            stored=stored,
            run=self.run,
            at_ms=time.time_ns() // 1_000_000,
        )
        receipt = msgspec.structs.replace(receipt, **changed)
        with contextlib.suppress(Exception):
            await self._link.publish_sealed(
                topics.receipt(self._site, batch.device, "hub"),
                envelope.seal(encode(receipt), RECEIPT_TYPE, self.key),
            )

    def texts(self) -> list[str]:
        return sorted(
            msgspec.json.decode(raw)["data"]["detail"]
            for held in self.stored.values()
            for raw in held.values()
            if msgspec.json.decode(raw)["kind"] == "event.noted"
        )


async def test_over_the_bridge_to_the_real_hub_with_everything_killed_on_the_way(tmp_path: Path, site: str) -> None:
    province = Broker(tmp_path / "province")
    province.start()
    commune = Broker(tmp_path / "commune", bridge=Bridge(site=site, host=province.host, port=province.port))
    commune.start()
    key = SigningKey.generate()
    sender = Sender(site, f"{site}-agent")
    sender.key = key
    hub = HubProcess(tmp_path / "hub", province.config, f"sqlite:///{tmp_path / 'hub.db'}", sender)
    hub.start()
    try:
        async with box(tmp_path / "journal", commune, site, key, hub.key) as device:
            for turn, hurt in enumerate((None, commune, hub, province)):
                for number in range(50):
                    await device.journal.record(EventNoted("test", f"{turn}-{number}"))
                    if number == 25 and hurt is not None:
                        hurt.kill()
                if hurt is not None:
                    await asyncio.to_thread(hurt.start)
                await until(lambda: device.waiting() == 0, within_s=60)
            (row,) = [item for item in hub.get("/api/v1/journals").json()["items"] if item["class"] == "record"]
            assert (row["stored"], row["missing"]) == (201, 0)  # and the record that opened the epoch
            assert device.courier.counters.faults == 0
    finally:
        hub.kill()
        commune.stop()
        province.stop()


async def test_a_restored_hub_and_a_killed_broker_cost_nothing(
    new_broker: Callable[[], Broker], tmp_path: Path, site: str
) -> None:
    broker = new_broker()
    key = SigningKey.generate()
    wanted: list[str] = []
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:

        async def note(number: int) -> None:
            for _ in range(number):
                wanted.append(f"{len(wanted):05}")
                await device.journal.record(EventNoted("test", wanted[-1]))

        await note(100)
        await until(lambda: device.waiting() == 0)
        for held in hub.stored.values():  # yesterday's backup
            for seq in list(held)[len(held) // 2 :]:
                del held[seq]
        hub.run = "run-2"
        await note(20)
        await until(lambda: hub.texts() == wanted)
        await until(lambda: device.waiting() == 0)
        broker.kill()
        await note(20)
        broker.start()
        await note(20)
        await until(lambda: hub.texts() == wanted)
        await until(lambda: device.waiting() == 0)
        assert device.courier.counters.offered_again > 0
    assert hub.conflicts == 0


async def test_a_batch_on_the_wire_is_signed_expires_and_says_what_is_held(
    broker: Broker, tmp_path: Path, site: str
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        await until(lambda: device.courier.open)
        for number in range(300):
            device.journal.append(EventNoted("test", f"{number}"))
        last = await device.journal.record(EventNoted("test", "last"))
        await until(lambda: device.waiting() == 0)
        batches = [batch for batch, _ in hub.batches if batch.entries]
        assert any(incoming.content_type == f"{BATCH_TYPE}+zlib" for _, incoming in hub.batches)
        assert all(batch.device == f"{site}-agent" and batch.first >= 1 for batch in batches)
        assert max(batch.head for batch in batches) == last.seq
        assert all(len(batch.chain) == 64 for batch in batches)
        chain = await asyncio.to_thread(device.journal.read, last.epoch, "record", 1, max_count=1, max_bytes=1)
        assert next(batch.chain for batch in batches if batch.first == 1) == chain.chain


async def test_samples_go_beside_records(broker: Broker, tmp_path: Path, site: str) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        await device.journal.record(EventNoted("test", "x"))
        await device.journal.record(SampleBlock(1, 1000, {"a": [1.0, None]}))
        await until(lambda: device.waiting() == 0 and len(hub.stored) == 2)
        assert {klass for _, klass in hub.stored} == {"record", "sample"}
        assert all(batch.chain == "" for batch, _ in hub.batches if batch.klass == "sample")


async def test_what_is_not_the_hubs_word_settles_nothing(broker: Broker, tmp_path: Path, site: str) -> None:
    key, stranger = SigningKey.generate(), SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        hub.key = stranger
        await device.journal.record(EventNoted("test", "x"))
        await until(lambda: device.courier.counters.beacons_untrusted > 0)
        assert not device.courier.open
        assert hub.batches == []
        topic = topics.receipt(site, f"{site}-agent", "hub")
        forged = Batch(f"{site}-agent", device.journal.epoch, "record", 1, 2, [])
        await hub.answer(forged, [(1, 2)])
        await until(lambda: device.courier.counters.receipts_untrusted == 1)
        async with Link(broker.config, f"noise-{site}") as noise:
            await noise.ready()
            for body in (b"", b"{}", b"\xff" * 2000):
                await noise.publish(topic, body, content_type=RECEIPT_TYPE)
                await noise.publish(topics.BEACON, body, content_type=BEACON_TYPE)
        await until(lambda: device.courier.counters.receipts_untrusted == 4)
        assert device.waiting() == 2


async def test_a_receipt_for_another_device_or_consumer_settles_nothing(
    broker: Broker, tmp_path: Path, site: str
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        hub.silent = True
        await device.journal.record(EventNoted("test", "x"))
        asked = Batch(f"{site}-agent", device.journal.epoch, "record", 1, 2, [])
        await device.link.ready()
        await hub.answer(asked, [(1, 2)], consumer="site")
        await hub.answer(asked, [(1, 2)], device=f"{site}-other")
        async with Link(broker.config, f"noise-{site}") as noise:
            await noise.ready()
            broken = envelope.seal(b"{]", RECEIPT_TYPE, hub.key)
            await noise.publish_sealed(topics.receipt(site, f"{site}-agent", "hub"), broken)
        counters = device.courier.counters
        await until(lambda: counters.receipts_untrusted == 2 and counters.receipts_unreadable == 1)
        assert device.waiting() == 2


async def test_live_entries_are_receipted_quickly_while_a_backlog_drains(
    broker: Broker, tmp_path: Path, site: str
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub:
        hub.silent = True
        async with box(tmp_path / "journal", broker, site, key, hub.key) as device:
            for number in range(5_000):
                last = device.journal.append(EventNoted("test", f"{number}" + "x" * 200))
            await asyncio.wrap_future(last)
            hub.silent = False
            await until(lambda: device.courier.open)
            worst_s = 0.0
            for _ in range(10):
                began = time.monotonic()
                done = await device.journal.record(EventNoted("test", "live"))
                await until(lambda done=done: done.seq in hub.stored.get((done.epoch, "record"), {}))  # type: ignore[misc]  # lambda default
                worst_s = max(worst_s, time.monotonic() - began)
            assert worst_s < 2
            assert await device.courier.settle(30)


@pytest.mark.parametrize("moment", ["idle", "sending"])
async def test_closing_loses_nothing_and_the_next_start_goes_on(
    broker: Broker, tmp_path: Path, site: str, moment: str
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub:
        for turn in range(3):
            async with box(tmp_path / "journal", broker, site, key, hub.key) as device:
                for number in range(200):
                    last = device.journal.append(EventNoted("test", f"{turn}-{number:03}"))
                await asyncio.wrap_future(last)
                if moment == "idle":
                    assert await device.courier.settle(20)
                began = time.monotonic()
            assert time.monotonic() - began < 5
        async with box(tmp_path / "journal", broker, site, key, hub.key) as device:
            await until(lambda: device.waiting() == 0)
            assert hub.texts() == [f"{turn}-{number:03}" for turn in range(3) for number in range(200)]
            assert hub.conflicts == 0


async def test_a_hub_that_has_a_copys_entries_under_our_unsent_numbers_gets_ours_under_others(
    broker: Broker, tmp_path: Path, site: str
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        hub.silent = True
        texts = [f"ours {number:03}" for number in range(40)]
        for text in texts:
            done = await device.journal.record(EventNoted("test", text))
        copys = msgspec.json.encode({"kind": "event.noted", "data": {"detail": "copy"}})
        hub.stored[done.epoch, "record"] = dict.fromkeys(range(1, 31), copys)
        hub.silent = False
        await until(lambda: set(texts) <= set(hub.texts()))
        await until(lambda: device.waiting() == 0)
        assert hub.conflicts == 0, "nothing was sent under the numbers that the copy has"
        assert hub.texts().count("copy") == 30


@pytest.mark.parametrize(
    ("run", "back_s", "believed"),
    [("run-1", 55, True), ("run-1", 65, False), ("run-1", 3_600, False), ("run-2", 3_600, True)],
)
async def test_a_beacon_played_again_does_not_make_a_silent_hub_alive(
    broker: Broker, tmp_path: Path, site: str, run: str, back_s: int, believed: bool
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        await until(lambda: device.courier.open)
        hub.silent = True
        await until(lambda: not device.courier.open)
        counters = device.courier.counters
        beacons = counters.beacons
        now_ms = time.time_ns() // 1_000_000
        async with Link(broker.config, f"noise-{site}") as noise:
            await noise.ready()
            old = envelope.seal(encode(Beacon(run, now_ms - back_s * 1_000, 1)), BEACON_TYPE, hub.key)
            await noise.publish_sealed(topics.BEACON, old)
            await until(lambda: counters.beacons + counters.beacons_old == beacons + 1)
        assert (counters.beacons_old, device.courier.open) == (0, True) if believed else (1, False)


async def test_a_journal_that_cannot_be_read_now_is_sent_later(
    broker: Broker, tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SigningKey.generate()
    async with SmallHub(broker, site, key) as hub, box(tmp_path / "journal", broker, site, key, hub.key) as device:
        real, out = os.open, threading.Event()
        out.set()

        def refuse(path: str | Path, *arguments: int, **options: int) -> int:
            if out.is_set() and str(path).endswith(".seg") and arguments[0] & os.O_ACCMODE == os.O_RDONLY:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(path, *arguments, **options)

        monkeypatch.setattr("bus.journal.segment.os.open", refuse)
        await until(lambda: device.courier.open)
        await device.journal.record(EventNoted("test", "x"))
        await until(lambda: device.courier.counters.journal_unread > 0)
        assert (hub.texts(), device.courier.counters.faults) == ([], 0)
        out.clear()
        assert await device.courier.settle(30)
        assert hub.texts() == ["x"]
        assert device.journal.counters().damaged == 0
