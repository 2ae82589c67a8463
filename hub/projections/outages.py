"""Outages, put together from their two entries, whichever comes first.

The start is the opening entry's word, the end and the cause the closing one's: by then more was known. What was carried
over from an earlier boot began by a clock that this boot's anchor does not move; and what the anchor moves the end by
was time without power, which nobody watched. Where there are two closing entries (the device was killed before it noted
that it had made one), the first holds.
"""

import msgspec

from bus.entries import OutageClosed, OutageOpened
from hub import schema
from hub.projections.rows import Projected, Source, Write

_KEY = ("device_id", "outage")


def opened(source: Source, data: OutageOpened) -> Projected:
    """`outage.opened`."""
    started_ms = data.started_ms + (0 if data.carried else source.shift_ms)
    row = {
        "device_id": source.device,
        "outage": data.outage,
        "site_id": source.site,
        "subject": data.subject,
        "cause": data.cause,
        "provider": data.provider,
        "started_ms": started_ms,
        "evidence": msgspec.json.encode(data.evidence).decode(),
        "opened_journal_id": source.journal_id,
        "opened_seq": source.seq,
    }
    return Projected([Write(schema.outage, row, _KEY, ("started_ms", "opened_journal_id", "opened_seq"))])


def closed(source: Source, data: OutageClosed) -> Projected:
    """`outage.closed`."""
    started_ms = data.started_ms + (0 if data.carried else source.shift_ms)
    unwatched_ms = data.unwatched_ms + (source.shift_ms if data.carried else 0)
    row = {
        "device_id": source.device,
        "outage": data.outage,
        "site_id": source.site,
        "subject": data.subject,
        "cause": data.cause,
        "provider": data.provider,
        "started_ms": started_ms,
        "ended_ms": max(data.ended_ms + source.shift_ms, started_ms),
        "unwatched_ms": max(unwatched_ms, 0),
        "evidence": msgspec.json.encode(data.evidence).decode(),
        "closed_journal_id": source.journal_id,
        "closed_seq": source.seq,
    }
    update = ("cause", "provider", "ended_ms", "unwatched_ms", "evidence", "closed_journal_id", "closed_seq")
    return Projected([Write(schema.outage, row, _KEY, update, earliest=("closed_journal_id", "closed_seq"))])
