"""Sums the minutes of lines by the hour, for the hours whose minutes have changed.

A minute that is stored or moved leaves a row in `line_touched`, in the same transaction. Here such rows are taken,
their hours summed from the minutes, and only the rows that were seen go: what comes meanwhile leaves a row of its own,
and its hour is summed again. Until then readers look at the minutes (`hub.availability`), so nobody waits for this.
An hour that cannot be summed is told of and left out: the others go on.
"""

import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, delete, insert, select, text

from bus.logs import fields
from hub.availability import sums
from hub.database import Database, is_ours
from hub.limits import LAST_MS
from hub.projections.minutes import HOUR_MS
from hub.schema import line_hour, line_minute, line_touched

log = logging.getLogger(__name__)

_ROWS: Final = 5_000
_HOURS: Final = 200  # of one transaction, so that ingest never waits long
_LOCK: Final = 0x6C696E65  # "line"; two hubs on one PostgreSQL store take turns


def roll(database: Database, stopped: Callable[[], bool] = lambda: False) -> int:
    """Sum every hour that was touched, or until `stopped`; how many there were.

    `UnavailableError` where the store cannot be used.
    """
    done = 0
    while True:
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            hours = _take(connection)
            for site, hour in hours:
                _try(connection, site, hour)
        done += len(hours)
        if not hours or stopped():
            return done


def _take(connection: Connection) -> list[tuple[str, int]]:
    rows = connection.execute(
        select(line_touched.c.id, line_touched.c.site_id, line_touched.c.hour).order_by(line_touched.c.id).limit(_ROWS)
    ).all()
    hours = list(dict.fromkeys((row.site_id, row.hour) for row in rows))[:_HOURS]
    taken = set(hours)
    gone = [row.id for row in rows if (row.site_id, row.hour) in taken]
    for at in range(0, len(gone), 500):
        connection.execute(delete(line_touched).where(line_touched.c.id.in_(gone[at : at + 500])))
    return hours


def _try(connection: Connection, site: str, hour: int) -> None:
    if not 0 <= hour <= LAST_MS // HOUR_MS:  # of a minute that an earlier version let in
        log.error("hour not summed %s", fields(site=site, hour=hour))
        return
    try:
        with connection.begin_nested():
            _sum(connection, site, hour)
    except Exception as error:
        if not is_ours(error):
            raise
        log.exception("hour not summed %s", fields(site=site, hour=hour))


def _sum(connection: Connection, site: str, hour: int) -> None:
    connection.execute(delete(line_hour).where(line_hour.c.site_id == site, line_hour.c.hour == hour))
    start_ms = hour * HOUR_MS
    minutes = [
        line_minute.c.site_id == site,
        line_minute.c.start_ms >= start_ms,
        line_minute.c.start_ms < start_ms + HOUR_MS,
    ]
    rows = connection.execute(sums(minutes)).mappings().all()
    if rows:
        values = [
            {**row, "hour": hour, "observed_s": int(row["observed_s"]), "down_s": int(row["down_s"])} for row in rows
        ]
        connection.execute(insert(line_hour), values)
