"""Availability by the hour, and which hours are to be summed anew."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Bring the tables forward; every hour that has minutes is to be summed."""
    op.create_table(
        "line_hour",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("observed_s", sa.Integer(), nullable=False),
        sa.Column("down_s", sa.Integer(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_line_hour_site_id"),
        sa.PrimaryKeyConstraint("site_id", "hour", "line", "provider", name="pk_line_hour"),
    )
    op.create_table(
        "line_touched",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_line_touched_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_line_touched"),
    )
    op.create_index("ix_line_touched_site_id_hour", "line_touched", ["site_id", "hour"])
    op.execute(
        "INSERT INTO line_touched (site_id, hour) "
        "SELECT DISTINCT site_id, start_ms / 3600000 FROM line_minute WHERE start_ms >= 0"
    )
