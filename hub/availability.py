"""Availability of lines by month and provider, out of what was really observed.

A minute in which nobody watched (no power, agent not running, record not here) is unknown: it is neither up nor down,
and never a provider's downtime. So availability is (observed - down) / observed, always shown beside observed and
unknown time, and there is none where nothing was observed. Months are Vietnamese local months.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, FromClause, Select, Table, and_, case, exists, func, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from bus.errors import WrongInputError
from hub.projections.minutes import HOUR_MS
from hub.schema import line_hour, line_minute, line_touched, site
from web.times import VIETNAM, local


@dataclass(frozen=True, slots=True)
class Month:
    """A local month: `name` as 2026-11, `start_ms` included, `end_ms` not."""

    name: str
    start_ms: int
    end_ms: int

    @classmethod
    def of(cls, name: str) -> "Month":
        """The month called `name`; `WrongInputError` where it is none."""
        try:
            start = datetime.strptime(name, "%Y-%m").replace(tzinfo=VIETNAM)
            end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        except ValueError as error:
            raise WrongInputError(f"month {name!r} is not of the form 2026-11") from error
        return cls(name, int(start.timestamp() * 1000), int(end.timestamp() * 1000))

    @classmethod
    def at(cls, wall_ms: int) -> "Month":
        """The month in which `wall_ms` lies."""
        return cls.of(f"{local(wall_ms):%Y-%m}")

    def before(self) -> "Month":
        """The month before this one."""
        return Month.at(self.start_ms - 1)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the store sums up for one line and provider in a month. `first_ms` is its first minute in it."""

    site: str
    line: str
    provider: str
    observed_s: int
    down_s: int
    first_ms: int


@dataclass(frozen=True, slots=True)
class LineMonth:
    """A line with one provider in one month. `availability_pct` is None where nothing was observed."""

    site: str
    line: str
    provider: str
    month: str
    observed_s: int
    down_s: int
    unknown_s: int

    @property
    def availability_pct(self) -> float | None:
        """Of observed time, up."""
        return 100.0 * (self.observed_s - self.down_s) / self.observed_s if self.observed_s else None

    @property
    def observed_pct(self) -> float:
        """Of all time that counts, observed."""
        whole = self.observed_s + self.unknown_s
        return 100.0 * self.observed_s / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class ProviderMonth:
    """All lines of a provider in one month."""

    provider: str
    lines: int
    observed_s: int
    down_s: int
    unknown_s: int

    @property
    def availability_pct(self) -> float | None:
        """Of observed time, up."""
        return 100.0 * (self.observed_s - self.down_s) / self.observed_s if self.observed_s else None

    @property
    def observed_pct(self) -> float:
        """Of all time that counts, observed."""
        whole = self.observed_s + self.unknown_s
        return 100.0 * self.observed_s / whole if whole else 0.0


