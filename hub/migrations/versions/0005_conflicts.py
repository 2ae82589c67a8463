"""Conflicts as ranges that every receipt says, what left the quarantine, and the date of the latest beacon."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables forward; what stands in quarantine as a conflict is one, each number a range of its own."""
    op.create_table(
        "conflict_range",
        sa.Column("journal_id", _ID, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_conflict_range_journal_id"),
        sa.PrimaryKeyConstraint("journal_id", "first", name="pk_conflict_range"),
    )
    op.execute(
        "INSERT INTO conflict_range (journal_id, first, last) SELECT DISTINCT journal_id, seq, seq FROM quarantine "
        "WHERE verdict = 'conflict' AND journal_id IS NOT NULL AND seq IS NOT NULL"
    )
    op.create_table(
        "quarantine_dropped",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_quarantine_dropped_device_id"),
        sa.PrimaryKeyConstraint("device_id", "verdict", "reason", name="pk_quarantine_dropped"),
    )
    op.add_column("quarantine", sa.Column("kept", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_index(
        "ix_quarantine_kept",
        "quarantine",
        ["device_id"],
        sqlite_where=sa.text("kept"),
        postgresql_where=sa.text("kept"),
    )
    op.add_column("hub", sa.Column("beacon_ms", sa.BigInteger(), nullable=False, server_default="0"))
