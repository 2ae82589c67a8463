"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name="pk_counter"),
    )
    op.create_table(
        "hub",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("run_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hub"),
    )
    op.create_table(
        "rejected",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "reason", name="pk_rejected"),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("former_names", sa.Text(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_site"),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_device_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_device"),
    )
    op.create_index("ix_device_site_id", "device", ["site_id"], unique=False)
    op.create_table(
        "boot",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("boot", sa.Text(), nullable=False),
        sa.Column("anchor_mono_ns", sa.BigInteger(), nullable=True),
        sa.Column("anchor_wall_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_boot_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_boot"),
        sa.UniqueConstraint("device_id", "boot", name="uq_boot_device_id_boot"),
    )
    op.create_table(
        "device_live",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=True),
        sa.Column("receipted_ms", sa.BigInteger(), nullable=True),
        sa.Column("boot", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("status_online", sa.Boolean(), nullable=True),
        sa.Column("status_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_device_live_device_id"),
        sa.PrimaryKeyConstraint("device_id", name="pk_device_live"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_event_device_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_event_site_id"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.UniqueConstraint("key", name="uq_event_key"),
    )
    op.create_index("ix_event_site_id_at_ms", "event", ["site_id", "at_ms"], unique=False)
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("first_held", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("chain_breaks", sa.Integer(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("open_reason", sa.Text(), nullable=True),
        sa.Column("previous_epoch", sa.Text(), nullable=True),
        sa.Column("previous_head", sa.BigInteger(), nullable=True),
        sa.Column("previous_chain", sa.LargeBinary(), nullable=True),
        sa.Column("first_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_journal_device_id"),
        sa.PrimaryKeyConstraint("id", name="pk_journal"),
        sa.UniqueConstraint("device_id", "epoch", "class", name="uq_journal_device_id_epoch_class"),
    )
    op.create_index("ix_journal_device_id_previous_epoch", "journal", ["device_id", "previous_epoch"], unique=False)
    op.create_table(
        "desired",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_desired_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_desired_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_desired_site_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_desired"),
    )
    op.create_table(
        "diagnosis",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("says_vi", sa.Text(), nullable=False),
        sa.Column("says_en", sa.Text(), nullable=False),
        sa.Column("do_vi", sa.Text(), nullable=False),
        sa.Column("do_en", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("uplink", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_diagnosis_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_diagnosis_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_diagnosis_site_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_diagnosis"),
    )
    op.create_index("ix_diagnosis_device_id_at_ms", "diagnosis", ["device_id", "at_ms"], unique=False)
    op.create_table(
        "entry",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unknown_kind", sa.Boolean(), nullable=False),
        sa.Column("boot_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mono_ns", sa.BigInteger(), nullable=False),
        sa.Column("raw_wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("anchored", sa.Boolean(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["boot_id"], ["boot.id"], name="fk_entry_boot_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_entry_journal_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_entry"),
    )
    op.create_index("ix_entry_kind_wall_ms", "entry", ["kind", "wall_ms"], unique=False)
    op.create_index(
        "ix_entry_unanchored",
        "entry",
        ["boot_id"],
        unique=False,
        sqlite_where=sa.text("quality = 'unknown'"),
        postgresql_where=sa.text("quality = 'unknown'"),
    )
    op.create_table(
        "export_queue",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_export_queue_journal_id"),
        sa.PrimaryKeyConstraint("id", name="pk_export_queue"),
        sa.UniqueConstraint("journal_id", "seq", name="uq_export_queue_journal_id_seq"),
    )
    op.create_table(
        "latest",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_latest_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_latest_journal_id"),
        sa.UniqueConstraint("device_id", "what", "journal_id", name="uq_latest_device_id_what_journal_id"),
    )
    op.create_index("ix_latest_what", "latest", ["what"], unique=False)
    op.create_table(
        "line_minute",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("observed_s", sa.Integer(), nullable=False),
        sa.Column("down_s", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_line_minute_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_line_minute_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_line_minute_site_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", "line", name="pk_line_minute"),
    )
    op.create_index("ix_line_minute_site_id_start_ms", "line_minute", ["site_id", "start_ms"], unique=False)
    op.create_table(
        "lost_range",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_lost_range_journal_id"),
        sa.PrimaryKeyConstraint("journal_id", "first", name="pk_lost_range"),
    )
    op.create_table(
        "outage",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("outage", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("unwatched_ms", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("opened_journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("opened_seq", sa.BigInteger(), nullable=True),
        sa.Column("closed_journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("closed_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["closed_journal_id"], ["journal.id"], name="fk_outage_closed_journal_id"),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_outage_device_id"),
        sa.ForeignKeyConstraint(["opened_journal_id"], ["journal.id"], name="fk_outage_opened_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_outage_site_id"),
        sa.PrimaryKeyConstraint("device_id", "outage", name="pk_outage"),
    )
    op.create_index("ix_outage_ended_ms", "outage", ["ended_ms"], unique=False)
    op.create_index("ix_outage_site_id_started_ms", "outage", ["site_id", "started_ms"], unique=False)
    op.create_table(
        "presence",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("expected", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_presence_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_presence_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_presence_site_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_presence"),
    )
    op.create_index("ix_presence_site_id_subject_at_ms", "presence", ["site_id", "subject", "at_ms"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_quarantine_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_quarantine_journal_id"),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.UniqueConstraint("key", name="uq_quarantine_key"),
    )
    op.create_index("ix_quarantine_journal_id_seq", "quarantine", ["journal_id", "seq"], unique=False)
    op.create_table(
        "sample",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unknown_kind", sa.Boolean(), nullable=False),
        sa.Column("boot_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mono_ns", sa.BigInteger(), nullable=False),
        sa.Column("raw_wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("anchored", sa.Boolean(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["boot_id"], ["boot.id"], name="fk_sample_boot_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_sample_journal_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_sample"),
    )
    op.create_index("ix_sample_received_ms", "sample", ["received_ms"], unique=False)
    op.create_index(
        "ix_sample_unanchored",
        "sample",
        ["boot_id"],
        unique=False,
        sqlite_where=sa.text("quality = 'unknown'"),
        postgresql_where=sa.text("quality = 'unknown'"),
    )
    op.create_table(
        "stored_range",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_stored_range_journal_id"),
        sa.PrimaryKeyConstraint("journal_id", "first", name="pk_stored_range"),
    )
    op.create_table(
        "watch_gap",
        sa.Column("journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_watch_gap_device_id"),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name="fk_watch_gap_journal_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_watch_gap_site_id"),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_watch_gap"),
    )
    op.create_index("ix_watch_gap_device_id_from_ms", "watch_gap", ["device_id", "from_ms"], unique=False)
