"""How things stand now: of each device's `latest` rows, the one of its newest journal.

Order comes from the epochs' ordinals and from `seq`, never from wall time (design decision 5).
"""

from sqlalchemy import Select, func, select

from hub.schema import journal, latest


def current(what: str) -> Select[tuple[str, str, int, int]]:
    """Rows (device_id, what, journal_id, seq), one a device and thing; `what` is exact, or a prefix ending in `/`."""
    matches = latest.c.what.startswith(what, autoescape=True) if what.endswith("/") else latest.c.what == what
    rank = (
        func.row_number()
        .over(partition_by=(latest.c.device_id, latest.c.what), order_by=journal.c.ordinal.desc())
        .label("rank")
    )
    ranked = (
        select(latest.c.device_id, latest.c.what, latest.c.journal_id, latest.c.seq, rank)
        .join(journal, journal.c.id == latest.c.journal_id)
        .where(matches)
        .subquery()
    )
    return select(ranked.c.device_id, ranked.c.what, ranked.c.journal_id, ranked.c.seq).where(ranked.c.rank == 1)
