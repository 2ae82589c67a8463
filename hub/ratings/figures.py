"""Votes counted, and the share of satisfied ones with its interval: pure arithmetic.

Every press is `pressed`; `counted` are those that stand (no later press replaced them, none is `superseded`);
`filtered` are those that stand and bear no flag. Satisfied are the levels 1 and 2 of five and of four, and level 1 of
three. The interval is Wilson's score interval at 95 % (Wilson 1927): within 0 and 1, and honest for small n.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

Z_95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class VoteCount:
    """Presses of one level that are alike in all that is asked for. `day` counts local days since 1970."""

    cell: tuple[str, ...]
    day: int
    question: str
    levels: int
    level: int
    pressed: int
    counted: int
    filtered: int


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `n` votes, with the ends of its interval."""

    n: int
    satisfied: int
    share: float
    low: float
    high: float


@dataclass(slots=True)
class Tally:
    """A sum of votes. `counted` and `filtered` are by scale (3, 4 or 5 levels), then by level from the best."""

    pressed: int = 0
    counted: dict[int, list[int]] = field(default_factory=dict)
    filtered: dict[int, list[int]] = field(default_factory=dict)

    def add(self, row: VoteCount) -> None:
        """Count it in."""
        self.pressed += row.pressed
        for scale, count in ((self.counted, row.counted), (self.filtered, row.filtered)):
            scale.setdefault(row.levels, [0] * row.levels)[row.level - 1] += count

    def merge(self, other: "Tally") -> None:
        """Count another sum in."""
        self.pressed += other.pressed
        for mine, theirs in ((self.counted, other.counted), (self.filtered, other.filtered)):
            for levels, counts in theirs.items():
                kept = mine.setdefault(levels, [0] * levels)
                mine[levels] = [one + another for one, another in zip(kept, counts, strict=True)]

    @property
    def n_counted(self) -> int:
        """Votes that stand."""
        return sum(map(sum, self.counted.values()))

    @property
    def n_filtered(self) -> int:
        """Votes that stand and bear no flag."""
        return sum(map(sum, self.filtered.values()))


def sum_of(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    whole = Tally()
    for one in tallies:
        whole.merge(one)
    return whole


def satisfied_levels(levels: int) -> int:
    """How many levels, from the best, count as satisfied."""
    return 2 if levels >= 4 else 1


def share_of(scales: dict[int, list[int]]) -> Share | None:
    """The share of satisfied votes over all scales; None where there is no vote."""
    n = sum(map(sum, scales.values()))
    if not n:
        return None
    satisfied = sum(sum(counts[: satisfied_levels(levels)]) for levels, counts in scales.items())
    low, high = wilson(satisfied, n)
    return Share(n, satisfied, satisfied / n, low, high)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion, 0 < n."""
    p, z2 = successes / n, Z_95 * Z_95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return low, high
