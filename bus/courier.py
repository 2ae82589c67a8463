"""The shell of the uplink: joins journal, core (`bus.uplink`), link and envelope.

It hands the core what happens (connections, the hub's beacon, receipts, new entries, time), and carries out what the
core wants: read from the journal, seal, publish. Receipts and beacons count only where a hub key signed them, over the
bytes received (design decision 6). What may be slow (reading, compressing, signing) is done in threads of its own.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar, assert_never

import msgspec

from bus import envelope, topics
from bus.envelope import KeyId, Sealed, SigningKey
from bus.errors import CommuneError, CorruptError, UnavailableError, UntrustedError, WrongInputError
from bus.identifiers import DeviceId, Epoch, SiteId
from bus.journal import EpochView, Journal, Key
from bus.link import Incoming, LinkBase
from bus.logs import fields
from bus.messages import (
    BATCH_TYPE,
    BEACON_TYPE,
    RECEIPT_TYPE,
    Batch,
    Beacon,
    EntryClass,
    Receipt,
    encode,
)
from bus.ranges import count, union
from bus.uplink import Uplink
from bus.uplink_events import (
    Appended,
    AskHeld,
    BeaconSeen,
    Connected,
    Disconnected,
    Effect,
    Input,
    JournalSeen,
    PublishFailed,
    ReceiptTaken,
    SendBatch,
    Sent,
    StreamSeen,
    Tick,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

CONSUMER: Final = "hub"
_TICK_S: Final = 0.25
_LOOK_EVERY_S: Final = 5.0  # what left the journal by its own rules is noticed this late
_THREADS: Final = 2
_BEACON_BACK_MS: Final = 60_000  # a beacon dated this much before the latest of its run is an old one played again
_receipt = msgspec.json.Decoder(Receipt)
_beacon = msgspec.json.Decoder(Beacon)


@dataclass(slots=True)
class CourierCounters:
    """Since the start. Every refusal is here. `wire_bytes` counts bodies as published, asks included."""

    batches: int = 0
    entries: int = 0
    asks: int = 0
    wire_bytes: int = 0
    publish_failures: int = 0
    publish_refused: int = 0
    journal_unread: int = 0
    receipts: int = 0
    receipts_stale: int = 0
    receipts_untrusted: int = 0
    receipts_unreadable: int = 0
    receipted: int = 0
    offered_again: int = 0
    refused_entries: int = 0
    beacons: int = 0
    beacons_untrusted: int = 0
    beacons_old: int = 0
    faults: int = 0


class Doorbell:
    """Give `ring` to the journal as `on_durable`, and the bell to the courier: then live entries go at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heads: dict[tuple[Epoch, EntryClass], int] = {}
        self._answer: Callable[[], None] | None = None

    def ring(self, key: Key) -> None:
        """An entry is durable. Callable from any thread; rings while nobody has come to the door are one."""
        with self._lock:
            first = not self._heads
            stream = key.epoch, key.klass
            self._heads[stream] = max(self._heads.get(stream, 0), key.seq)
            answer = self._answer
        if first and answer is not None:
            answer()

    def attach(self, answer: Callable[[], None] | None) -> None:
        """Have `answer` called, by whatever thread rings."""
        with self._lock:
            self._answer = answer
            waiting = bool(self._heads)
        if waiting and answer is not None:
            answer()

    def take(self) -> dict[tuple[Epoch, EntryClass], int]:
        """The newest durable number of each stream that rang since the last call."""
        with self._lock:
            heads, self._heads = self._heads, {}
        return heads


@dataclass(frozen=True, slots=True)
class _Parcel:
    first: int
    last: int
    bytes: int
    sealed: Sealed


