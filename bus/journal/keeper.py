"""What is known of the journal while it runs, and what leaves it: the shell around `retention` and `memory`.

Whatever others may see changes under `lock`. Files are removed by the writer thread only, after the note that says why.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.errors import UnavailableError
from bus.files import sync_folder
from bus.journal import retention
from bus.journal.ledger import ConsumerState
from bus.journal.memory import Memory, compose
from bus.journal.retention import Leaving, Rules
from bus.journal.segment import Segment
from bus.journal.shelf import Shelf
from bus.journal.stream import Stream
from bus.journal.views import Counters
from bus.logs import fields
from bus.messages import EntryClass
from bus.ranges import count, subtract, union

_log = logging.getLogger("journal")
_MIB: Final = 1024 * 1024
_DAY_MS: Final = 86_400_000
EPOCHS_LIMIT: Final = 512


@dataclass(slots=True)
class Keeper:
    """See the module. `let_go` makes the writer stop growing a segment (by id) that is to leave."""

    shelf: Shelf
    memory: Memory
    config: JournalConfig
    consumers: tuple[str, ...]
    counters: Counters
    states: dict[str, ConsumerState] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    let_go: Callable[[int], None] = lambda _: None
    growing: Callable[[], set[int]] = set
    # Notes that have changed since they were saved; urgent ones wait for nothing.
    due: bool = False
    urgent: bool = False
    _used: dict[EntryClass, int] | None = None

    def budget(self, klass: EntryClass) -> int:
        """Bytes of disk that a class may take."""
        return (self.config.record_mib if klass == "record" else self.config.sample_mib) * _MIB

    def find(self, epoch: str, klass: EntryClass) -> Stream | None:
        """The stream of that name. Call with the lock held."""
        for stream in reversed(self.shelf.streams):
            if stream.epoch == epoch and stream.klass == klass:
                return stream
        return None

    def epoch(self, epoch: str) -> list[Stream]:
        """The streams of an epoch. Call with the lock held."""
        return [stream for stream in self.shelf.streams if stream.epoch == epoch]

    def used(self, klass: EntryClass) -> int:
        """Bytes of disk that a class takes. Call with the lock held."""
        if self._used is None:
            self._used = {"record": 0, "sample": 0}
            for stream in self.shelf.streams:
                self._used[stream.klass] += sum(map(retention.size_of, stream.segments))
        return self._used[klass]

    def grew(self, klass: EntryClass, size: int) -> None:
        """What is durable of a class takes `size` bytes more. Call with the lock held."""
        self.due = True
        if self._used is not None:
            self._used[klass] += size

    def save(self) -> None:
        """Keep the notes. A disk that refuses is counted; it is tried again."""
        with self.lock:
            self.due = self.urgent = False
            streams, states = compose(self.shelf.streams, self.states)
        try:
            self.memory.save(streams, states)
        except OSError as error:
            self.due = True
            self.counters.disk_errors += 1
            _log.warning("receipts not kept, entries may be offered again %s", fields(error=error))

    def make_room(self, klass: EntryClass, size: int) -> None:
        """Drop what may go until `size` more bytes fit; `UnavailableError` where nothing more may."""
        while True:
            with self.lock:
                if self.used(klass) + size + retention.NEW_BYTES <= self.budget(klass):
                    return
                leaving = retention.next_for_room(self.shelf.streams, klass, self._rules())
            if leaving is None:
                raise UnavailableError(
                    f"the journal is full: {self.budget(klass) // _MIB} MiB of {klass}s wait for the hub's receipt; "
                    f"restore the line to the hub, or give it more room ({klass}_mib)"
                )
            self._drop(leaving)

    def age(self, now: Stamp) -> None:
        """Drop what has had its days, and epochs beyond EPOCHS_LIMIT that nobody needs; forget what is empty."""
        with self.lock:
            rules = self._rules()
            if retention.note_receipted(self.shelf.streams, rules, now, growing=self.growing()):
                self.due = True
            leaving = list(retention.expired(self.shelf.streams, rules, now))
            leaving += retention.surplus(self.shelf.streams, rules, limit=EPOCHS_LIMIT)
        for item in leaving:
            self._drop(item)
        self._forget(now)

    def _rules(self) -> Rules:
        return Rules(self.consumers, self.states, self.config.keep_days)

    def _drop(self, leaving: Leaving) -> None:
        stream, segment = leaving.stream, leaving.segment
        self.let_go(id(segment))
        with self.lock:
            if segment not in stream.segments:
                return
            held = count(segment.held)
            unread = stream.drop(segment, self.consumers)
            if stream.klass == "sample":
                stream.shed = union(stream.shed, unread)
                stream.touched_ms, stream.told = 0, False
                self.counters.shed += count(unread)
            else:
                self.counters.dropped_unread += count(unread)
            self.counters.dropped += held - count(unread)
            self._used = None
        # The note first, so that what left by rule is never taken for damage; a full disk must not stop the dropping.
        self.save()
        try:
            segment.path.unlink(missing_ok=True)
            sync_folder(segment.path.parent)
        except OSError as error:
            self.counters.disk_errors += 1
            _log.warning("segment cannot be removed %s", fields(file=segment.path.name, error=error))

    def _forget(self, now: Stamp) -> None:
        """Forget streams of which nothing is held and nothing is left to say."""
        known = now.quality is not Quality.UNKNOWN
        with self.lock:
            newest = max((stream.ordinal for stream in self.shelf.streams if stream.klass == "record"), default=0)
            growing = {id(stream) for stream in self.shelf.streams if stream.ordinal >= newest}
            for stream in list(self.shelf.streams):
                if stream.touched_ms == 0 and known:
                    stream.touched_ms, self.due = now.wall_ms, True
                old = known and stream.told and now.wall_ms - stream.touched_ms >= self.config.keep_days * _DAY_MS
                crowded = len(self.shelf.streams) > 2 * EPOCHS_LIMIT
                needless = old or crowded or not stream.lost(self.consumers)
                if not stream.segments and id(stream) not in growing and needless:
                    self.shelf.streams.remove(stream)
                    self.due = True

    def look_again(self, epoch: str, klass: EntryClass, met_in: Segment, seq: int) -> None:
        """Reading met damage at `seq`: scan the segments again and note what is gone; nothing if it left by rule.

        `OSError`: the segment cannot be opened now, so nothing is known of it.
        """
        with self.lock:
            stream = self.find(epoch, klass)
            if stream is None or not any(segment is met_in for segment in stream.segments):
                return
            before = stream.damaged()
            growing = self.growing()
            # The one in question first: where it cannot be opened, nothing has changed yet.
            for segment in sorted(stream.segments, key=lambda segment: segment is not met_in):
                try:
                    self.shelf.review(stream, segment, growing=id(segment) in growing)
                except OSError as error:
                    if segment is met_in:
                        raise
                    self.counters.disk_errors += 1
                    _log.warning("segment cannot be read now %s", fields(file=segment.path.name, error=error))
            fresh = subtract(stream.damaged(), before)
            if not fresh:
                # The scan found nothing wrong, yet reading did: the card answers differently each time.
                fresh = ((seq, seq),)
                for segment in stream.segments:
                    if segment.place.first <= seq <= segment.last:
                        segment.gaps = union(segment.gaps, fresh)
            self.counters.damaged += count(fresh)
            stream.touched_ms, stream.told = 0, False
            self._used, self.due = None, True
        _log.error("entries are damaged %s", fields(epoch=epoch, klass=klass, entries=list(fresh)))
