"""Days merged into periods of enough votes: what may be published of a row of days.

With 4 to 9 visits a day, a figure of one day, or two figures that differ by one vote, give a citizen away. So the days
of a cell (a commune, a counter, an officer ...) are put together, oldest first, until a period holds `least` votes that
stand; only whole periods are ever shown. What holds:

- A period does not depend on who asks or for which dates: any two figures of a cell differ by whole periods, so no
  subtraction leaves fewer than `least` votes.
- A period, once shown, does not change; only votes that come late from a box that was cut off move it.
- Each vote is in one period at most. Periods begin anew with each quarter; the few votes left at a quarter's end go
  into the next one's first period, or, where that gets none, into none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

DAY_MS: Final = 86_400_000
_OFFSET_MS: Final = 7 * 3_600_000  # Asia/Ho_Chi_Minh, since 1975 (web.times)
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Period:
    """Local days `first` to `last`, both included; votes were given on both."""

    first: int
    last: int


def periods(counts: Mapping[int, int], *, through: int, least: int) -> list[Period]:
    """The periods of a cell with `counts` votes by day, of which the last closed day is `through`; oldest first."""
    found: list[Period] = []
    quarter, rest, carried = -1, 0, None
    first: int | None = None
    for day in sorted(day for day, n in counts.items() if n > 0 and day <= through):
        if quarter_of(day) != quarter:
            # What was left of a quarter goes no further than the next one.
            carried = first if rest and quarter_of(day) == quarter + 1 else None
            quarter, rest, first = quarter_of(day), 0, None
        first = day if first is None else first
        rest += counts[day]
        if rest >= least:
            found.append(Period(first if carried is None else carried, day))
            rest, first, carried = 0, None, None
    return found


def quarter_of(day: int) -> int:
    """The quarter of a local day, counted on from year 0."""
    when = date_of(day)
    return when.year * 4 + (when.month - 1) // 3


def month_of(day: int) -> int:
    """The month of a local day, counted on from year 0."""
    when = date_of(day)
    return when.year * 12 + when.month - 1


def month_days(month: int) -> Period:
    """The first and last day of a month."""
    first = date(month // 12, month % 12 + 1, 1)
    after = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return Period(day_of(first), day_of(after) - 1)


def start_for(day: int) -> int:
    """The first day that a period which ends on `day` or later may begin with: the quarter before."""
    when = date_of(day)
    months = when.year * 12 + (when.month - 1) // 3 * 3 - 3
    return day_of(date(months // 12, months % 12 + 1, 1))


def day_at(wall_ms: int) -> int:
    """The local day of a moment."""
    return (wall_ms + _OFFSET_MS) // DAY_MS


def start_ms(day: int) -> int:
    """The moment at which a local day begins."""
    return day * DAY_MS - _OFFSET_MS


def date_of(day: int) -> date:
    """As a calendar date."""
    return _EPOCH + timedelta(days=day)


def day_of(when: date) -> int:
    """As a number of days."""
    return (when - _EPOCH).days