class Courier:
    """Carries one device's journal to the hub. `start` before `link.start`, `close` before `link.close`."""

    def __init__(
        self,
        link: LinkBase,
        journal: Journal,
        *,
        site: SiteId,
        device: DeviceId,
        key: SigningKey,
        hub_keys: Mapping[KeyId, bytes],
        bell: Doorbell | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.counters: Final = CourierCounters()
        self.core: Final = Uplink(draw)
        self._link = link
        self._journal = journal
        self._device = device
        self._up = topics.up(site, device)
        self._key = key
        self._hub_keys = hub_keys
        self._bell = bell if bell is not None else Doorbell()
        self._views: dict[tuple[Epoch, EntryClass], EpochView] = {}
        self._beacon_at: tuple[str, int] = ("", 0)
        self._sent: dict[tuple[Epoch, EntryClass], int] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="courier")
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looked_s = float("-inf")
        self._receipted = asyncio.Event()
        link.watch(on_connect=self._connected, on_disconnect=lambda: self._feed(Disconnected()))
        link.subscribe(topics.receipt(site, device, CONSUMER), self._take_receipt)
        link.subscribe(topics.BEACON, self._take_beacon)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._bell.attach(self._ring)
        self._spawn(self._tick())
        if self._link.connected:
            self._connected()

    async def close(self) -> None:
        """End. What was not receipted stays in the journal."""
        self._bell.attach(None)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def settle(self, within_s: float) -> bool:
        """Wait until the hub has receipted all that the core knows of; False where time runs out first."""
        self._look()
        try:
            async with asyncio.timeout(within_s):
                while self.core.waiting:
                    self._receipted.clear()
                    await self._receipted.wait()
        except TimeoutError:
            return False
        return True

    @property
    def open(self) -> bool:
        """The broker is connected and the hub's beacon is fresh."""
        return self.core.open(_now_ms())

    # -- what happens

    def _connected(self) -> None:
        self._look()
        self._feed(Connected())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                if self._link.connected and time.monotonic() - self._looked_s >= _LOOK_EVERY_S:
                    self._look()
                self._feed(Tick())
            except Exception:
                self.counters.faults += 1
                log.exception("uplink fault")

    def _ring(self) -> None:
        assert self._loop is not None  # noqa: S101  # attached by start()
        try:
            self._loop.call_soon_threadsafe(self._answer_bell)
        except RuntimeError:
            return  # the loop has been closed: the journal has it all

    def _answer_bell(self) -> None:
        for (epoch, klass), head in self._bell.take().items():
            self._feed(Appended(epoch, klass, head))

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        views = self._journal.epochs()
        self._views = {(view.epoch, view.klass): view for view in views}
        self._feed(JournalSeen(tuple(_seen(view) for view in views)))

    def _take_beacon(self, incoming: Incoming) -> None:
        try:
            envelope.verify(incoming.sealed, self._hub_keys)
            beacon = _beacon.decode(envelope.unseal(incoming.sealed, BEACON_TYPE))
        except (CommuneError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.counters.beacons_untrusted += 1
            log.warning("beacon not believed %s", fields(error=error))
            return
        run, at_ms = self._beacon_at
        if incoming.retain or beacon.interval_s < 1 or (beacon.run == run and beacon.at_ms < at_ms - _BEACON_BACK_MS):
            self.counters.beacons_old += 1
            return
        self.counters.beacons += 1
        self._beacon_at = beacon.run, beacon.at_ms
        self._feed(BeaconSeen(beacon.run, beacon.interval_s))

    def _take_receipt(self, incoming: Incoming) -> None:
        try:
            receipt = self._read_receipt(incoming.sealed)
        except UntrustedError as error:
            self.counters.receipts_untrusted += 1
            log.warning("receipt not believed %s", fields(error=error))
            return
        except (CorruptError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.counters.receipts_unreadable += 1
            log.warning("receipt not readable %s", fields(error=error))
            return
        effect = self._journal.take_receipt(receipt, sent=self._sent.get((receipt.epoch, receipt.klass), 0))
        if effect.verdict == "stale":
            self.counters.receipts_stale += 1
            return
        self.counters.receipts += 1
        self.counters.receipted += effect.newly
        self.counters.offered_again += sum(last - first + 1 for first, last in effect.again)
        self.counters.refused_entries += count(effect.moved)
        for refused in receipt.refused:
            if refused.verdict == "quarantined":  # conflicts come with every receipt
                self.counters.refused_entries += 1
                said = fields(epoch=receipt.epoch, seq=refused.seq, reason=refused.reason)
                log.warning("hub set an entry aside %s", said)
        if effect.moved:
            said = fields(epoch=receipt.epoch, why=effect.verdict, ranges=effect.moved)
            log.warning("hub has others' entries under our numbers, ours are written again %s", said)
        if effect.again:
            log.warning("hub holds less than it had receipted %s", fields(epoch=receipt.epoch, ranges=effect.again))
        self._feed(ReceiptTaken(receipt.epoch, receipt.klass, union(receipt.stored), receipt.run))
        self._receipted.set()

    def _read_receipt(self, sealed: Sealed) -> Receipt:
        envelope.verify(sealed, self._hub_keys)
        receipt = _receipt.decode(envelope.unseal(sealed, RECEIPT_TYPE))
        if receipt.device != self._device or receipt.consumer != CONSUMER:
            raise UntrustedError(f"the receipt is {receipt.consumer}'s for {receipt.device}, not the hub's for us")
        return receipt

    # -- what follows

    def _feed(self, happened: Input) -> None:
        for effect in self.core.step(happened, _now_ms()):
            self._spawn(self._carry_out(effect))

    async def _carry_out(self, effect: Effect) -> None:
        try:
            match effect:
                case SendBatch():
                    await self._send(effect)
                case AskHeld():
                    await self._ask(effect)
                case _:
                    assert_never(effect)
        except Exception:
            self.counters.faults += 1
            log.exception("uplink fault")
            if isinstance(effect, SendBatch):
                self._feed(PublishFailed(effect))

    async def _send(self, batch: SendBatch) -> None:
        try:
            parcel = await self._in_thread(lambda: self._pack(batch))
        except UnavailableError as error:
            self.counters.journal_unread += 1
            log.warning("journal not read, tried again %s", fields(epoch=batch.epoch, error=error))
            self._feed(PublishFailed(batch, unread=True))
            return
        if parcel is None:
            self._feed(PublishFailed(batch, empty=True))
            return
        stream = batch.epoch, batch.klass
        self._sent[stream] = max(self._sent.get(stream, 0), parcel.last)
        self._feed(Sent(batch, parcel.first, parcel.last, parcel.bytes))
        try:
            await self._publish(parcel.sealed, batch.expiry_s)
        except WrongInputError as error:
            self.counters.publish_refused += 1
            log.error("batch is too large for the broker %s", fields(error=error))
            self._feed(PublishFailed(batch, too_large=True))
        except UntrustedError as error:
            self.counters.publish_refused += 1
            log.error("broker refuses our batches %s", fields(error=error))
            self._feed(PublishFailed(batch))
        except UnavailableError:
            self.counters.publish_failures += 1
            self._feed(PublishFailed(batch))
        else:
            self.counters.batches += 1
            self.counters.entries += parcel.last - parcel.first + 1

    async def _ask(self, ask: AskHeld) -> None:
        try:
            sealed = await self._in_thread(lambda: self._seal(ask.epoch, ask.klass, 0, "", []))
            await self._publish(sealed, ask.expiry_s)
        except CommuneError as error:  # asked again after the interval
            self.counters.publish_failures += 1
            log.info("not asked %s", fields(error=error))
        else:
            self.counters.asks += 1

    async def _publish(self, sealed: Sealed, expiry_s: int) -> None:
        await self._link.publish_sealed(self._up, sealed, expiry_s=expiry_s)
        self.counters.wire_bytes += len(sealed.body)

    def _pack(self, batch: SendBatch) -> _Parcel | None:
        wanted = batch.last - batch.first + 1
        chunk = self._journal.read(batch.epoch, batch.klass, batch.first, max_count=wanted, max_bytes=batch.max_bytes)
        entries = chunk.entries[: max(0, batch.last - chunk.first + 1)]
        if not entries:
            return None
        sealed = self._seal(batch.epoch, batch.klass, chunk.first, chunk.chain, entries)
        return _Parcel(chunk.first, chunk.first + len(entries) - 1, sum(map(len, entries)), sealed)

    def _seal(self, epoch: Epoch, klass: EntryClass, first: int, chain: str, entries: list[bytes]) -> Sealed:
        view = self._views.get((epoch, klass))  # up to _LOOK_EVERY_S old; none: an epoch that has just begun
        batch = Batch(
            device=self._device,
            epoch=epoch,
            klass=klass,
            first_held=view.first_held if view is not None else 1,
            head=self._journal.durable_head(epoch, klass),
            entries=[msgspec.Raw(entry) for entry in entries],
            chain=chain,
            lost=view.lost if view is not None else [],
            first=first,
        )
        return envelope.seal(encode(batch), BATCH_TYPE, self._key)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _seen(view: EpochView) -> StreamSeen:
    gone = union((lost.first, lost.last) for lost in view.lost)
    stored = union(view.stored.get(CONSUMER, []))
    return StreamSeen(view.epoch, view.klass, view.first_held, view.head, stored, gone)


def _now_ms() -> float:
    return time.monotonic() * 1_000
