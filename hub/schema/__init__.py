"""The hub's tables, the same on SQLite and PostgreSQL.

What always holds:

- `stored_range` is the authority on repeats and is never pruned: a sequence number in it has been stored, even when its
  row in `entry` or `sample` has been removed by age. Ranges of one journal neither overlap nor touch.
- A row of `entry`, its range, its projections and its events are written in one transaction.
- Times are Unix milliseconds. `raw_wall_ms` is what the device's clock said; `wall_ms` is the best that is known, moved
  by the boot's anchor when one comes (`anchored`). `received_ms` is the hub's own clock.
- JSON stands in text columns: the bytes that the device sent, never formatted anew.

Changes go through hub/migrations; a test holds the two against each other.
"""

from hub.schema.columns import metadata
from hub.schema.journals import (
    boot,
    conflict_range,
    counter,
    device,
    device_live,
    entry,
    event,
    export_queue,
    hub,
    journal,
    latest,
    lost_range,
    quarantine,
    quarantine_dropped,
    rejected,
    sample,
    site,
    stored_range,
)
from hub.schema.projected import (
    audit,
    desired,
    diagnosis,
    line_hour,
    line_minute,
    line_touched,
    outage,
    presence,
    rating,
    rating_day,
    rating_flag,
    rating_reason,
    watch_gap,
)

__all__ = [
    "audit",
    "boot",
    "conflict_range",
    "counter",
    "desired",
    "device",
    "device_live",
    "diagnosis",
    "entry",
    "event",
    "export_queue",
    "hub",
    "journal",
    "latest",
    "line_hour",
    "line_minute",
    "line_touched",
    "lost_range",
    "metadata",
    "outage",
    "presence",
    "quarantine",
    "quarantine_dropped",
    "rating",
    "rating_day",
    "rating_flag",
    "rating_reason",
    "rejected",
    "sample",
    "site",
    "stored_range",
    "watch_gap",
]
