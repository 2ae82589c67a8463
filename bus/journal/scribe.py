"""The writer's hand: gives entries their epoch and number, writes them in groups, commits.

Used by the writer thread alone; what others may see changes under the lock, and only once it is durable. A group is
written whole or not at all, so a failure leaves epoch, head and chain as they were.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from bus.clock import Stamp
from bus.entries import JournalOpened
from bus.errors import UnavailableError
from bus.identifiers import new_epoch
from bus.journal.frame import NO_CHAIN, link, pack, seed_of
from bus.journal.retention import size_of
from bus.journal.segment import Place
from bus.journal.shelf import Shelf
from bus.journal.stream import Stream
from bus.journal.tail import Tail
from bus.journal.views import Key
from bus.messages import Entry, EntryClass

Reason = Literal["new", "start", "repair", "receipt-above-head", "conflict"]
_OPENED: Final = "journal.opened"
_STEP_LEAST: Final = 4096
_ENTRY_ROOM: Final = 256  # what an entry takes on disk beside its data, about


@dataclass(slots=True)
class Pending:
    """An entry on its way."""

    kind: str
    klass: EntryClass
    at: Stamp
    data: bytes
    future: "Future[Key]"


class Scribe:
    """See the module. `make_room(klass, size)` raises `UnavailableError` where the budget is full for good.

    `grew(klass, size)` hears, with the lock held, how much more disk the durable takes.
    """

    def __init__(
        self,
        shelf: Shelf,
        lock: threading.Lock,
        *,
        segment_bytes: dict[EntryClass, int],
        stamp: Callable[[], Stamp],
        make_room: Callable[[EntryClass, int], None],
        grew: Callable[[EntryClass, int], None],
        damaged: bool,
    ) -> None:
        self._shelf = shelf
        self._lock = lock
        self._segment_bytes = segment_bytes
        self._stamp = stamp
        self._make_room = make_room
        self._grew = grew
        records = [stream for stream in shelf.streams if stream.klass == "record"]
        self._before = max(records, key=lambda stream: stream.ordinal, default=None)
        self._ordinal = max((stream.ordinal for stream in shelf.streams), default=0)
        self._reason: Reason = "repair" if damaged else "start" if self._before is not None else "new"
        self._epoch = ""
        self._streams: dict[EntryClass, Stream] = {}
        self._tails: dict[EntryClass, Tail] = {}
        self._roll: Reason | None = None

    @property
    def epoch(self) -> str:
        """The running epoch; '' before its first entry and after a `roll`."""
        return "" if self._roll else self._epoch

    def roll(self, reason: Reason) -> None:
        """From the next entry on, another epoch. Call with the lock held."""
        if self._epoch:
            self._roll = reason

    def growing(self) -> set[int]:
        """Ids of the segments that still grow."""
        return {id(tail.segment) for tail in self._tails.values()}

    def unsynced(self, klass: EntryClass) -> int:
        """Entries written and not yet durable."""
        tail = self._tails.get(klass)
        return tail.unsynced if tail is not None else 0

    def write(self, klass: EntryClass, group: list[Pending]) -> list[Key]:
        """Write a group of one class; a record is durable on return. `OSError`, `UnavailableError`: none was kept.

        Returns the keys; in a new epoch the first is that of `journal.opened`, which nobody asked for.
        """
        self._start_epoch()
        stream = self._stream(klass)
        self._make_room(klass, sum(len(pending.data) + _ENTRY_ROOM for pending in group))
        tail = self._tails.get(klass)
        head, chain = (stream.head, stream.chain) if tail is None else (tail.head, tail.chain)
        opened = [self._opened()] if klass == "record" and head == 0 else []
        frames: list[tuple[int, bytes]] = []
        seed = seed_of(self._epoch, klass)
        for pending in (*opened, *group):
            head += 1
            entry = msgspec.json.encode(Entry(head, pending.kind, pending.at, msgspec.Raw(pending.data)))
            if klass == "record":
                frames.append((head, pack(head, stream.head, chain, entry, seed)))
                chain = link(chain, entry)
            else:
                frames.append((head, pack(head, stream.head, NO_CHAIN, entry, seed)))
        self._tail(klass, stream).write(frames, chain)
        if klass == "record":
            self.sync(klass)
        return [Key(self._epoch, klass, seq) for seq, _ in frames]

    def sync(self, klass: EntryClass) -> list[Key]:
        """Make durable and visible what is written of a class; roll over a full segment."""
        tail, stream = self._tails.get(klass), self._streams.get(klass)
        if tail is None or stream is None or not tail.unsynced:
            return []
        unsynced = tail.unsynced
        try:
            tail.sync()
        except OSError:
            if klass == "sample":
                self._shelf.counters.unsynced_lost += unsynced
            self._let_go(klass)
            raise
        with self._lock:
            before = size_of(tail.segment) if stream.segments[-1:] == [tail.segment] else 0
            numbers = tail.commit()
            self._grew(klass, size_of(tail.segment) - before)
            stream.head = stream.chained = tail.head
            stream.chain = tail.chain
            if stream.segments[-1:] != [tail.segment]:
                stream.segments.append(tail.segment)
            if stream not in self._shelf.streams:
                self._shelf.streams.append(stream)
        return [Key(stream.epoch, klass, seq) for seq in numbers]

    def turn_over(self) -> None:
        """Seal what has grown to its full size; the next entry opens another file."""
        for klass, tail in list(self._tails.items()):
            if tail.segment.size >= self._segment_bytes[klass] and not tail.unsynced:
                self._let_go(klass)

    def let_go(self, segment_id: int) -> None:
        """Stop growing this segment, because it is to leave."""
        for klass, tail in list(self._tails.items()):
            if id(tail.segment) == segment_id:
                self.sync(klass)
                self._let_go(klass)

    def close(self) -> None:
        """Sync, seal and close what grows. `OSError`: samples of the last seconds were lost, and counted."""
        for klass in list(self._tails):
            self.sync(klass)
            self._let_go(klass)

    def _start_epoch(self) -> None:
        if self._roll is not None:
            self.close()
            with self._lock:
                self._reason, self._roll = self._roll, None
                self._before = self._streams.get("record", self._before)
                self._epoch, self._streams = "", {}
        if not self._epoch:
            with self._lock:
                self._ordinal += 1
                self._epoch = new_epoch()

    def _stream(self, klass: EntryClass) -> Stream:
        stream = self._streams.get(klass)
        if stream is None:
            chain = b""
            if klass == "record":
                chain = self._before.chain if self._before is not None and self._before.chain else NO_CHAIN
            stream = self._streams[klass] = Stream(self._ordinal, self._epoch, klass, chain=chain)
        return stream

    def _tail(self, klass: EntryClass, stream: Stream) -> Tail:
        tail = self._tails.get(klass)
        if tail is None:
            step = max(_STEP_LEAST, self._segment_bytes[klass] // 32)
            place = Place(stream.ordinal, stream.epoch, klass, stream.head + 1)
            tail = self._tails[klass] = Tail(self._shelf.folder, place, stream.chain, step=step)
        return tail

    def _let_go(self, klass: EntryClass) -> None:
        tail = self._tails.pop(klass, None)
        if tail is not None:
            tail.close()

    def _opened(self) -> Pending:
        before = self._before
        if before is None:
            data = JournalOpened(self._reason)
        else:
            # The head whose chain is known: where the end is damaged, lower than the last number given.
            data = JournalOpened(self._reason, before.epoch, before.chained, before.chain.hex())
        return Pending(_OPENED, "record", self._stamp(), msgspec.json.encode(data), Future())


def unavailable(error: OSError) -> UnavailableError:
    """What the caller of `append` is told."""
    return UnavailableError(
        f"the journal's disk takes no writes ({error.strerror or error}); nothing of this was recorded, try again"
    )
