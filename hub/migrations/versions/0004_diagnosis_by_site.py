"""A site's history of causes is looked up by its site."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Bring the tables forward."""
    op.create_index("ix_diagnosis_site_id_at_ms", "diagnosis", ["site_id", "at_ms"])
