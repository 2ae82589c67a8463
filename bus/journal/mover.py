"""Appending again, under another epoch, what a consumer has under other bytes. Same data, same stamp.

A few at a time, so that thousands of them do not stand before a press. What is left when the process ends, or where the
disk refused, is not remembered here: the consumer's next receipt tells of it again. Callable from any thread.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from bus.clock import Stamp
from bus.errors import UnavailableError
from bus.journal.keeper import Keeper
from bus.journal.scribe import Scribe
from bus.journal.stream import Stream
from bus.journal.views import Chunk, Key
from bus.logs import fields
from bus.messages import Entry, EntryClass
from bus.ranges import Ranges, count, intersect, subtract, union

if TYPE_CHECKING:
    from concurrent.futures import Future

_log = logging.getLogger("journal")
AT_ONCE: Final = 1_000
_NOTED_AT_ONCE: Final = 128
_READ_BYTES: Final = 1024 * 1024

Read = Callable[[str, EntryClass, int, int, int], Chunk]
Submit = Callable[[str, Stamp, bytes], "Future[Key]"]


class Mover:
    """See the module. `read(epoch, class, first, count, bytes)` and `submit(kind, stamp, data)` are the journal's."""

    def __init__(self, keeper: Keeper, scribe: Scribe, read: Read, submit: Submit) -> None:
        self._keeper = keeper
        self._scribe = scribe
        self._read = read
        self._submit = submit
        self._wanted: dict[tuple[str, EntryClass], Ranges] = {}
        self._moving: set[Key] = set()
        self._finished: list[Key] = []  # of these, what is on disk and not yet noted

    def want(self, stream: Stream, numbers: Ranges) -> Ranges:
        """Have `numbers` moved with the next `go`; those not yet under way. Call with the journal's lock held."""
        name = stream.epoch, stream.klass
        wanted = self._wanted.get(name, ())
        moving = union((key.seq, key.seq) for key in self._moving if (key.epoch, key.klass) == name)
        fresh = subtract(intersect(numbers, stream.readable()), union(stream.moved, wanted, moving))
        if fresh:
            self._wanted[name] = union(wanted, fresh)
        return fresh

    def go(self) -> None:
        """Begin what is wanted, as many as may be under way at once."""
        while (name := self._next()) is not None:
            first = self._wanted.get(name, ((0, 0),))[0][0]
            try:
                chunk = self._read(*name, first, AT_ONCE, _READ_BYTES)
            except UnavailableError as error:
                self._give_up(error)
                return
            for entry in self._claim(name, chunk):
                done = self._submit(entry.kind, entry.at, bytes(entry.data))
                done.add_done_callback(_callback(self._done, Key(*name, entry.seq)))

    def _next(self) -> tuple[str, EntryClass] | None:
        with self._keeper.lock:
            return next(iter(self._wanted), None) if len(self._moving) < AT_ONCE else None

    def _claim(self, name: tuple[str, EntryClass], chunk: Chunk) -> list[Entry]:
        """Take what the chunk has of the wanted as under way; what stands before it is not here any more."""
        claimed = []
        with self._keeper.lock:
            stream = self._keeper.find(*name)
            wanted = self._wanted.pop(name, ())
            end = chunk.first + len(chunk.entries) - 1
            left = subtract(wanted, ((1, end),)) if chunk.entries and stream is not None else ()
            if left:
                self._wanted[name] = left
            if stream is None or not chunk.entries:
                return []
            if self._scribe.epoch == stream.epoch:
                self._scribe.roll("conflict")
            for first, last in intersect(wanted, ((chunk.first, end),)):
                for seq in range(first, last + 1):
                    entry = msgspec.json.decode(chunk.entries[seq - chunk.first], type=Entry)
                    if entry.kind == "journal.opened":  # the next epoch's own first record carries the chain on
                        self._note([Key(*name, seq)])
                    else:
                        self._moving.add(Key(*name, seq))
                        claimed.append(entry)
        return claimed

    def _done(self, key: Key, done: "Future[Key]") -> None:
        failed = done.cancelled() or done.exception() is not None
        with self._keeper.lock:
            if failed:
                self._moving.discard(key)
            else:
                self._finished.append(key)
            if len(self._finished) in (len(self._moving), _NOTED_AT_ONCE):
                self._note(self._finished)
            more = not self._moving and bool(self._wanted)
        if failed:
            self._give_up(None if done.cancelled() else done.exception())
        elif more:
            self.go()

    def _note(self, keys: list[Key]) -> None:
        for name in {(key.epoch, key.klass) for key in keys}:
            stream = self._keeper.find(*name)
            if stream is not None:
                numbers = [(key.seq, key.seq) for key in keys if (key.epoch, key.klass) == name]
                stream.moved = union(stream.moved, numbers)
        self._keeper.counters.reappended += len(keys)
        self._keeper.urgent = self._keeper.urgent or bool(keys)
        self._moving.difference_update(keys)
        keys.clear()

    def _give_up(self, error: BaseException | None) -> None:
        with self._keeper.lock:
            left = sum(map(count, self._wanted.values()))
            self._wanted.clear()
        if left:
            _log.warning("entries not appended again yet %s", fields(entries=left, error=error))


def _callback(call: Callable[[Key, "Future[Key]"], None], key: Key) -> "Callable[[Future[Key]], None]":
    return lambda done: call(key, done)
