"""What the store lets go by age: exported samples, and the minutes of links. Everything else stays.

Removed rows stay repeats: `stored_range` is the authority, and is never pruned.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Table, and_, delete, exists, select, tuple_

from hub import schema
from hub.config import KeepConfig
from hub.database import Database

_DAY_MS: Final = 86_400_000
_AT_ONCE: Final = 2_000  # rows of one transaction, so that ingest never waits long


def prune(database: Database, keep: KeepConfig, now_ms: int, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove what is older than `keep`, by the hub's own time of receipt, or until `stopped`; how many rows went.

    A sample that still waits for remote write stays; one whose time nobody ever vouched for goes with its age.
    """
    sample, entry, queue = schema.sample, schema.entry, schema.export_queue
    waits = exists(
        select(queue.c.id).where(and_(queue.c.journal_id == sample.c.journal_id, queue.c.seq == sample.c.seq))
    )
    old_sample = and_(sample.c.received_ms < now_ms - keep.sample_days * _DAY_MS, ~waits)
    old_minute = and_(
        entry.c.kind == "link.minute",
        entry.c.wall_ms < now_ms - keep.minute_days * _DAY_MS,
        entry.c.received_ms < now_ms - keep.minute_days * _DAY_MS,
    )
    return _remove(database, sample, old_sample, stopped) + _remove(database, entry, old_minute, stopped)


def _remove(database: Database, table: Table, condition: object, stopped: Callable[[], bool]) -> int:
    key = tuple_(table.c.journal_id, table.c.seq)
    removed = 0
    while not stopped():
        with database.write() as connection:
            some = select(table.c.journal_id, table.c.seq).where(condition).limit(_AT_ONCE)  # type: ignore[arg-type]
            rows = [(row.journal_id, row.seq) for row in connection.execute(some)]
            if rows:
                connection.execute(delete(table).where(key.in_(rows)))
        removed += len(rows)
        if len(rows) < _AT_ONCE:
            break
    return removed
