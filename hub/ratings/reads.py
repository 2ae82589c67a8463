"""Votes as the store counts them: one statement, the same on SQLite and PostgreSQL.

Which presses stand and which are flagged is asked anew each time, since records come in any order: a press is replaced
once any later press of its site names it.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, String, and_, case, cast, exists, func, literal, select

from bus.entries import AGE_UNSURE
from hub.ratings.figures import VoteCount
from hub.ratings.periods import DAY_MS, date_of, day_at, start_for, start_ms
from hub.ratings.summary import Closing, Cut
from hub.schema import rating, rating_day, rating_flag

SUPERSEDED: Final = "superseded"  # heard late, after the vote that replaced it (docs/ratings.md)
_HOUR_MS: Final = 3_600_000
# Scales that a panel or page may have; what else a record says is no vote.
_SCALES: Final = (2, 9)


def votes(
    connection: Connection, cut: Cut, dimensions: Sequence[str], *, sites: Sequence[str] | None = None
) -> list[VoteCount]:
    """What the periods of `cut` are made of, by site and `dimensions`; of `sites` only, where they are given."""
    moment = rating.c.pressed_ms - start_ms(0)
    columns = _columns(moment)
    first_ms, end_ms = start_ms(start_for(cut.first)), start_ms(cut.last + 1)
    where = [
        rating.c.pressed_ms >= first_ms,
        rating.c.pressed_ms < end_ms,
        rating.c.levels.between(*_SCALES),
        rating.c.level.between(1, rating.c.levels),
    ]
    if sites is not None:
        where.append(rating.c.site_id.in_(sites))
    each = (
        select(
            rating.c.site_id,
            *(columns[name].label(name) for name in dimensions),
            (moment // DAY_MS).label("day"),
            rating.c.question,
            rating.c.levels,
            rating.c.level,
            case((stands(), 1), else_=0).label("stands"),
            case((_flagged(), 0), else_=1).label("clean"),
        )
        .where(*where)
        .subquery()
    )
    alike = [each.c.site_id, *(each.c[name] for name in dimensions)]
    alike += [each.c.day, each.c.question, each.c.levels, each.c.level]
    query = select(*alike, func.count(), func.sum(each.c.stands), func.sum(each.c.stands * each.c.clean)).group_by(
        *alike
    )
    size = 1 + len(dimensions)
    return [
        VoteCount(tuple(row[:size]), int(row[size]), row[size + 1], row[size + 2], row[size + 3], *map(int, row[-3:]))
        for row in connection.execute(query)
    ]


def closing(connection: Connection, now_ms: int) -> Closing:
    """Which days are closed now. A site has closed for today when each of its counters said so after its last press.

    A counter is a kiosk and its counter: each kiosk keeps the totals of its own.
    """
    today = day_at(now_ms)
    pressed = (
        select(rating.c.site_id, rating.c.device_id, rating.c.counter, func.max(rating.c.pressed_ms).label("last_ms"))
        .where(rating.c.pressed_ms >= start_ms(today), rating.c.pressed_ms < start_ms(today + 1))
        .group_by(rating.c.site_id, rating.c.device_id, rating.c.counter)
    )
    told = (
        select(rating_day.c.device_id, rating_day.c.counter, func.max(rating_day.c.at_ms))
        .where(rating_day.c.day == date_of(today).isoformat())
        .group_by(rating_day.c.device_id, rating_day.c.counter)
    )
    said = {(device, counter): at_ms for device, counter, at_ms in connection.execute(told)}
    open_sites, seen = set(), set()
    for site, device, counter, last_ms in connection.execute(pressed):
        seen.add(site)
        if said.get((device, counter), 0) < last_ms:
            open_sites.add(site)
    return Closing(today, frozenset(seen - open_sites))


def stands() -> ColumnElement[bool]:
    """The condition that a row of `rating` counts: nothing replaced it."""
    later = rating.alias()
    replaced = exists(select(later.c.id).where(later.c.site_id == rating.c.site_id, later.c.replaces == rating.c.press))
    return ~replaced & ~_flagged(SUPERSEDED)


def _flagged(flag: str | None = None) -> ColumnElement[bool]:
    """It bears this flag; where none is given, any that leaves it out of filtered figures."""
    found = and_(rating_flag.c.site_id == rating.c.site_id, rating_flag.c.press == rating.c.press)
    wanted = rating_flag.c.flag != AGE_UNSURE if flag is None else rating_flag.c.flag == flag
    return exists(select(literal(1)).where(found & wanted))


def _columns(moment: ColumnElement[int]) -> dict[str, ColumnElement[str]]:
    hour = cast(moment // _HOUR_MS % 24, String)
    return {
        "kiosk": rating.c.device_id,
        "counter": rating.c.counter,
        "officer": rating.c.officer,
        "hour": case((func.length(hour) == 1, literal("0").concat(hour)), else_=hour),
    }
