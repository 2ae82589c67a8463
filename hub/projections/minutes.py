"""Minutes of the uplinks, from which availability is summed, and the gaps in which nobody watched."""

from typing import Final

from bus.entries import LinkMinute, WatchGap
from hub import schema
from hub.projections.rows import Projected, Source, Write

HOUR_MS: Final = 3_600_000


def minute(source: Source, data: LinkMinute) -> Projected:
    """`link.minute`; its targets stay in the entry, which `latest` points to."""
    start_ms = source.moved(data.start_ms)
    writes = [
        Write(
            schema.line_minute,
            source.key()
            | {
                "line": name,
                "provider": line.provider,
                "start_ms": start_ms,
                "observed_s": min(max(line.observed_s, 0), 60),
                "down_s": min(max(line.down_s, 0), 60),
            },
            ("journal_id", "seq", "line"),
            ("start_ms",),
        )
        for name, line in data.lines.items()
    ]
    # Moved by an anchor, a minute leaves the hour it was counted in and comes to another.
    hours = {start_ms // HOUR_MS, max(data.start_ms, 0) // HOUR_MS}
    touched = [Write(schema.line_touched, {"site_id": source.site, "hour": hour}, ("id",)) for hour in sorted(hours)]
    return Projected([*writes, *touched] if writes else [], ["minute"])


def gap(source: Source, data: WatchGap) -> Projected:
    """`watch.gap`."""
    row = source.key() | {
        "from_ms": source.moved(data.from_ms),
        "to_ms": source.moved(data.to_ms),
        "reason": data.reason,
    }
    return Projected([Write(schema.watch_gap, row, update=("from_ms", "to_ms"))])
