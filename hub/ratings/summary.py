"""What may be said of votes, cut as somebody asks: a pure function of counts, closed days and the least number.

- A commune's figures (`communes`) are those of whole periods (`hub.ratings.periods`) that end within the dates asked
  for, each by itself, by month or all together.
- Its parts (`parts`: kiosks, counters, officers, hours, questions, one kind at a time) have figures of whole months
  that are over, of the days whose periods end in the month. Which parts and which filtered figures of a month are shown
  is decided once, over all cuts (`hub.ratings.secrecy`).
- The filtered figure is the part of a month that bears no flag. Of other spans and of parts it is shown only where no
  vote at all is flagged: it is the raw one then.

What has votes and no figure is told as withheld, without a number.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from hub.ratings.figures import Tally, VoteCount, sum_of
from hub.ratings.periods import Period, month_days, month_of, periods
from hub.ratings.secrecy import shown_values

Cell = tuple[str, ...]
SITE: Final = 0  # where a cell names its site
# What a cell is cut by, in its order.
DIMENSIONS: Final[tuple[str, ...]] = ("kiosk", "counter", "officer", "hour")
QUESTION: Final = "question"
# The kinds of parts in the order in which they are judged: what comes later gives way to what comes before.
PARTS: Final[tuple[str, ...]] = ("counter", "kiosk", "officer", "hour", QUESTION)
_CLEAN: Final = "clean"
_FLAGGED: Final = "flagged"


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
    """One line of a summary. `tally` is None where it is withheld; `filtered`: its filtered figure may be shown."""

    cell: Cell
    first: int
    last: int
    tally: Tally | None
    filtered: bool = False


@dataclass(slots=True)
class _Votes:
    """The votes of closed days of a commune, its periods, and those by the month in which they end."""

    through: int
    rows: list[VoteCount] = field(default_factory=list)
    days: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    periods: list[Period] = field(default_factory=list)
    months: dict[int, list[Period]] = field(default_factory=lambda: defaultdict(list))

    def find_periods(self, least: int) -> None:
        counts = {day: tally.n_counted for day, tally in self.days.items()}
        self.periods = periods(counts, through=self.through, least=least)
        for period in self.periods:
            self.months[month_of(period.last)].append(period)

    def of(self, spans: Iterable[Period]) -> Tally:
        return sum_of(tally for span in spans for day, tally in self.days.items() if span.first <= day <= span.last)

    def over(self, month: int) -> bool:
        """No day of it is open: which periods end in it will not change."""
        return month_days(month).last <= self.through

    def inside(self, month: int) -> list[tuple[Period, VoteCount]]:
        """The rows that a month's figures are made of."""
        spans = {day: span for span in self.months.get(month, ()) for day in range(span.first, span.last + 1)}
        return [(spans[row.day], row) for row in self.rows if row.day in spans]


def communes(rows: Iterable[VoteCount], cut: Cut, closing: Closing, *, least: int) -> list[Summed]:
    """The lines of whole communes that may be shown, by time; `rows` may be cut in any way."""
    lines = []
    for site, votes in sorted(_by_site(rows, closing, least).items()):
        groups: dict[int, list[Period]] = defaultdict(list)
        for period in votes.periods:
            if cut.first <= period.last <= cut.last:
                groups[_group(period, cut.split)].append(period)
        lines += [
            Summed((site,), group[0].first, group[-1].last, votes.of(group), _filtered(votes, group, least))
            for group in groups.values()
        ]
        given = any(tally.n_counted for day, tally in votes.days.items() if cut.first <= day <= cut.last)
        if given and not groups:
            lines.append(Summed((site,), cut.first, cut.last, None))
    return lines


