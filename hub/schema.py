"""The hub's tables, the same on SQLite and PostgreSQL.

What always holds:

- `stored_range` is the authority on repeats and is never pruned: a sequence number in it has been stored, even when its
  row in `entry` or `sample` has been removed by age. Ranges of one journal neither overlap nor touch.
- A row of `entry`, its range, its projections and its events are written in one transaction.
- Times are Unix milliseconds. `raw_wall_ms` is what the device's clock said; `wall_ms` is the best that is known, moved
  by the boot's anchor when one comes (`anchored`). `received_ms` is the hub's own clock.
- JSON stands in text columns: the bytes that the device sent, never formatted anew.

Changes go through hub/migrations; a test holds the two against each other.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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
_ID: Final = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, default=default)


def _ms(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _journal() -> Column[int]:
    return Column("journal_id", _ID, ForeignKey("journal.id"), nullable=False)


def _device() -> Column[str]:
    return Column("device_id", Text, ForeignKey("device.id"), nullable=False)


def _site() -> Column[str]:
    return Column("site_id", Text, ForeignKey("site.id"), nullable=False)


# One row. `run` names the present start of the hub or hubs on this store, as their receipts and beacons say it.
hub = Table(
    "hub",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("run"),
    _ms("run_at_ms"),
)

# The known list, copied from the roster at each start and change. `known` falls when a row leaves the file: what it
# sent stays, and its id is not used again.
site = Table(
    "site",
    metadata,
    Column("id", Text, primary_key=True),
    _text("code"),
    _text("name"),
    _text("province"),
    Column("former_names", Text, nullable=False, default="[]"),  # JSON list
    Column("known", Boolean, nullable=False, default=True),
)

device = Table(
    "device",
    metadata,
    Column("id", Text, primary_key=True),
    _site(),
    _text("part"),
    _text("key"),  # hex
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
    Column("id", _ID, primary_key=True, autoincrement=True),
    _device(),
    _text("epoch"),
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
    _ms("first_seen_ms"),
    _ms("last_seen_ms"),
    UniqueConstraint("device_id", "epoch", "klass"),
    Index(None, "device_id", "previous_epoch"),
)

stored_range = Table(
    "stored_range",
    metadata,
    Column("journal_id", _ID, ForeignKey("journal.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

# What the device says will never come. It may overlap what was stored before it was lost there.
lost_range = Table(
    "lost_range",
    metadata,
    Column("journal_id", _ID, ForeignKey("journal.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    _text("reason"),  # shed | damaged
)

# A boot of a device, and its anchor once time was trusted: at `anchor_mono_ns` it was `anchor_wall_ms`.
boot = Table(
    "boot",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    _device(),
    _text("boot"),
    Column("anchor_mono_ns", BigInteger),
    Column("anchor_wall_ms", BigInteger),
    UniqueConstraint("device_id", "boot"),
)


def _entries(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("journal_id", _ID, ForeignKey("journal.id"), primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        _text("kind"),
        # The kind is not known to this hub: stored all the same, waiting for one that knows it.
        Column("unknown_kind", Boolean, nullable=False, default=False),
        Column("boot_id", _ID, ForeignKey("boot.id"), nullable=False),
        Column("mono_ns", BigInteger, nullable=False),
        _ms("raw_wall_ms"),
        _text("quality"),  # as the device judged its own clock: trusted | held | unknown
        _ms("wall_ms"),
        Column("anchored", Boolean, nullable=False, default=False),
        _ms("received_ms"),
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
# for an entry, `batch` for a signed batch of which nothing could be read.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    # `<journal>/<seq>/<digest>`, or `batch/<digest>`: the same bytes offered again raise `times`.
    Column("key", Text, nullable=False, unique=True),
    _device(),
    Column("journal_id", _ID, ForeignKey("journal.id")),
    Column("seq", BigInteger),
    _text("verdict"),
    _text("reason"),  # a short fixed word
    _text("detail"),
    Column("digest", LargeBinary, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    _ms("received_ms"),
    Column("times", BigInteger, nullable=False, default=1),
    Index(None, "journal_id", "seq"),
)

# Messages that got no receipt, counted: wrong signature, unknown device, another site's topic, unreadable.
rejected = Table(
    "rejected",
    metadata,
    Column("device_id", Text, primary_key=True),  # as the topic says; empty when no known device
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    _ms("last_ms"),
    _text("last_detail"),
)

# Things an engineer will want to know: told by a device (`event.noted`) or noticed by the hub. `key` says what may
# stand here only once.
event = Table(
    "event",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    _site(),
    _device(),
    _ms("at_ms"),
    _text("source"),  # hub | device
    _text("event"),
    _text("subject"),
    _text("detail"),
    Index(None, "site_id", "at_ms"),
)

# Per journal, the newest entry that says how something stands: `what` is `diagnosis`, `minute`, `sample`,
# `presence/<device>`, `desired/<device>/<issuer>/<name>`. How it stands now is the row of the journal with the
# greatest ordinal (`hub.current`).
latest = Table(
    "latest",
    metadata,
    _device(),
    Column("what", Text, nullable=False),
    _journal(),
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("device_id", "what", "journal_id"),
    Index(None, "what"),
)


def _projection(name: str, *columns: Column | Index | UniqueConstraint) -> Table:  # type: ignore[type-arg]
    """A table that one kind of entry is projected to, keyed by the entry."""
    return Table(
        name,
        metadata,
        Column("journal_id", _ID, ForeignKey("journal.id"), primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        _site(),
        _device(),
        *columns,
    )


diagnosis = _projection(
    "diagnosis",
    _ms("at_ms"),  # the entry's wall_ms
    _ms("since_ms"),
    _text("cause"),
    _text("subject"),
    Column("confidence", Float, nullable=False),
    _text("says_vi"),
    _text("says_en"),
    _text("do_vi"),
    _text("do_en"),
    Column("evidence", Text, nullable=False, default="[]"),  # JSON list
    _text("uplink"),
    Index(None, "device_id", "at_ms"),
)

presence = _projection(
    "presence",
    _text("subject"),  # the device that came or went; `device_id` is the agent that says so
    _text("part"),
    Column("online", Boolean, nullable=False),
    Column("expected", Boolean, nullable=False),
    _text("version"),
    _ms("at_ms"),
    Index(None, "site_id", "subject", "at_ms"),
)

desired = _projection(
    "desired",
    _text("subject"),  # the device that was driven
    _text("issuer"),
    _text("name"),
    Column("version", BigInteger, nullable=False),
    _text("result"),
    _text("detail"),
    _ms("at_ms"),
)

watch_gap = _projection(
    "watch_gap",
    _ms("from_ms"),
    _ms("to_ms"),
    _text("reason"),
    Index(None, "device_id", "from_ms"),
)

# One outage from `outage.opened` and `outage.closed`, whichever comes first. `ended_ms` is null while it is open.
outage = Table(
    "outage",
    metadata,
    Column("device_id", Text, ForeignKey("device.id"), primary_key=True),
    Column("outage", Text, primary_key=True),
    _site(),
    _text("subject"),
    _text("cause"),
    _text("provider"),
    _ms("started_ms"),
    Column("ended_ms", BigInteger),
    Column("unwatched_ms", BigInteger, nullable=False, default=0),
    Column("evidence", Text, nullable=False, default="[]"),  # JSON list, of the closing entry once there is one
    Column("opened_journal_id", _ID, ForeignKey("journal.id")),
    Column("opened_seq", BigInteger),
    Column("closed_journal_id", _ID, ForeignKey("journal.id")),
    Column("closed_seq", BigInteger),
    Index(None, "site_id", "started_ms"),
    Index(None, "ended_ms"),
)

# Availability is summed from here: an uplink in one minute. A minute that is not here was not watched.
line_minute = Table(
    "line_minute",
    metadata,
    Column("journal_id", _ID, ForeignKey("journal.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("line", Text, primary_key=True),
    _site(),
    _device(),
    _text("provider"),
    _ms("start_ms"),
    Column("observed_s", Integer, nullable=False),
    Column("down_s", Integer, nullable=False),
    Index(None, "site_id", "start_ms"),
)

# One press of a citizen. (site, press) names it for ever: a press that two journals tell of stands here once. Which
# presses stand, and which are flagged, is asked when it is read (`hub.ballots`), since records come in any order.
rating = Table(
    "rating",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    _journal(),
    Column("seq", BigInteger, nullable=False),
    _site(),
    _device(),
    _text("press"),
    _text("source"),
    Column("level", Integer, nullable=False),
    Column("levels", Integer, nullable=False),
    _text("counter"),
    _text("officer"),
    _text("question"),
    _text("language"),
    _text("replaces"),
    _ms("pressed_ms"),
    UniqueConstraint("site_id", "press"),
    UniqueConstraint("journal_id", "seq"),
    Index(None, "site_id", "pressed_ms"),
    Index(None, "pressed_ms"),
    Index(None, "site_id", "replaces"),
)

rating_flag = Table(
    "rating_flag",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True),
    Column("press", Text, primary_key=True),
    Column("flag", Text, primary_key=True),
)

rating_reason = Table(
    "rating_reason",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True),
    Column("press", Text, primary_key=True),
    _text("reason"),
)

# What a kiosk counted itself at closing, to hold a published figure against. Lists are JSON, index 0 being level 1.
rating_day = _projection(
    "rating_day",
    _text("day"),
    _text("counter"),
    _text("pressed"),
    _text("counted"),
    _text("filtered"),
    _text("digest"),
    _ms("at_ms"),
    Index(None, "site_id", "day"),
)

# Who has looked at what only some may see. Written before it is shown.
audit = Table(
    "audit",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    _ms("at_ms"),
    _text("who"),
    _text("what"),
    _text("detail"),
)

# The same, summed by the hour (`hub.rollup`), so that a month of a province is read at once. `hour` counts since 1970.
line_hour = Table(
    "line_hour",
    metadata,
    Column("site_id", Text, ForeignKey("site.id"), primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("observed_s", Integer, nullable=False),
    Column("down_s", Integer, nullable=False),
    _ms("first_ms"),
)

# Hours whose minutes have changed since they were summed: until then they are read from `line_minute`.
line_touched = Table(
    "line_touched",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    _site(),
    Column("hour", BigInteger, nullable=False),
    Index(None, "site_id", "hour"),
)

# Samples still to be sent by remote write; a row goes when its sample was taken or refused for good.
export_queue = Table(
    "export_queue",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    _journal(),
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