def line_months(rows: Iterable[Observed], month: Month, began_ms: dict[str, int], *, now_ms: int) -> list[LineMonth]:
    """Account for every second of the month, from when a site began to be watched (`began_ms`) until now.

    Where a line changed its provider within the month, each answers from its first minute to the next one's.
    """
    by_line: dict[tuple[str, str], list[Observed]] = {}
    for row in rows:
        by_line.setdefault((row.site, row.line), []).append(row)
    result = []
    for (at_site, line), parts in sorted(by_line.items()):
        parts.sort(key=lambda part: part.first_ms)
        start_ms = max(month.start_ms, began_ms.get(at_site, month.start_ms))
        end_ms = max(start_ms, min(month.end_ms, now_ms))
        starts = [start_ms, *(part.first_ms for part in parts[1:])]
        ends = [*starts[1:], end_ms]
        for part, from_ms, to_ms in zip(parts, starts, ends, strict=True):
            unknown_s = max(0, (to_ms - from_ms) // 1000 - part.observed_s)
            down_s = min(part.down_s, part.observed_s)
            result.append(LineMonth(at_site, line, part.provider, month.name, part.observed_s, down_s, unknown_s))
    return result


def by_provider(lines: Iterable[LineMonth]) -> list[ProviderMonth]:
    """Sum up per provider, the largest first."""
    groups: dict[str, list[LineMonth]] = {}
    for line in lines:
        groups.setdefault(line.provider, []).append(line)
    sums = [
        ProviderMonth(
            provider,
            len({(line.site, line.line) for line in group}),
            sum(line.observed_s for line in group),
            sum(line.down_s for line in group),
            sum(line.unknown_s for line in group),
        )
        for provider, group in groups.items()
    ]
    return sorted(sums, key=lambda one: (-one.lines, one.provider))


def read_month(
    connection: Connection, month: Month, *, sites: Sequence[str] | None = None, now_ms: int
) -> list[LineMonth]:
    """Availability of the lines of `sites` (all of them when None) in one month.

    Hours that were summed are read as sums, those touched since from their minutes: the figures are of now either way.
    It is one statement, so that an hour summed meanwhile is neither missed nor counted twice.
    """
    parts = union_all(_summed_hours(month, sites), _touched_hours(month, sites)).subquery()
    summed = select(
        parts.c.site_id,
        parts.c.line,
        parts.c.provider,
        func.sum(parts.c.observed_s),
        func.sum(parts.c.down_s),
        func.min(parts.c.first_ms),
    ).group_by(parts.c.site_id, parts.c.line, parts.c.provider)
    rows = [
        Observed(at_site, line, provider, int(observed), int(down), int(first_ms))
        for at_site, line, provider, observed, down, first_ms in connection.execute(summed)
    ]
    return line_months(rows, month, _began(connection, sites), now_ms=now_ms)


def sums(where: Sequence[ColumnElement[bool]], *, touched: FromClause | None = None) -> Select:  # type: ignore[type-arg]
    """Minutes summed by site, line and provider; where `touched` is given, only those of its (site_id, hour)."""
    # A minute told twice (a restart within it, a restored card) must not count for more than a minute.
    minute = (
        select(
            line_minute.c.site_id,
            line_minute.c.line,
            line_minute.c.provider,
            line_minute.c.start_ms,
            _at_most(func.sum(line_minute.c.observed_s), 60).label("observed_s"),
            _at_most(func.sum(line_minute.c.down_s), 60).label("down_s"),
        )
        .where(*where)
        .group_by(line_minute.c.site_id, line_minute.c.line, line_minute.c.provider, line_minute.c.start_ms)
    )
    if touched is not None:
        start_ms = touched.c.hour * HOUR_MS
        within = and_(line_minute.c.start_ms >= start_ms, line_minute.c.start_ms < start_ms + HOUR_MS)
        minute = minute.join(touched, and_(touched.c.site_id == line_minute.c.site_id, within))
    by_minute = minute.subquery()
    return select(
        by_minute.c.site_id,
        by_minute.c.line,
        by_minute.c.provider,
        func.sum(by_minute.c.observed_s).label("observed_s"),
        func.sum(by_minute.c.down_s).label("down_s"),
        func.min(by_minute.c.start_ms).label("first_ms"),
    ).group_by(by_minute.c.site_id, by_minute.c.line, by_minute.c.provider)


def _summed_hours(month: Month, sites: Sequence[str] | None) -> Select:  # type: ignore[type-arg]
    waits = exists(
        select(line_touched.c.id).where(
            line_touched.c.site_id == line_hour.c.site_id, line_touched.c.hour == line_hour.c.hour
        )
    )
    return select(
        line_hour.c.site_id,
        line_hour.c.line,
        line_hour.c.provider,
        line_hour.c.observed_s,
        line_hour.c.down_s,
        line_hour.c.first_ms,
    ).where(*_hours(line_hour, month, sites), ~waits)


def _touched_hours(month: Month, sites: Sequence[str] | None) -> Select:  # type: ignore[type-arg]
    touched = (
        select(line_touched.c.site_id, line_touched.c.hour)
        .where(*_hours(line_touched, month, sites))
        .distinct()
        .subquery()
    )
    return sums([], touched=touched)


def _hours(table: Table, month: Month, sites: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """A Vietnamese month begins and ends on a whole hour of UTC."""
    where = [table.c.hour >= month.start_ms // HOUR_MS, table.c.hour < month.end_ms // HOUR_MS]
    return where if sites is None else [*where, table.c.site_id.in_(sites)]


def _at_most(value: ColumnElement[int], limit: int) -> ColumnElement[int]:
    return case((value > limit, limit), else_=value)


def _began(connection: Connection, sites: Sequence[str] | None) -> dict[str, int]:
    first = select(func.min(line_minute.c.start_ms)).where(line_minute.c.site_id == site.c.id).scalar_subquery()
    query = select(site.c.id, first.label("began_ms"))
    if sites is not None:
        query = query.where(site.c.id.in_(sites))
    return {name: began_ms for name, began_ms in connection.execute(query) if began_ms is not None}
