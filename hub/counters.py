"""Counters in the store: what was given up for good must still be known after a restart."""

from sqlalchemy import Connection

from hub import ledger, schema


def raise_counter(connection: Connection, name: str, label: str, by: int) -> None:
    """Add to one."""
    row = {"name": name, "label": label, "value": by}
    ledger.upsert(connection, schema.counter, [row], ("name", "label"), (), adds=("value",))
