"""A stream: the segments of one (epoch, class), what consumers hold of it, and what of it is lost.

Damage is not noted but seen: every number up to the head is held, or `gone` by rule, or damaged. So a file that
vanishes is damage as much as one whose bits flipped. No I/O here.
"""

from dataclasses import dataclass, field
from functools import reduce

from bus.journal.segment import Segment
from bus.journal.views import EpochView
from bus.messages import EntryClass, Lost
from bus.ranges import Ranges, intersect, subtract, union


@dataclass(frozen=True, slots=True)
class Held:
    """What a consumer has receipted of one stream, by its latest receipt."""

    run: str = ""
    at_ms: int = 0
    stored: Ranges = ()


@dataclass(slots=True)
class Stream:
    """See the module. `head` is the newest durable number, `chain` the record chain after number `chained`.

    `gone` left by rule; `shed` are those of them that a consumer lacked; `moved` were appended again under another
    epoch. `forked`: a copy of this journal wrote in the epoch too, so what a consumer holds of it may be the copy's.
    `touched_ms` is when there was last something new to tell, by a clock that was not unknown (0:
    to be dated); `told`: the first consumer has answered since.
    """

    ordinal: int
    epoch: str
    klass: EntryClass
    segments: list[Segment] = field(default_factory=list)
    head: int = 0
    chain: bytes = b""
    chained: int = 0
    gone: Ranges = ()
    shed: Ranges = ()
    moved: Ranges = ()
    held_by: dict[str, Held] = field(default_factory=dict)
    touched_ms: int = 0
    told: bool = True
    forked: bool = False

    def first_held(self) -> int:
        """The oldest readable number; head + 1 where there is none."""
        return next((segment.held[0][0] for segment in self.segments if segment.held), self.head + 1)

    def stored(self, consumer: str) -> Ranges:
        """What this consumer needs no more."""
        held = self.held_by.get(consumer)
        return union(held.stored, self.moved) if held is not None else self.moved

    def stored_by_all(self, consumers: tuple[str, ...]) -> Ranges:
        """What no consumer needs any more."""
        return reduce(intersect, (self.stored(consumer) for consumer in consumers))

    def readable(self) -> Ranges:
        """All that is held."""
        return union(*(segment.held for segment in self.segments))

    def damaged(self) -> Ranges:
        """Numbers that should be here and are not, whoever else may have them."""
        return subtract(subtract(((1, self.head),) if self.head else (), self.gone), self.readable())

    def lost(self, consumers: tuple[str, ...]) -> list[Lost]:
        """What will never come to a consumer that lacks it."""
        stored = self.stored_by_all(consumers)
        shed = subtract(self.shed, stored)
        damaged = subtract(self.damaged(), stored)
        lost = [Lost(first, last, "shed") for first, last in shed]
        lost += [Lost(first, last, "damaged") for first, last in damaged]
        return sorted(lost, key=lambda span: span.first)

    def view(self, consumers: tuple[str, ...], *, current: bool) -> EpochView:
        """As users see it."""
        stored = {consumer: list(self.stored(consumer)) for consumer in consumers}
        return EpochView(
            self.epoch, self.klass, self.first_held(), self.head, self.lost(consumers), stored, current=current
        )

    def waiting(self, consumer: str) -> Ranges:
        """What is held and this consumer has not receipted."""
        return subtract(self.readable(), self.stored(consumer))

    def drop(self, segment: Segment, consumers: tuple[str, ...]) -> Ranges:
        """Take a segment out; return what of it a consumer still lacked (to be `shed`)."""
        unread = subtract(segment.held, self.stored_by_all(consumers))
        self.gone = union(self.gone, segment.held)
        self.segments.remove(segment)
        return unread
