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
import contextlib
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import msgspec

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EntryData, class_of, kind_of
from bus.errors import UnavailableError, WrongInputError
from bus.files import sync_folder
from bus.journal import ledger, retention
from bus.journal.frame import ENTRY_LIMIT
from bus.journal.ledger import ConsumerState
from bus.journal.memory import Memory, recall_consumers
from bus.journal.quarantine import Quarantine
from bus.journal.ranges import Ranges, count, subtract, union
from bus.journal.reading import Collector, DamageMetError, Excerpt, collect
from bus.journal.scribe import Pending, Scribe, unavailable
from bus.journal.segment import Segment
from bus.journal.shelf import Shelf
from bus.journal.stream import Held, Stream
from bus.journal.views import Chunk, Counters, EpochView, Key, ReceiptEffect
from bus.logs import fields
from bus.messages import Entry, EntryClass, Receipt

_log = logging.getLogger("journal")

SAMPLE_SYNC_S: Final = 5.0
NOTES_EVERY_S: Final = 5.0
AGEING_EVERY_S: Final = 60.0
SEGMENT_BYTES: Final = 2 * 1024 * 1024
PENDING_LIMIT: Final = 20_000
_GROUP_COUNT: Final = 512
_MIB: Final = 1024 * 1024
EPOCHS_LIMIT: Final = 512


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
        self._directory = directory
        self._stamp = stamp
        self._config = config
        self._consumers = consumers
        self._on_durable = on_durable
        self._lock = threading.Lock()
        self._wake = threading.Condition()
        self._pending: deque[Pending] = deque()
        self._closing = False
        self._broken = False
        self._counters = Counters()
        self._moving: set[Key] = set()
        self._notes_due = self._urgent = False
        self._folder_lock = _claim(directory)
        try:
            self._memory = Memory(directory)
            notes = self._memory.load()
            self._states: dict[str, ConsumerState] = recall_consumers(notes) if notes is not None else {}
            quarantine = Quarantine(directory / "quarantine")
            self._shelf = Shelf(directory / "segments", quarantine, self._counters, consumers)
            damaged = self._shelf.load(notes)
        except BaseException:
            os.close(self._folder_lock)
            raise
        self._budgets: dict[EntryClass, int] = {"record": config.record_mib * _MIB, "sample": config.sample_mib * _MIB}
        self._used: dict[EntryClass, int] | None = None
        self._scribe = Scribe(
            self._shelf,
            self._lock,
            segment_bytes={klass: min(segment_bytes, budget // 8) for klass, budget in self._budgets.items()},
            stamp=stamp,
            make_room=self._make_room,
            damaged=damaged,
        )
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    # -- appending

    def append(self, data: EntryData, *, at: Stamp | None = None) -> "Future[Key]":
        """Record something. The future gives its key once it is kept, or `UnavailableError`: then nothing was.

        Cancelling works until the writer has taken it; afterwards the entry is written all the same.
        """
        kind = kind_of(data)
        return self._submit(kind, at if at is not None else self._stamp(), msgspec.json.encode(data))

    async def record(self, data: EntryData, *, at: Stamp | None = None) -> Key:
        """`append` for asyncio. Cancelled while it waits, the entry may or may not be kept."""
        return await asyncio.wrap_future(self.append(data, at=at))

    def _submit(self, kind: str, at: Stamp, data: bytes) -> "Future[Key]":
        if len(data) > ENTRY_LIMIT // 2:
            raise WrongInputError(
                f"entry of kind {kind} has {len(data)} bytes; {ENTRY_LIMIT // 2} is the limit: split it"
            )
        future: Future[Key] = Future()
        refusal = None
        with self._wake:
            if self._closing or self._broken:
                refusal = "the journal is closed"
            elif len(self._pending) >= PENDING_LIMIT:
                refusal = f"{PENDING_LIMIT} entries wait for the disk; try again"
            else:
                self._pending.append(Pending(kind, class_of(kind), at, data, future))
                self._wake.notify()
        if refusal is not None:
            self._counters.refused += 1
            future.set_exception(UnavailableError(refusal))
        return future

    # -- what is there

    @property
    def epoch(self) -> str:
        """The running epoch; '' before its first entry."""
        with self._lock:
            return self._scribe.epoch

    @property
    def healthy(self) -> bool:
        """False once the writer has met a defect of its own: end the process, the next open is sound."""
        return not self._broken

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
                for stream in sorted(self._shelf.streams, key=lambda stream: (stream.ordinal, stream.klass))
            ]

    def durable_head(self, epoch: str, klass: EntryClass) -> int:
        """The newest durable number, 0 where there is none."""
        with self._lock:
            stream = self._find(epoch, klass)
            return stream.head if stream is not None else 0

    def waiting(self, consumer: str) -> int:
        """How many entries held here this consumer has not receipted."""
        with self._lock:
            return sum(count(stream.waiting(consumer)) for stream in self._shelf.streams)

    def used_bytes(self, klass: EntryClass) -> int:
        """Disk taken by a class."""
        with self._lock:
            return self._usage()[klass]

    def read(self, epoch: str, klass: EntryClass, first: int, *, max_count: int, max_bytes: int) -> Chunk:
        """Consecutive entries from the first one held at or after `first`: an empty chunk when there is none.

        One entry is given even where it alone is over `max_bytes`. Damage met on the way is set aside and counted, and
        shows in `epochs` as lost.
        """
        while True:
            with self._lock:
                stream = self._find(epoch, klass)
                plan = [] if stream is None else [_excerpt(segment, first) for segment in stream.segments]
            chunk = Collector(first, max_count, max_bytes)
            try:
                for excerpt in plan:
                    if excerpt.segment.last >= first and not collect(excerpt, chunk):
                        break
            except (DamageMetError, FileNotFoundError):
                self._look_again(epoch, klass)
                continue
            return Chunk(chunk.first, chunk.chain.hex(), chunk.entries)

    def _look_again(self, epoch: str, klass: EntryClass) -> None:
        """Reading met damage: scan the stream's segments again and note what is no longer there."""
        with self._lock:
            stream = self._find(epoch, klass)
            if stream is None:
                return
            before = stream.damaged()
            growing = self._scribe.growing()
            for segment in list(stream.segments):
                self._shelf.review(stream, segment, growing=id(segment) in growing)
            fresh = subtract(stream.damaged(), before)
            self._counters.damaged += count(fresh)
            self._used, self._notes_due = None, True
        _log.error("entries are damaged %s", fields(epoch=epoch, klass=klass, entries=list(fresh)))

    def _find(self, epoch: str, klass: EntryClass) -> Stream | None:
        for stream in self._shelf.streams:
            if stream.epoch == epoch and stream.klass == klass:
                return stream
        return None

    # -- receipts

    def take_receipt(self, receipt: Receipt) -> ReceiptEffect:
        """Take a receipt whose signature the caller has verified, and whose device is ours."""
        if receipt.consumer not in self._consumers:
            return ReceiptEffect("unknown")
        now = self._stamp()
        with self._lock:
            state = self._states.get(receipt.consumer, ConsumerState())
            stream = self._find(receipt.epoch, receipt.klass)
            known = stream is not None
            held = stream.held_by.get(receipt.consumer, Held()) if stream is not None else Held()
            head = stream.head if stream is not None else 0
            decision = ledger.decide(state, held, receipt, head=head, now=now)
            if not decision.fresh:
                self._counters.stale_receipts += 1
                return ReceiptEffect("stale")
            self._states[receipt.consumer] = decision.consumer
            self._notes_due = True
            if stream is None or not known:
                return ReceiptEffect("unknown")
            above = decision.above_head and stream.epoch == self._scribe.epoch
            if above:
                self._scribe.roll("receipt-above-head")
            conflicts = self._conflicts(stream, receipt)
            stored = subtract(decision.held.stored, union((seq, seq) for seq in conflicts))
            stream.held_by[receipt.consumer] = Held(receipt.run, receipt.at_ms, stored)
            if now.quality is not Quality.UNKNOWN:
                stream.touched_ms = now.wall_ms
        moved = tuple(seq for seq in conflicts if self._move(Key(receipt.epoch, receipt.klass, seq)))
        again = subtract(decision.again, stream.moved)
        return ReceiptEffect("above-head" if above else "taken", decision.newly, again, moved)

    def _conflicts(self, stream: Stream, receipt: Receipt) -> list[int]:
        """Numbers whose key the consumer has under other bytes, not yet appended again."""
        settled = stream.moved
        return [
            refused.seq
            for refused in receipt.refused
            if refused.verdict == "conflict" and refused.seq <= stream.head and not _holds(settled, refused.seq)
        ]

    def _move(self, key: Key) -> bool:
        """Append an entry again, same data and stamp, under an epoch other than `key.epoch`."""
        chunk = self.read(key.epoch, key.klass, key.seq, max_count=1, max_bytes=1)
        with self._lock:
            if key in self._moving or not chunk.entries or chunk.first != key.seq:
                return False
            self._moving.add(key)
            if self._scribe.epoch == key.epoch:
                self._scribe.roll("conflict")
        entry = msgspec.json.decode(chunk.entries[0], type=Entry)
        if entry.kind == "journal.opened":
            # The next epoch's own first record carries the chain on.
            self._moved(key, None)
        else:
            future = self._submit(entry.kind, entry.at, bytes(entry.data))
            future.add_done_callback(lambda done: self._moved(key, done))
        return True

    def _moved(self, key: Key, done: "Future[Key] | None") -> None:
        failed = done is not None and (done.cancelled() or done.exception() is not None)
        with self._lock:
            self._moving.discard(key)
            stream = self._find(key.epoch, key.klass)
            if not failed and stream is not None:
                stream.moved = union(stream.moved, ((key.seq, key.seq),))
                self._counters.reappended += 1
                self._notes_due = self._urgent = True

    # -- the writer thread

    def close(self) -> None:
        """Write what is pending, seal, keep the notes, let another process in. Idempotent."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        self._thread.join()
        os.close(self._folder_lock)

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception:
            _log.critical("the journal's writer met a defect of its own", exc_info=True)
            self._broken = True
            raise
        finally:
            with self._wake:
                self._broken = self._broken or not self._closing
                left = list(self._pending)
                self._pending.clear()
            for pending in left:
                if pending.future.set_running_or_notify_cancel():
                    pending.future.set_exception(UnavailableError("the journal's writer has stopped"))

    def _write_until_closed(self) -> None:
        sample_due = notes_due = ageing_due = time.monotonic()
        while True:
            now = time.monotonic()
            due = min(
                sample_due if self._scribe.unsynced("sample") else now + AGEING_EVERY_S,
                notes_due if self._notes_due else now + AGEING_EVERY_S,
                ageing_due,
            )
            with self._wake:
                if not self._pending and not self._closing:
                    self._wake.wait(max(0.0, min(due - now, AGEING_EVERY_S)))
                group = [self._pending.popleft() for _ in range(min(len(self._pending), _GROUP_COUNT))]
                closing = self._closing and not self._pending
            had_samples = self._scribe.unsynced("sample")
            self._write(group)
            now = time.monotonic()
            if not had_samples and self._scribe.unsynced("sample"):
                sample_due = now + SAMPLE_SYNC_S
            if self._scribe.unsynced("sample") and (now >= sample_due or closing):
                self._sync_samples()
            if now >= ageing_due:
                self._age()
                ageing_due = now + AGEING_EVERY_S
            if self._urgent or closing or (self._notes_due and now >= notes_due):
                if closing:
                    with contextlib.suppress(OSError):
                        self._scribe.close()
                self._save_notes()
                notes_due = now + NOTES_EVERY_S
            if closing:
                return

    def _write(self, group: list[Pending]) -> None:
        for klass in ("record", "sample"):
            mine = [p for p in group if p.klass == klass and p.future.set_running_or_notify_cancel()]
            if not mine:
                continue
            try:
                keys = self._scribe.write(klass, mine)
            except OSError as error:
                self._counters.disk_errors += 1
                self._refuse(mine, unavailable(error))
            except UnavailableError as error:
                self._refuse(mine, error)
            else:
                self._notes_due = True
                self._used = None
                self._counters.appended += len(keys)
                for pending, key in zip(mine, keys[-len(mine) :], strict=True):
                    pending.future.set_result(key)
                if klass == "record":
                    self._counters.syncs += 1
                    self._announce(keys)

    def _refuse(self, group: list[Pending], error: UnavailableError) -> None:
        _log.error("append refused %s", fields(entries=len(group), reason=error))
        self._counters.refused += len(group)
        for pending in group:
            pending.future.set_exception(error)

    def _announce(self, keys: list[Key]) -> None:
        if self._on_durable is None:
            return
        for key in keys:
            self._on_durable(key)

    def _sync_samples(self) -> None:
        try:
            keys = self._scribe.sync("sample")
        except OSError as error:
            self._counters.disk_errors += 1
            _log.error("samples of the last seconds were lost %s", fields(error=error))
        else:
            self._counters.syncs += 1
            self._announce(keys)

    def _save_notes(self) -> None:
        with self._lock:
            self._notes_due = self._urgent = False
            streams, states = list(self._shelf.streams), dict(self._states)
            try:
                self._memory.save(streams, states)
            except OSError as error:
                self._notes_due = True
                self._counters.disk_errors += 1
                _log.warning("receipts not kept, entries may be offered again %s", fields(error=error))

    # -- what leaves

    def _rules(self) -> retention.Rules:
        return retention.Rules(self._consumers, self._states, self._config.keep_days)

    def _age(self) -> None:
        now = self._stamp()
        with self._lock:
            rules = self._rules()
            growing = self._scribe.growing()
            self._notes_due |= retention.note_receipted(self._shelf.streams, rules, now, growing=growing)
            leaving = list(retention.expired(self._shelf.streams, rules, now))
        for item in leaving:
            self._drop(item)
        self._forget(now)

    def _make_room(self, klass: EntryClass, size: int) -> None:
        while True:
            with self._lock:
                if self._usage()[klass] + size <= self._budgets[klass]:
                    return
                leaving = retention.next_for_room(self._shelf.streams, klass, self._rules())
            if leaving is None:
                raise UnavailableError(
                    f"the journal is full: {self._budgets[klass] // _MIB} MiB of records wait for the hub's receipt; "
                    "restore the line to the hub, or give it more room (record_mib)"
                )
            self._drop(leaving)

    def _usage(self) -> dict[EntryClass, int]:
        if self._used is None:
            self._used = {"record": 0, "sample": 0}
            for stream in self._shelf.streams:
                self._used[stream.klass] += sum(map(retention.size_of, stream.segments))
        return self._used

    def _drop(self, leaving: retention.Leaving) -> None:
        stream, segment = leaving.stream, leaving.segment
        self._scribe.let_go(id(segment))
        with self._lock:
            held = count(segment.held)
            unread = stream.drop(segment, self._consumers)
            if stream.klass == "sample":
                stream.shed = union(stream.shed, unread)
                self._counters.shed += count(unread)
            else:
                self._counters.dropped_unread += count(unread)
            self._counters.dropped += held - count(unread)
            self._used = None
        # The note first, so that what left by rule is never taken for damage; a full disk must not stop the dropping.
        self._save_notes()
        try:
            segment.path.unlink(missing_ok=True)
            sync_folder(segment.path.parent)
        except OSError as error:
            self._counters.disk_errors += 1
            _log.warning("segment cannot be removed %s", fields(file=segment.path.name, error=error))

    def _forget(self, now: Stamp) -> None:
        """Streams of which nothing is held and nothing is left to say."""
        if now.quality is Quality.UNKNOWN:
            return
        oldest_ms = now.wall_ms - self._config.keep_days * 86_400_000
        with self._lock:
            newest = max((s.ordinal for s in self._shelf.streams if s.klass == "record"), default=0)
            for stream in list(self._shelf.streams):
                told = not stream.lost(self._consumers) or stream.touched_ms < oldest_ms
                if not stream.segments and stream.ordinal < newest and told and stream.epoch != self._scribe.epoch:
                    self._shelf.streams.remove(stream)
                    self._notes_due = True


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


def _excerpt(segment: Segment, first: int) -> Excerpt:
    return Excerpt(segment, segment.size, segment.offset_near(first), segment.held)


def _holds(spans: Ranges, seq: int) -> bool:
    return any(first <= seq <= last for first, last in spans)
