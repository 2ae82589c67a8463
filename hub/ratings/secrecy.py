"""Which parts of a whole may be shown beside all its other parts: pure.

The same votes are shown cut in several ways: by period of days, with and without flagged ones, by counter, by officer.
Whoever takes sums of one table from sums of another must never be left with fewer votes than the least number, nor may
the whole less what is shown of it. So cuts are taken in a fixed order, the first being shown whole; of each that
follows, values are withheld, the smallest first, until no union of its parts lies within a union of parts of a cut
before it, or the other way round, and leaves only a few.

That is decided of a whole once and for all cuts, whatever is asked for: what one answer withholds no other gives away.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

MOST_VALUES: Final = 24  # of one cut, the greatest ones; more would take long, and are no table for people
_REST: Final = None  # all that a cut withholds: one part, known by subtraction

Key = tuple[str, ...]  # by which value each cut knows votes that are alike
_Part = str | None
_Cells = dict[_Part, dict[_Part, int]]  # votes by the part of one cut, then of another


def shown_values(votes: Mapping[Key, int], *, least: int) -> list[frozenset[str]]:
    """The values that each cut may show. Each value of the first must have `least` votes: it is shown whole."""
    cuts = max((len(key) for key in votes), default=0)
    shown: list[frozenset[str]] = []
    for at in range(cuts):
        counts = Counter[str]()
        for key, n in votes.items():
            counts[key[at]] += n
        kept = sorted((value for value, n in counts.items() if n >= least), key=lambda value: (counts[value], value))
        if at:
            kept = kept[-MOST_VALUES:]
        while kept and not all(_apart(votes, shown[before], before, kept, at, least) for before in range(at)):
            kept.pop(0)
        shown.append(frozenset(kept))
    return shown


def _apart(
    votes: Mapping[Key, int], rows: frozenset[str], row_at: int, columns: list[str], column_at: int, least: int
) -> bool:
    """Whether differences of two cuts never leave a few."""
    cells: _Cells = defaultdict(lambda: defaultdict(int))
    for key, n in votes.items():
        if n:
            row = key[row_at] if key[row_at] in rows else _REST
            column = key[column_at] if key[column_at] in columns else _REST
            cells[column][row] += n
    return not any(_leaves_few(cells, frozenset([first]), frozenset(), least) for first in cells)


def _leaves_few(cells: _Cells, inside: frozenset[_Part], outside: frozenset[_Part], least: int) -> bool:
    """Whether some columns, those `inside` among them and none `outside`, leave a few of the rows that they touch.

    By complements this is also the other way round, rows within columns. A column that would by itself leave `least`
    must be inside; of the others each is tried inside and outside, and few can be outside before that makes `least`.
    """
    rows = {row for column in inside for row in cells[column]}
    left = {
        column: sum(n for row, n in of.items() if row in rows) for column, of in cells.items() if column not in inside
    }
    sure = sum(left[column] for column in outside)
    if sure >= least:
        return False
    undecided = {column: n for column, n in left.items() if n and column not in outside}
    if not undecided:
        return sure > 0
    forced = frozenset(column for column, n in undecided.items() if sure + n >= least)
    if forced:
        return _leaves_few(cells, inside | forced, outside, least)
    column = next(iter(undecided))
    return _leaves_few(cells, inside | {column}, outside, least) or _leaves_few(
        cells, inside, outside | {column}, least
    )
