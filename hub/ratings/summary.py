"""What may be said of votes, cut as somebody asks: a pure function of counts, closed days and the least number.

A cell is a commune, or a part of one: a kiosk, a counter, an officer, an hour of the day, or several of these. Its
figures are those of whole periods (`hub.ratings.periods`) that end within the dates asked for. A cell without such a
period is told as withheld, without a number. Where the parts of a commune that are shown would leave, subtracted from
the commune's own figure, fewer votes than the least number, the newest period of a part is withheld too, until they do
not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hub.ratings.figures import Tally, VoteCount, sum_of
from hub.ratings.periods import Period, date_of, periods

Cell = tuple[str, ...]
SITE: Final = 0  # where a cell names its site


@dataclass(frozen=True, slots=True)
class Cut:
    """What is asked: days from `first` to `last`, both included, one question or all, split by time or not."""

    first: int
    last: int
    question: str | None = None
    split: str = ""  # day, month or nothing


@dataclass(frozen=True, slots=True)
class Closing:
    """Which days are closed: those before `today`, and today itself at the sites that have closed for the day."""

    today: int
    closed_sites: frozenset[str] = frozenset()

    def through(self, site: str) -> int:
        """The last closed day of a site."""
        return self.today if site in self.closed_sites else self.today - 1


@dataclass(frozen=True, slots=True)
class Summed:
    """One line of a summary. `tally` is None where it is withheld."""

    cell: Cell
    first: int
    last: int
    tally: Tally | None


@dataclass(slots=True)
class _Votes:
    """The votes of a cell by day, and the periods of it that are shown."""

    days: dict[int, Tally] = field(default_factory=dict)
    shown: list[Period] = field(default_factory=list)

    def counts(self) -> dict[int, int]:
        return {day: tally.n_counted for day, tally in self.days.items()}

    def of(self, period: Period) -> Tally:
        return sum_of(tally for day, tally in self.days.items() if period.first <= day <= period.last)


def summarise(rows: Iterable[VoteCount], cut: Cut, closing: Closing, *, least: int) -> list[Summed]:
    """The lines that may be shown, by cell and time."""
    cells: dict[Cell, _Votes] = {}
    sites: dict[str, _Votes] = {}
    for row in rows:
        site = row.cell[SITE]
        if row.day > closing.through(site):
            continue
        sites.setdefault(site, _Votes()).days.setdefault(row.day, Tally()).add(row)
        if cut.question in (None, row.question):
            cells.setdefault(row.cell, _Votes()).days.setdefault(row.day, Tally()).add(row)
    for cell, votes in (*cells.items(), *(((site,), votes) for site, votes in sites.items())):
        through = closing.through(cell[SITE])
        found = periods(votes.counts(), through=through, least=least)
        votes.shown = [period for period in found if cut.first <= period.last <= cut.last]
    parts: dict[str, list[_Votes]] = {}
    for cell, votes in cells.items():
        parts.setdefault(cell[SITE], []).append(votes)
    for site, votes in sites.items():
        _withhold(votes, parts.get(site, []), least)
    return [line for cell, votes in sorted(cells.items()) for line in _lines(cell, votes, cut)]


def everything(rows: Iterable[VoteCount], cut: Cut) -> list[Summed]:
    """All lines as they are, open days and single votes included: for those who may read single presses."""
    cells: dict[Cell, _Votes] = {}
    for row in rows:
        if cut.first <= row.day <= cut.last and cut.question in (None, row.question):
            cells.setdefault(row.cell, _Votes()).days.setdefault(row.day, Tally()).add(row)
    for votes in cells.values():
        votes.shown = [Period(day, day) for day in sorted(votes.days)]
    return [line for cell, votes in sorted(cells.items()) for line in _lines(cell, votes, cut)]


def _withhold(whole: _Votes, parts: list[_Votes], least: int) -> None:
    """Take back the newest periods of parts while what the whole shows beyond them is too few to be shown."""
    covered = [day for day in whole.days if any(one.first <= day <= one.last for one in whole.shown)]
    while 0 < _left(whole, parts, covered) < least:
        newest = max(
            (
                (period, votes)
                for votes in parts
                for period in votes.shown
                if any(period.first <= day <= period.last for day in covered)
            ),
            key=lambda pair: (pair[0].last, -pair[1].of(pair[0]).n_counted),
            default=None,
        )
        if newest is None:
            return
        newest[1].shown.remove(newest[0])


def _left(whole: _Votes, parts: list[_Votes], covered: list[int]) -> int:
    shown = sum(
        votes.days[day].n_counted
        for votes in parts
        for day in covered
        if day in votes.days and any(one.first <= day <= one.last for one in votes.shown)
    )
    return sum(whole.days[day].n_counted for day in covered) - shown


def _lines(cell: Cell, votes: _Votes, cut: Cut) -> list[Summed]:
    groups: dict[str, list[Period]] = {}
    for period in votes.shown:
        groups.setdefault(_group(period, cut.split), []).append(period)
    lines = [
        Summed(cell, group[0].first, group[-1].last, sum_of(votes.of(period) for period in group))
        for group in groups.values()
    ]
    inside = [day for day, n in votes.counts().items() if n and cut.first <= day <= cut.last]
    if not lines and inside:
        return [Summed(cell, cut.first, cut.last, None)]
    return lines


def _group(period: Period, split: str) -> str:
    if split == "day":
        return str(period.last)
    return f"{date_of(period.last):%Y-%m}" if split == "month" else ""
