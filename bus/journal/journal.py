"""The journal of one part: appended to by anyone, written by one thread, read by the uplink.

Always holds:
- an append that returned its key is on disk (a record) or will be within SAMPLE_SYNC_S (a sample); one that raised left
  nothing behind;
- what `epochs`, `read` and `on_durable` show is on disk, so nothing is ever sent that a power cut could take back;
- a record leaves only as `bus.journal.retention` says;
- each open starts a new random epoch at its first append (docs/decisions/0002-epoch-at-each-open.md).

Signatures of receipts are the caller's to verify; sending is `bus.uplink`'s.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import msgspec

from bus.clock import Stamp
from bus.config import JournalConfig
from bus.entries import EntryData, class_of, kind_of
from bus.errors import UnavailableError, WrongInputError
from bus.files import is_shortage
from bus.journal import ledger
from bus.journal.frame import ENTRY_LIMIT
from bus.journal.keeper import Keeper
from bus.journal.ledger import ConsumerState
from bus.journal.memory import Memory, recall_consumers
from bus.journal.mover import Mover
from bus.journal.quarantine import Quarantine
from bus.journal.reading import Collector, DamageMetError, Excerpt, collect
from bus.journal.scribe import Pending, Scribe
from bus.journal.segment import Segment
from bus.journal.shelf import Shelf
from bus.journal.stream import Held, Stream
from bus.journal.views import Chunk, Counters, EpochView, Key, ReceiptEffect
from bus.journal.writer import Writer
from bus.messages import EntryClass, Receipt
from bus.ranges import count, subtract, union

SEGMENT_BYTES: Final = 2 * 1024 * 1024
_SEGMENTS_A_READ: Final = 4
_DATA_LIMIT: Final = ENTRY_LIMIT // 2


class Journal:
    """See the module. Thread-safe. `UnavailableError` on opening: the folder is unusable or another process has it."""

    def __init__(
        self,
        directory: Path,
        *,
        stamp: Callable[[], Stamp],
        config: JournalConfig,
        consumers: tuple[str, ...] = ("hub",),
        on_durable: Callable[[Key], None] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._stamp = stamp
        self._consumers = consumers
        self._counters = Counters()
        self._closed = False
        self._claim = _claim(directory)
        try:
            memory = Memory(directory)
            notes = memory.load()
            shelf = Shelf(directory / "segments", Quarantine(directory / "quarantine"), self._counters, consumers)
            damaged = shelf.load(notes)
        except OSError as error:
            os.close(self._claim)
            raise UnavailableError(f"journal folder {directory} cannot be read now: {error}") from error
        except BaseException:
            os.close(self._claim)
            raise
        states = recall_consumers(notes) if notes is not None else {}
        self._keeper = Keeper(shelf, memory, config, consumers, self._counters, states, due=damaged)
        self._lock = self._keeper.lock
        self._scribe = Scribe(
            shelf,
            self._lock,
            segment_bytes={
                "record": min(segment_bytes, self._keeper.budget("record") // 8),
                "sample": min(segment_bytes, self._keeper.budget("sample") // 8),
            },
            stamp=stamp,
            make_room=self._keeper.make_room,
            grew=self._keeper.grew,
            damaged=damaged,
        )
        self._keeper.let_go, self._keeper.growing = self._scribe.let_go, self._scribe.growing
        self._writer = Writer(self._scribe, self._keeper, stamp, on_durable)
        self._mover = Mover(
            self._keeper,
            self._scribe,
            lambda epoch, klass, first, most, size: self.read(epoch, klass, first, max_count=most, max_bytes=size),
            self._submit,
        )

    # -- appending

    def append(self, data: EntryData, *, at: Stamp | None = None) -> "Future[Key]":
        """Record something. The future gives its key once it is kept, or `UnavailableError`: then nothing was.

        Cancelling works until the writer has taken it; afterwards the entry is written all the same.
        """
        return self._submit(kind_of(data), at if at is not None else self._stamp(), msgspec.json.encode(data))

    async def record(self, data: EntryData, *, at: Stamp | None = None) -> Key:
        """`append` for asyncio. Cancelled while it waits, the entry may or may not be kept."""
        return await asyncio.wrap_future(self.append(data, at=at))

    def flush(self) -> "Future[None]":
        """Done once all that was appended before is durable, samples too, and receipts are kept."""
        return self._writer.flush()

    def close(self) -> None:
        """Write what is pending, seal, keep the notes, let another process in. Idempotent."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            os.close(self._claim)

    def _submit(self, kind: str, at: Stamp, data: bytes) -> "Future[Key]":
        if len(data) > _DATA_LIMIT:
            raise WrongInputError(f"an entry of kind {kind} has {len(data)} bytes, at most {_DATA_LIMIT} fit: split it")
        pending = Pending(kind, class_of(kind), at, data, Future())
        self._writer.submit(pending)
        return pending.future

    # -- what is there

    @property
    def epoch(self) -> str:
        """The running epoch; '' before its first entry."""
        with self._lock:
            return self._scribe.epoch

    @property
    def healthy(self) -> bool:
        """False once the writer has met a defect of its own: end the process, the next open is sound."""
        return not self._writer.broken

    def counters(self) -> Counters:
        """A copy of the counters."""
        with self._lock:
            return msgspec.structs.replace(self._counters)

    def epochs(self) -> list[EpochView]:
        """Every (epoch, class) here, oldest first."""
        with self._lock:
            current = self._scribe.epoch
            return [
                stream.view(self._consumers, current=stream.epoch == current)
                for stream in sorted(self._keeper.shelf.streams, key=lambda stream: (stream.ordinal, stream.klass))
            ]

    def durable_head(self, epoch: str, klass: EntryClass) -> int:
        """The newest durable number, 0 where there is none."""
        with self._lock:
            stream = self._keeper.find(epoch, klass)
            return stream.head if stream is not None else 0

    def waiting(self, consumer: str) -> int:
        """How many entries held here this consumer has not receipted."""
        with self._lock:
            return sum(count(stream.waiting(consumer)) for stream in self._keeper.shelf.streams)

    def used_bytes(self, klass: EntryClass) -> int:
        """Disk taken by a class."""
        with self._lock:
            return self._keeper.used(klass)

    def read(self, epoch: str, klass: EntryClass, first: int, *, max_count: int, max_bytes: int) -> Chunk:
        """Consecutive entries from the first one held at or after `first`: an empty chunk when there is none.

        One entry is given even where it alone is over `max_bytes`. Damage met on the way is set aside and counted, and
        shows in `epochs` as lost. `UnavailableError`: a file cannot be opened now (descriptors, memory, rights). That
        says nothing of what is in it; try again.
        """
        while True:
            with self._lock:
                stream = self._keeper.find(epoch, klass)
                plan = _plan(stream, first) if stream is not None else []
            chunk = Collector(first, max_count, max_bytes)
            try:
                harmed = _collect_all(plan, chunk)
                if harmed is None:
                    return Chunk(chunk.first, chunk.chain.hex(), chunk.entries)
                self._keeper.look_again(epoch, klass, *harmed)
            except OSError as error:
                self._counters.disk_errors += 1
                raise UnavailableError(
                    f"the journal cannot be read now: {error}; nothing is lost, try again"
                ) from error

    # -- receipts

    def take_receipt(self, receipt: Receipt, *, sent: int | None = None) -> ReceiptEffect:
        """Take a receipt whose signature the caller has verified, and whose device is ours.

        `sent`: the newest number of that stream which may have reached the consumer, as whoever sends knows; None: all.
        """
        if receipt.consumer not in self._consumers:
            return ReceiptEffect("unknown")
        now = self._stamp()
        with self._lock:
            state = self._keeper.states.get(receipt.consumer, ConsumerState())
            stream = self._keeper.find(receipt.epoch, receipt.klass)
            if stream is None:
                decision = ledger.decide(state, Held(), receipt, head=0, now=now)
            else:
                held = stream.held_by.get(receipt.consumer, Held())
                running = receipt.epoch == self._scribe.epoch
                ours = (stream.head if sent is None else min(sent, stream.head)) if running else None
                forked = any(each.forked for each in self._keeper.epoch(receipt.epoch))
                decision = ledger.decide(state, held, receipt, head=stream.head, ours=ours, forked=forked, now=now)
            if not decision.fresh:
                self._counters.stale_receipts += 1
                return ReceiptEffect("stale")
            self._keeper.states[receipt.consumer] = decision.consumer
            self._keeper.due = True
            if stream is None:
                return ReceiptEffect("unknown")
            conflicts = subtract(ledger.conflicts(receipt, head=stream.head), stream.moved)
            stored = subtract(decision.held.stored, conflicts)
            stream.held_by[receipt.consumer] = Held(receipt.run, receipt.at_ms, stored)
            if receipt.consumer == self._consumers[0] and not stream.told:
                stream.told, stream.touched_ms = True, 0
            moving = union(conflicts, stream.waiting(receipt.consumer)) if decision.forked else conflicts
            moved = self._mover.want(stream, moving)
            if decision.above_head:
                self._leave(receipt.epoch, receipt.consumer)
            again = subtract(decision.again, stream.moved)
        self._mover.go()
        return ReceiptEffect("above-head" if decision.above_head else "taken", decision.newly, again, moved)

    def _leave(self, epoch: str, consumer: str) -> None:
        """A copy of this journal writes in our running epoch too: leave it, with all that was not receipted."""
        self._scribe.roll("receipt-above-head")
        self._keeper.urgent = True
        for stream in self._keeper.epoch(epoch):
            stream.forked = True
            self._mover.want(stream, stream.waiting(consumer))


