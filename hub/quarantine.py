"""What is set aside raw, inside the caller's transaction: kept by its key, counted when it comes again, and bounded.

A device that goes wrong, or somebody who has its key, must not fill the store: of each device the newest copies stay,
and what had to go is counted. An entry that counts as stored keeps its digest, so that other bytes under its key are
still a conflict; of the rest nothing remains but the count. Which numbers are in conflict stands in `conflict_range`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, update

from hub import ledger, schema

MAX_ROWS: Final = 10_000  # raw copies of one device
MAX_BYTES: Final = 64 * 1024 * 1024
_AT_ONCE: Final = 500  # parameters of one IN list


def keep(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep rows of `quarantine`; the same bytes offered again raise `times`."""
    ledger.upsert(connection, schema.quarantine, rows, ("key",), (), adds=("times",))
    for device in sorted({row["device_id"] for row in rows}):
        _bound(connection, device)


def _bound(connection: Connection, device: str) -> None:
    table = schema.quarantine
    size = func.length(table.c.raw)
    kept = (table.c.device_id == device, table.c.kept)
    count, held = connection.execute(select(func.count(), func.sum(size)).where(*kept)).one()
    rows_over, bytes_over = count - MAX_ROWS, int(held or 0) - MAX_BYTES
    if rows_over <= 0 and bytes_over <= 0:
        return
    emptied: list[int] = []
    gone: list[int] = []
    counts: Counter[tuple[str, str]] = Counter()
    oldest = select(table.c.id, table.c.seq, table.c.verdict, table.c.reason, size.label("size"))
    for row in connection.execute(oldest.where(*kept).order_by(table.c.id)):
        if rows_over <= 0 and bytes_over <= 0:
            break
        rows_over -= 1
        bytes_over -= row.size
        if row.verdict == "quarantined" and row.seq is not None:
            emptied.append(row.id)
        else:
            gone.append(row.id)
            counts[row.verdict, row.reason] += 1
    for ids in _parts(emptied):
        connection.execute(update(table).where(table.c.id.in_(ids)).values(raw=b"", kept=False))
    for ids in _parts(gone):
        connection.execute(delete(table).where(table.c.id.in_(ids)))
    dropped = [
        {"device_id": device, "verdict": verdict, "reason": reason, "count": number}
        for (verdict, reason), number in sorted(counts.items())
    ]
    ledger.upsert(connection, schema.quarantine_dropped, dropped, ("device_id", "verdict", "reason"), (), ("count",))


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
