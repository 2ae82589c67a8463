"""What the hub holds of a journal, and what it does not: pure arithmetic over ranges.

Every sequence number from 1 to the head that the device told of is one of three: stored, lost (the device says that it
will never come, and it is not stored here) or missing (it may still come). Nothing is counted twice.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from bus import ranges
from bus.messages import Range


@dataclass(frozen=True, slots=True)
class Account:
    """One journal's account. `first` and `last` are the ends of what is stored, None where nothing is."""

    first: int | None
    last: int | None
    stored: int
    missing: int
    lost: dict[str, int] = field(default_factory=dict)  # by reason


def account(stored: Collection[Range], lost: Collection[tuple[int, int, str]], *, head: int) -> Account:
    """Balance a journal. `stored` and `lost` may come in any order and overlap; `head` may lag behind."""
    held = ranges.union(stored)
    last = held[-1][1] if held else None
    holes = ranges.subtract([(1, max(head, last or 0))], held) if head or last else ()
    by_reason: dict[str, int] = {}
    for reason in sorted({reason for _, _, reason in lost}):
        told = ranges.union((first, last) for first, last, why in lost if why == reason)
        if gone := ranges.count(ranges.intersect(holes, told)):
            by_reason[reason] = gone
        holes = ranges.subtract(holes, told)
    return Account(
        first=held[0][0] if held else None,
        last=last,
        stored=ranges.count(held),
        missing=ranges.count(holes),
        lost=by_reason,
    )
