"""The known list, and journals as they came: entries, ranges, what was set aside, what waits to be written on."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    true,
)

from hub.schema.columns import ID, device_column, journal_column, metadata, ms_column, site_column, text_column

# One row. `run` names the present start of the hub or hubs on this store, as their receipts and beacons say it.
# `beacon_ms` keeps a beacon's `at_ms` from falling within the run.
hub = Table(
    "hub",
    metadata,
    Column("id", Integer, primary_key=True),
    text_column("run"),
    ms_column("run_at_ms"),
    Column("beacon_ms", BigInteger, nullable=False, default=0, server_default="0"),
)

# The known list, copied from the roster at each start and change. `known` falls when a row leaves the file: what it
# sent stays, and its id is not used again.
site = Table(
    "site",
    metadata,
    Column("id", Text, primary_key=True),
    text_column("code"),
    text_column("name"),
    text_column("province"),
    Column("former_names", Text, nullable=False, default="[]"),  # JSON list
    Column("known", Boolean, nullable=False, default=True),
)

device = Table(
    "device",
    metadata,
    Column("id", Text, primary_key=True),
    site_column(),
    text_column("part"),
    text_column("key"),  # hex
    Column("known", Boolean, nullable=False, default=True),
    Index(None, "site_id"),
)

# What is known of a device beside its entries. `seen_ms` is the receipt of its last verified batch, empty ones
# included; null columns mean that nothing has been heard. `receipted_ms` keeps a receipt's `at_ms` from falling.
device_live = Table(
    "device_live",
    metadata,
    Column("device_id", Text, ForeignKey("device.id"), primary_key=True),
    Column("seen_ms", BigInteger),
    Column("receipted_ms", BigInteger),
    Column("boot", Text),
    Column("version", Text),
    Column("status_online", Boolean),  # birth and last will on the broker: a hint only
    Column("status_ms", BigInteger),
)

# One (device, epoch, class). `ordinal` orders the epochs of a device, oldest lowest: with `seq` it is the only order
# to rely on, for wall time is suspect. `opened_*` and `previous_*` come from the epoch's `journal.opened`.
journal = Table(
    "journal",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    device_column(),
    text_column("epoch"),
    Column("class", Text, key="klass", nullable=False),  # record | sample
    Column("ordinal", BigInteger, nullable=False),
    Column("first_held", BigInteger, nullable=False, default=0),  # oldest still on the device
    Column("head", BigInteger, nullable=False, default=0),  # newest on the device, as last told
    Column("chain_breaks", Integer, nullable=False, default=0),
    Column("opened_ms", BigInteger),
    Column("open_reason", Text),
    Column("previous_epoch", Text),
    Column("previous_head", BigInteger),
    Column("previous_chain", LargeBinary),
    ms_column("first_seen_ms"),
    ms_column("last_seen_ms"),
    UniqueConstraint("device_id", "epoch", "klass"),
    Index(None, "device_id", "previous_epoch"),
)

stored_range = Table(
    "stored_range",
    metadata,
    Column("journal_id", ID, ForeignKey("journal.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

# Numbers that were offered with other bytes than those stored. Kept for ever, as receipts have to say them again and
# again: a device that hears `stored` without its conflicts lets go of entries that stand nowhere else.
conflict_range = Table(
    "conflict_range",
    metadata,
    Column("journal_id", ID, ForeignKey("journal.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

# What the device says will never come. It may overlap what was stored before it was lost there.
lost_range = Table(
    "lost_range",
    metadata,
    Column("journal_id", ID, ForeignKey("journal.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    text_column("reason"),  # shed | damaged
)

# A boot of a device, and its anchor once time was trusted: at `anchor_mono_ns` it was `anchor_wall_ms`.
boot = Table(
    "boot",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    device_column(),
    text_column("boot"),
    Column("anchor_mono_ns", BigInteger),
    Column("anchor_wall_ms", BigInteger),
    UniqueConstraint("device_id", "boot"),
)


def _entries(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("journal_id", ID, ForeignKey("journal.id"), primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        text_column("kind"),
        # The kind is not known to this hub: stored all the same, waiting for one that knows it.
        Column("unknown_kind", Boolean, nullable=False, default=False),
        Column("boot_id", ID, ForeignKey("boot.id"), nullable=False),
        Column("mono_ns", BigInteger, nullable=False),
        ms_column("raw_wall_ms"),
        text_column("quality"),  # as the device judged its own clock: trusted | held | unknown
        ms_column("wall_ms"),
        Column("anchored", Boolean, nullable=False, default=False),
        ms_column("received_ms"),
        Column("digest", LargeBinary, nullable=False),  # sha256 of the entry's bytes
        Column("chain", LargeBinary),  # the record chain's value after this entry; null for samples
        Column("data", Text, nullable=False),
        # The entry's bytes, where they cannot be rebuilt from the columns (a later version's extra fields).
        Column("raw", LargeBinary),
    )


# Records are kept for ever, samples until they are exported and old (`hub.prune`).
entry = _entries("entry")
sample = _entries("sample")
Index("ix_entry_kind_wall_ms", entry.c.kind, entry.c.wall_ms)
Index("ix_sample_received_ms", sample.c.received_ms)
for _table in (entry, sample):
    # The rows that an anchor may still move.
    Index(
        f"ix_{_table.name}_unanchored",
        _table.c.boot_id,
        sqlite_where=_table.c.quality == "unknown",
        postgresql_where=_table.c.quality == "unknown",
    )

# Entries and whole batches that were set aside, raw. `verdict` is what the receipt says: `quarantined` or `conflict`
# for an entry, `batch` for a signed batch of which nothing could be read. `kept` falls where the raw copy had to go and
# its digest stays, by which the same bytes are known again (`hub.quarantine`).
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    # `<journal>/<seq>/<digest>`, or `batch/<digest>`: the same bytes offered again raise `times`.
    Column("key", Text, nullable=False, unique=True),
    device_column(),
    Column("journal_id", ID, ForeignKey("journal.id")),
    Column("seq", BigInteger),
    text_column("verdict"),
    text_column("reason"),  # a short fixed word
    text_column("detail"),
    Column("digest", LargeBinary, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    ms_column("received_ms"),
    Column("times", BigInteger, nullable=False, default=1),
    Column("kept", Boolean, nullable=False, default=True, server_default=true()),
    Index(None, "journal_id", "seq"),
)
Index(
    "ix_quarantine_kept",
    quarantine.c.device_id,
    sqlite_where=quarantine.c.kept,
    postgresql_where=quarantine.c.kept,
)

# Rows of it that are gone, counted.
quarantine_dropped = Table(
    "quarantine_dropped",
    metadata,
    Column("device_id", Text, ForeignKey("device.id"), primary_key=True),
    Column("verdict", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# Messages that got no receipt, counted: wrong signature, unknown device, another site's topic, unreadable.
rejected = Table(
    "rejected",
    metadata,
    Column("device_id", Text, primary_key=True),  # as the topic says; empty when no known device
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    ms_column("last_ms"),
    text_column("last_detail"),
)

# Things an engineer will want to know: told by a device (`event.noted`) or noticed by the hub. `key` says what may
# stand here only once.
event = Table(
    "event",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    site_column(),
    device_column(),
    ms_column("at_ms"),
    text_column("source"),  # hub | device
    text_column("event"),
    text_column("subject"),
    text_column("detail"),
    Index(None, "site_id", "at_ms"),
)

# Per journal, the newest entry that says how something stands: `what` is `diagnosis`, `minute`, `sample`,
# `presence/<device>`, `desired/<device>/<issuer>/<name>`. How it stands now is the row of the journal with the
# greatest ordinal (`hub.current`).
latest = Table(
    "latest",
    metadata,
    device_column(),
    Column("what", Text, nullable=False),
    journal_column(),
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("device_id", "what", "journal_id"),
    Index(None, "what"),
)

# Samples still to be sent by remote write; a row goes when its sample was taken or refused for good.
export_queue = Table(
    "export_queue",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    journal_column(),
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("journal_id", "seq"),
)

# Counters that outlive a restart: what was refused or given up, by name.
counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
