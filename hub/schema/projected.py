"""What people ask for: tables that entries are projected to, their sums, and who looked at raw votes."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from hub.schema.columns import (
    ID,
    device_column,
    journal_column,
    metadata,
    ms_column,
    projection,
    site_column,
    text_column,
)

diagnosis = projection(
    "diagnosis",
    ms_column("at_ms"),  # the entry's wall_ms
    ms_column("since_ms"),
    text_column("cause"),
    text_column("subject"),
    Column("confidence", Float, nullable=False),
    text_column("says_vi"),
    text_column("says_en"),
    text_column("do_vi"),
    text_column("do_en"),
    Column("evidence", Text, nullable=False, default="[]"),  # JSON list
    text_column("uplink"),
    Index(None, "device_id", "at_ms"),
    Index(None, "site_id", "at_ms"),
)

presence = projection(
    "presence",
    text_column("subject"),  # the device that came or went; `device_id` is the agent that says so
    text_column("part"),
    Column("online", Boolean, nullable=False),
    Column("expected", Boolean, nullable=False),
    text_column("version"),
    ms_column("at_ms"),
    Index(None, "site_id", "subject", "at_ms"),
)

desired = projection(
    "desired",
    text_column("subject"),  # the device that was driven
    text_column("issuer"),
    text_column("name"),
    Column("version", BigInteger, nullable=False),
    text_column("result"),
    text_column("detail"),
    ms_column("at_ms"),
)

watch_gap = projection(
    "watch_gap",
    ms_column("from_ms"),
    ms_column("to_ms"),
    text_column("reason"),
    Index(None, "device_id", "from_ms"),
)

# One outage from `outage.opened` and `outage.closed`, whichever comes first. `ended_ms` is null while it is open.
outage = Table(
    "outage",
    metadata,
    Column("device_id", Text, ForeignKey("device.id"), primary_key=True),
    Column("outage", Text, primary_key=True),
    site_column(),
    text_column("subject"),
    text_column("cause"),
    text_column("provider"),
    ms_column("started_ms"),
    Column("ended_ms", BigInteger),
    Column("unwatched_ms", BigInteger, nullable=False, default=0),
    Column("evidence", Text, nullable=False, default="[]"),  # JSON list, of the closing entry once there is one
    Column("opened_journal_id", ID, ForeignKey("journal.id")),
    Column("opened_seq", BigInteger),
    Column("closed_journal_id", ID, ForeignKey("journal.id")),
    Column("closed_seq", BigInteger),
    Index(None, "site_id", "started_ms"),
    Index(None, "ended_ms"),
)

# Availability is summed from here: an uplink in one minute. A minute that is not here was not watched.
line_minute = Table(
    "line_minute",
    metadata,
    Column("journal_id", ID, ForeignKey("journal.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("line", Text, primary_key=True),
    site_column(),
    device_column(),
    text_column("provider"),
    ms_column("start_ms"),
    Column("observed_s", Integer, nullable=False),
    Column("down_s", Integer, nullable=False),
    Index(None, "site_id", "start_ms"),
)

# One press of a citizen. (site, press) names it for ever: a press that two journals tell of stands here once. Which
# presses stand, and which are flagged, is asked when it is read (`hub.ratings.reads`), since records come in any order.
rating = Table(
    "rating",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    journal_column(),
    Column("seq", BigInteger, nullable=False),
    site_column(),
    device_column(),
    text_column("press"),
    text_column("source"),
    Column("level", Integer, nullable=False),
    Column("levels", Integer, nullable=False),
    text_column("counter"),
    text_column("officer"),
    text_column("question"),
    text_column("language"),
    text_column("replaces"),
    ms_column("pressed_ms"),
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
    text_column("reason"),
)

# What a kiosk counted itself at closing, to hold a published figure against. Lists are JSON, index 0 being level 1.
rating_day = projection(
    "rating_day",
    text_column("day"),
    text_column("counter"),
    text_column("pressed"),
    text_column("counted"),
    text_column("filtered"),
    text_column("digest"),
    ms_column("at_ms"),
    Index(None, "site_id", "day"),
)

# Who has looked at what only some may see. Written before it is shown.
audit = Table(
    "audit",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    ms_column("at_ms"),
    text_column("who"),
    text_column("what"),
    text_column("detail"),
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
    ms_column("first_ms"),
)

# Hours whose minutes have changed since they were summed: until then they are read from `line_minute`.
line_touched = Table(
    "line_touched",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    site_column(),
    Column("hour", BigInteger, nullable=False),
    Index(None, "site_id", "hour"),
)
