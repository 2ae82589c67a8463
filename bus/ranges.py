"""Sets of sequence numbers, kept as ascending, disjoint, non-touching ranges with both ends included.

A receipt for a month of records is one range, whatever their number. All pure.
"""

from collections.abc import Iterable

from bus.messages import Range

Ranges = tuple[Range, ...]


def union(*sets: Iterable[Range]) -> Ranges:
    """All of them; also brings ranges from outside (unsorted, overlapping) into canonical form."""
    merged: list[Range] = []
    for first, last in sorted(span for spans in sets for span in spans if span[0] <= span[1]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def subtract(whole: Iterable[Range], holes: Iterable[Range]) -> Ranges:
    """What of `whole` is not in `holes`; both canonical."""
    cuts = tuple(holes)
    left: list[Range] = []
    start = 0
    for first, last in whole:
        while start < len(cuts) and cuts[start][1] < first:
            start += 1
        index = start
        while index < len(cuts) and cuts[index][0] <= last:
            if first < cuts[index][0]:
                left.append((first, cuts[index][0] - 1))
            first = max(first, cuts[index][1] + 1)
            index += 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def intersect(one: Iterable[Range], other: Iterable[Range]) -> Ranges:
    """What both hold."""
    ones = tuple(one)
    return subtract(ones, subtract(ones, other))


def clip(spans: Iterable[Range], first: int, last: int) -> Ranges:
    """The part within first..last."""
    return tuple((max(low, first), min(high, last)) for low, high in spans if low <= last and high >= first)


def covers(spans: Iterable[Range], first: int, last: int) -> bool:
    """Whether every number of first..last is in the canonical `spans`; true where first..last is empty."""
    return first > last or any(low <= first and last <= high for low, high in spans)


def count(spans: Iterable[Range]) -> int:
    """How many numbers they hold."""
    return sum(last - first + 1 for first, last in spans)