def parts(rows: Iterable[VoteCount], cut: Cut, closing: Closing, part: str, *, least: int) -> list[Summed]:
    """The lines of one kind of parts, by month; of `cut.question` alone where `part` is the question.

    `rows` are cut by all of `DIMENSIONS`, whatever is asked for: cuts that come before this one decide with it.
    """
    lines = []
    for site, votes in sorted(_by_site(rows, closing, least).items()):
        first, last = month_of(cut.first), month_of(cut.last)
        for month in range(first, last + 1):
            if votes.over(month) and month_days(month).last <= cut.last:
                lines += _parts_of(site, votes, month, part, least)
    if part == QUESTION:
        return [replace(line, cell=line.cell[:1]) for line in lines if line.cell[1] == cut.question]
    return lines


def everything(rows: Iterable[VoteCount], cut: Cut) -> list[Summed]:
    """All lines as they are, open days and single votes included: for those who may read single presses."""
    cells: dict[Cell, dict[int, list[VoteCount]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if cut.first <= row.day <= cut.last and cut.question in (None, row.question):
            cells[row.cell][_group(Period(row.day, row.day), cut.split)].append(row)
    return [
        Summed(cell, min(row.day for row in group), max(row.day for row in group), _tally(group), filtered=True)
        for cell, groups in sorted(cells.items())
        for _, group in sorted(groups.items())
    ]


def _by_site(rows: Iterable[VoteCount], closing: Closing, least: int) -> dict[str, _Votes]:
    sites: dict[str, _Votes] = {}
    for row in rows:
        site = row.cell[SITE]
        if row.day <= closing.through(site):
            votes = sites.setdefault(site, _Votes(closing.through(site)))
            votes.rows.append(row)
            votes.days[row.day].add(row)
    for votes in sites.values():
        votes.find_periods(least)
    return sites


def _parts_of(site: str, votes: _Votes, month: int, part: str, least: int) -> list[Summed]:
    spans, whole = votes.months.get(month, []), month_days(month)
    if not spans:
        found = {_value(row, part) for row in votes.rows if row.counted and whole.first <= row.day <= whole.last}
        return [Summed((site, value), whole.first, whole.last, None) for value in sorted(found)]
    cuts = PARTS[: PARTS.index(part) + 1]
    inside = votes.inside(month)
    shown = shown_values(_counts(inside, cuts), least=least)[-1]
    by_value: dict[str, list[VoteCount]] = defaultdict(list)
    for _, row in inside:
        by_value[_value(row, part)].append(row)
    lines = []
    for value, mine in sorted(by_value.items()):
        tally = _tally(mine) if value in shown else None
        if tally is not None or any(row.counted for row in mine):
            unflagged = tally is not None and tally.n_filtered == tally.n_counted
            lines.append(Summed((site, value), spans[0].first, spans[-1].last, tally, unflagged))
    return lines


def _counts(inside: Iterable[tuple[Period, VoteCount]], cuts: Iterable[str]) -> Counter[tuple[str, ...]]:
    """Votes that stand, by period, flagged or not, and `cuts`."""
    found = Counter[tuple[str, ...]]()
    for period, row in inside:
        key = tuple(_value(row, name) for name in cuts)
        found[(str(period.last), _CLEAN, *key)] += row.filtered
        found[(str(period.last), _FLAGGED, *key)] += row.counted - row.filtered
    return found


def _filtered(votes: _Votes, group: list[Period], least: int) -> bool:
    """Of each month in it: nothing is flagged, or it is all there, and what is and is not flagged may stand apart."""
    for month in {month_of(period.last) for period in group}:
        mine = [period for period in group if month_of(period.last) == month]
        tally = votes.of(mine)
        if tally.n_filtered == tally.n_counted:
            continue
        if mine != votes.months[month] or not votes.over(month):
            return False
        if _CLEAN not in shown_values(_counts(votes.inside(month), ()), least=least)[1]:
            return False
    return True


def _value(row: VoteCount, part: str) -> str:
    return row.question if part == QUESTION else row.cell[1 + DIMENSIONS.index(part)]


def _tally(rows: Iterable[VoteCount]) -> Tally:
    tally = Tally()
    for row in rows:
        tally.add(row)
    return tally


def _group(period: Period, split: str) -> int:
    if split == "day":
        return period.last
    return month_of(period.last) if split == "month" else 0
