"""The uplink: 100,000 queued records drain to the real hub while ten live ones a second go beside them.

The floor, in the same run: the same records in batches of the uplink's greatest size, neither signed nor stored by
anyone, published by a bare paho client at QoS 1 to the same broker. It says what the broker alone lets through; the
hub's transactions, signatures and digests are what ours pays for.

A live record's latency runs from `record` (before its fsync) to the hub's receipt, as the journal sees it.
"""

import asyncio
import os
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.report import Bound, Row
from bus import envelope, topics
from bus.clock import Quality, Stamp
from bus.config import BrokerConfig, JournalConfig
from bus.courier import Courier, Doorbell
from bus.entries import RatingPressed
from bus.journal import Journal, Key
from bus.link import Incoming
from bus.messages import RECEIPT_TYPE, Receipt
from bus.mqtt import Link
from bus.ranges import covers, union
from bus.window import BATCH_BYTES
from tests.broker import Broker
from tests.hub.process import HubProcess
from tests.hub.sender import Sender

_QUEUED: Final = 100_000
_LIVE_EVERY_S: Final = 0.1
_LIVE_LEAST: Final = 50  # goes on after the drain until that many have been seen
_SITE, _DEVICE = "bench", "bench-agent"
_LIMIT_S: Final = 900.0


def run(scale: float) -> list[Row]:
    """Every figure once; `scale` shortens the queue."""
    queued = max(2_000, int(_QUEUED * scale))
    with tempfile.TemporaryDirectory(prefix="uplink-bench-", dir=os.environ.get("COMMUNE_BENCH_DIR")) as name:
        return asyncio.run(_measure(Path(name), queued))


async def _measure(folder: Path, queued: int) -> list[Row]:
    bell = Doorbell()
    journal = Journal(folder / "journal", stamp=_stamp, config=JournalConfig(), on_durable=bell.ring)
    sender = Sender(_SITE, _DEVICE)
    broker = Broker(folder / "broker")
    broker.start()
    hub = HubProcess(folder / "hub", broker.config, f"sqlite:///{folder / 'hub.db'}", sender)
    hub.start()
    try:
        weight = await asyncio.to_thread(_queue, journal, queued)
        floor_s = await asyncio.to_thread(_bare_publish, journal, broker.config)
        link = Link(broker.config, _DEVICE)
        keys = {hub.key.key_id: hub.key.public_bytes}
        courier = Courier(link, journal, site=_SITE, device=_DEVICE, key=sender.key, hub_keys=keys, bell=bell)
        live = _Live(journal)
        link.subscribe(topics.receipt(_SITE, _DEVICE, "hub"), live.take_receipt)
        courier.start()
        link.start()
        try:
            drain_s = await _drain(journal, live, courier)
        finally:
            await courier.close()
            await link.close()
    finally:
        hub.kill()
        broker.stop()
        await asyncio.to_thread(journal.close)
    sent = courier.counters
    late = sorted(live.latencies_s)
    bare = "bare paho to the broker, stored nowhere"
    return [
        Row(
            f"drain of {queued:,} queued records to the hub's receipts",
            queued / drain_s,
            "records/s",
            bare,
            queued / floor_s,
        ),
        Row("live latency meanwhile, p50", _quantile(late, 0.5), "s"),
        Row("live latency meanwhile, p95", _quantile(late, 0.95), "s", bounds=(Bound("value", at_most=2.0),)),
        Row("live latency meanwhile, worst", late[-1], "s"),
        Row("live records meanwhile", len(late), "records"),
        Row("wire bytes a record", sent.wire_bytes / (sent.entries or 1), "B", "in the journal", weight / queued),
        Row("batches sent again", courier.core.resends, "batches"),
    ]


class _Live:
    """Live records on their way, and how long each took to its receipt."""

    def __init__(self, journal: Journal) -> None:
        self.latencies_s: list[float] = []
        self.waiting: dict[Key, float] = {}
        self.heard = asyncio.Event()
        self._journal = journal

    async def feed(self) -> None:
        number = 1_000_000
        while True:
            began = time.perf_counter()
            self.waiting[await self._journal.record(_press(number))] = began
            number += 1
            await asyncio.sleep(_LIVE_EVERY_S)

    def take_receipt(self, incoming: Incoming) -> None:
        receipt = msgspec.json.decode(envelope.unseal(incoming.sealed, RECEIPT_TYPE), type=Receipt)
        stored, now = union(receipt.stored), time.perf_counter()
        for key in [key for key in self.waiting if key.epoch == receipt.epoch and covers(stored, key.seq, key.seq)]:
            self.latencies_s.append(now - self.waiting.pop(key))
        self.heard.set()


async def _drain(journal: Journal, live: _Live, courier: Courier) -> float:
    """Seconds from the hub's first beacon until the queue is receipted, live records going beside it."""
    async with asyncio.timeout(_LIMIT_S):
        while not courier.open:  # noqa: ASYNC110  # the hub's next beacon
            await asyncio.sleep(0.02)
        began = time.perf_counter()
        feeding = asyncio.create_task(live.feed())
        try:
            while journal.waiting("hub") > len(live.waiting) + 5:
                live.heard.clear()
                await live.heard.wait()
            drained_s = time.perf_counter() - began
            while len(live.latencies_s) < _LIVE_LEAST:
                live.heard.clear()
                await live.heard.wait()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
    return drained_s


def _queue(journal: Journal, queued: int) -> int:
    """Fill the journal; bytes of its entries."""
    for start in range(0, queued, 1_000):
        futures = [journal.append(_press(number)) for number in range(start, min(queued, start + 1_000))]
        for future in futures:
            future.result(60)
    return sum(len(entry) for chunk in _chunks(journal) for entry in chunk)


def _chunks(journal: Journal) -> list[list[bytes]]:
    chunks = []
    (view,) = journal.epochs()
    first = 1
    while first <= view.head:
        chunk = journal.read(view.epoch, view.klass, first, max_count=1_000, max_bytes=BATCH_BYTES)
        chunks.append(chunk.entries)
        first = chunk.first + len(chunk.entries)
    return chunks


def _bare_publish(journal: Journal, broker: BrokerConfig) -> float:
    """Seconds to publish the same records, compressed as ours, by paho alone."""
    acknowledged = threading.Semaphore(0)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_publish = lambda *_: acknowledged.release()
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        if not connected.wait(10):
            raise ConnectionError("the broker did not answer the bare client")
        chunks = _chunks(journal)
        began = time.perf_counter()
        for chunk in chunks:
            client.publish("bench/floor", zlib.compress(b"[" + b",".join(chunk) + b"]", 6), qos=1)
        for _ in chunks:
            if not acknowledged.acquire(timeout=60):
                raise ConnectionError("the broker did not acknowledge the bare client")
        return time.perf_counter() - began
    finally:
        client.disconnect()
        client.loop_stop()


def _press(number: int) -> RatingPressed:
    return RatingPressed(f"panel-1/00c0ffee/{number}", "panel", 1, 5, 40, "counter-1", "officer-7")


def _stamp() -> Stamp:
    return Stamp("0" * 32, time.monotonic_ns(), time.time_ns() // 1_000_000, Quality.TRUSTED)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