def _claim(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        (directory / "segments").mkdir(mode=0o750, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UnavailableError(f"journal folder {directory} cannot be used: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UnavailableError(f"journal folder {directory} is in use by another process") from error
    return descriptor


def _plan(stream: Stream, first: int) -> list[Excerpt]:
    """The next few segments that hold something from `first` on."""
    wanted = [segment for segment in stream.segments if segment.held and segment.held[-1][1] >= first]
    return [_excerpt(segment, first) for segment in wanted[:_SEGMENTS_A_READ]]


def _collect_all(plan: list[Excerpt], chunk: Collector) -> tuple[Segment, int] | None:
    """Fill the chunk; the segment and number where that met damage, None where it did not. `OSError`: not now."""
    for excerpt in plan:
        try:
            if not collect(excerpt, chunk):
                return None
        except DamageMetError as damage:
            return excerpt.segment, damage.seq
        except FileNotFoundError:
            # The file went: by rule, while we looked, or because somebody removed it.
            return excerpt.segment, excerpt.held[0][0]
        except OSError as error:
            if not _may_pass(error):
                return excerpt.segment, excerpt.held[0][0]
            if chunk.entries:  # what stands before the file that cannot be opened is good
                return None
            raise
    return None


def _may_pass(error: OSError) -> bool:
    """Whether the file is as good as it was: descriptors ran out, or somebody took the right to read it away."""
    return is_shortage(error) or isinstance(error, PermissionError)


def _excerpt(segment: Segment, first: int) -> Excerpt:
    return Excerpt(segment, segment.size, segment.offset_near(first), segment.held)
