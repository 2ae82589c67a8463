"""What may leave the journal, and in which order. Pure.

A record never goes before the first consumer (the hub) has receipted it in its present run. It goes by age once all
consumers have and `keep_days` have passed since the hub did; for want of room, oldest first: what all have receipted,
then what the hub has. A sample not receipted goes last, and is recorded as shed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bus.clock import Quality, Stamp
from bus.journal.ledger import ConsumerState
from bus.journal.segment import Segment
from bus.journal.stream import Stream
from bus.messages import EntryClass
from bus.ranges import subtract

_DAY_MS: Final = 86_400_000
BLOCK: Final = 4096
NEW_BYTES: Final = 2 * BLOCK  # what an empty segment takes


@dataclass(frozen=True, slots=True)
class Leaving:
    """A segment that may go."""

    stream: Stream
    segment: Segment


@dataclass(frozen=True, slots=True)
class Rules:
    """The consumers, the first of which is the one that counts, and their present runs."""

    consumers: tuple[str, ...]
    states: dict[str, ConsumerState]
    keep_days: int

    def covered(self, stream: Stream, segment: Segment) -> bool:
        """Whether the first consumer has receipted all of it, in whatever run."""
        return not subtract(segment.held, stream.stored(self.consumers[0]))

    def by_all(self, stream: Stream, segment: Segment) -> bool:
        """Whether every consumer has receipted all of it."""
        return all(self._by(consumer, stream, segment) for consumer in self.consumers)

    def by_first(self, stream: Stream, segment: Segment) -> bool:
        """Whether the first consumer has, in its present run."""
        return self._by(self.consumers[0], stream, segment)

    def _by(self, consumer: str, stream: Stream, segment: Segment) -> bool:
        state, held = self.states.get(consumer), stream.held_by.get(consumer)
        if state is None or held is None or held.run != state.run:
            return not subtract(segment.held, stream.moved)
        return not subtract(segment.held, stream.stored(consumer))


def note_receipted(streams: list[Stream], rules: Rules, now: Stamp, *, growing: set[int]) -> bool:
    """Date the segments that have become wholly receipted, and undate those that are no longer. True: notes changed."""
    changed = False
    for stream in streams:
        for segment in stream.segments:
            receipted = id(segment) not in growing and rules.covered(stream, segment)
            if not receipted and segment.receipted_ms is not None:
                segment.receipted_ms, changed = None, True
            elif receipted and segment.receipted_ms is None and now.quality is not Quality.UNKNOWN:
                segment.receipted_ms, changed = now.wall_ms, True
    return changed


def expired(streams: list[Stream], rules: Rules, now: Stamp) -> Iterator[Leaving]:
    """What goes by age. An unknown clock ages nothing."""
    if now.quality is Quality.UNKNOWN:
        return
    for stream in streams:
        for segment in stream.segments:
            aged = segment.receipted_ms is not None and now.wall_ms - segment.receipted_ms >= rules.keep_days * _DAY_MS
            if aged and rules.by_all(stream, segment):
                yield Leaving(stream, segment)


def surplus(streams: list[Stream], rules: Rules, *, limit: int) -> Iterator[Leaving]:
    """What goes because a part that starts over and over has made more than `limit` epochs of it: oldest first."""
    records = sorted((stream for stream in streams if stream.klass == "record"), key=lambda stream: stream.ordinal)
    for stream in records[: max(0, len(records) - limit)]:
        if all(rules.by_all(stream, segment) for segment in stream.segments):
            yield from (Leaving(stream, segment) for segment in stream.segments)


def next_for_room(streams: list[Stream], klass: EntryClass, rules: Rules) -> Leaving | None:
    """The segment of this class that goes first for want of room; None: nothing may."""
    oldest_first = sorted((stream for stream in streams if stream.klass == klass), key=lambda stream: stream.ordinal)
    held = [Leaving(stream, segment) for stream in oldest_first for segment in stream.segments]
    for may_go in (rules.by_all, rules.by_first):
        for leaving in held:
            if may_go(leaving.stream, leaving.segment):
                return leaving
    return held[0] if held and klass == "sample" else None


def size_of(segment: Segment) -> int:
    """Bytes of disk that a segment takes, its seal included."""
    return segment.size // BLOCK * BLOCK + NEW_BYTES
