"""What tables are made of: the metadata and its names, columns that many tables have, tables keyed by an entry."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up by itself only in a column that is INTEGER to the letter.
ID: Final = BigInteger().with_variant(Integer, "sqlite")


def text_column(name: str, default: str = "") -> Column[str]:
    """Text that is always there, empty where nothing is known."""
    return Column(name, Text, nullable=False, default=default)


def ms_column(name: str) -> Column[int]:
    """A moment, Unix milliseconds."""
    return Column(name, BigInteger, nullable=False)


def journal_column() -> Column[int]:
    """The (device, epoch, class) that the row belongs to."""
    return Column("journal_id", ID, ForeignKey("journal.id"), nullable=False)


def device_column() -> Column[str]:
    """The device that said it."""
    return Column("device_id", Text, ForeignKey("device.id"), nullable=False)


def site_column() -> Column[str]:
    """The site of that device."""
    return Column("site_id", Text, ForeignKey("site.id"), nullable=False)


def projection(name: str, *columns: Column | Index | UniqueConstraint) -> Table:  # type: ignore[type-arg]
    """A table that one kind of entry is projected to, keyed by the entry."""
    return Table(
        name,
        metadata,
        Column("journal_id", ID, ForeignKey("journal.id"), primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        site_column(),
        device_column(),
        *columns,
    )
