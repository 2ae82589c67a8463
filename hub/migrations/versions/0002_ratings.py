"""Ratings, and who looked at them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Bring the tables forward."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "rating_flag",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("press", sa.Text(), nullable=False),
        sa.Column("flag", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_rating_flag_site_id"),
        sa.PrimaryKeyConstraint("site_id", "press", "flag", name="pk_rating_flag"),
    )
    op.create_table(
        "rating_reason",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("press", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_rating_reason_site_id"),
        sa.PrimaryKeyConstraint("site_id", "press", name="pk_rating_reason"),
    )
    op.create_table(
        "rating",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("press", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("levels", sa.Integer(), nullable=False),
        sa.Column("counter", sa.Text(), nullable=False),
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=False),
        sa.Column("pressed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_rating_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_rating_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_rating_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rating"),
        sa.UniqueConstraint("journal_id", "seq", name="uq_rating_journal_id_seq"),
        sa.UniqueConstraint("site_id", "press", name="uq_rating_site_id_press"),
    )
    op.create_index("ix_rating_pressed_ms", "rating", ["pressed_ms"], unique=False)
    op.create_index("ix_rating_site_id_pressed_ms", "rating", ["site_id", "pressed_ms"], unique=False)
    op.create_index("ix_rating_site_id_replaces", "rating", ["site_id", "replaces"], unique=False)
    op.create_table(
        "rating_day",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("counter", sa.Text(), nullable=False),
        sa.Column("pressed", sa.Text(), nullable=False),
        sa.Column("counted", sa.Text(), nullable=False),
        sa.Column("filtered", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_rating_day_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_rating_day_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_rating_day_site_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_rating_day"),
    )
    op.create_index("ix_rating_day_site_id_day", "rating_day", ["site_id", "day"], unique=False)
