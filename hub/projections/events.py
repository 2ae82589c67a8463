"""What devices found worth noting."""

from bus.entries import EventNoted
from hub import schema
from hub.projections.rows import Projected, Source, Write


def noted(source: Source, data: EventNoted) -> Projected:
    """`event.noted`."""
    row = {
        "key": f"{source.journal_id}/{source.seq}",
        "site_id": source.site,
        "device_id": source.device,
        "at_ms": source.wall_ms,
        "source": "device",
        "event": data.event,
        "subject": data.subject,
        "detail": data.detail,
    }
    return Projected([Write(schema.event, row, ("key",), ("at_ms",))])
