"""Counters in the store: what was given up for good must still be known after a restart."""

from sqlalchemy import Connection, and_, insert, update

from hub import schema


def raise_counter(connection: Connection, name: str, label: str, by: int) -> None:
    """Add to one."""
    table = schema.counter
    where = and_(table.c.name == name, table.c.label == label)
    if connection.execute(update(table).where(where).values(value=table.c.value + by)).rowcount == 0:
        connection.execute(insert(table).values(name=name, label=label, value=by))
