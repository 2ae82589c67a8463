"""Sets of sequence numbers as the hub counts them: the journal's own ranges, and what is missing below a head."""

from collections.abc import Iterable

from bus.journal.ranges import clip, count, covers, subtract, union
from bus.messages import Range

Span = Range


def size(ranges: Iterable[Span]) -> int:
    """How many numbers there are."""
    return count(ranges)


def missing(ranges: Iterable[Span], head: int) -> tuple[Span, ...]:
    """What of 1..head is not in `ranges` (ascending, disjoint)."""
    return subtract(((1, head),) if head > 0 else (), ranges)


__all__ = ["Span", "clip", "covers", "missing", "size", "union"]
