"""`/api/v1/ratings`: every press of every citizen, as it was pressed. For those who check figures, not for the commune.

With four to nine visits a day at a counter, one row gives a citizen away to whoever stood there, so this asks for a
permission of its own (`ratings-raw`), and each look is journaled.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct
from sqlalchemy import Connection, and_, select

from bus.clock import Quality
from bus.identifiers import DeviceId, SiteId
from bus.texts import msgid
from hub.api.parameters import CursorKey, Instant, Paging, Words, epoch_ms
from hub.api.resource import Asked, Resource, beyond, of_commune
from hub.api.times import Utc, utc
from hub.ratings.reads import SUPERSEDED
from hub.schema import entry, journal, rating, rating_flag, rating_reason, site
from hub.sheets import Column, Sheet


class Rating(Struct, frozen=True):
    """One press. `id` is `device/epoch/seq`; `press` names it at the panel, for ever."""

    id: str
    press: str
    site: str
    commune: Annotated[str, Meta(description="the official code")]
    kiosk: str
    source: Annotated[str, Meta(description="panel, keypad or touch")]
    level: Annotated[int, Meta(ge=1, description="1 is the most satisfied")]
    levels: int
    counter: str
    officer: Annotated[str, Meta(description="the code of the officer on duty, empty for nobody")]
    question: str
    language: str
    pressed_at: Utc
    clock_quality: Quality
    corrected: Annotated[bool, Meta(description="the clock was unknown, and the boot's anchor has set the time right")]
    stands: Annotated[bool, Meta(description="no later press of the same citizen replaced it")]
    replaces: str
    flags: list[str]
    reason: str


class RatingParams(Paging, frozen=True, rename={"from_": "from"}):
    """Filters. `from` and `to` are of the time of pressing, `to` not included."""

    site: SiteId | None = None
    commune: Words | None = None
    kiosk: DeviceId | None = None
    counter: Words | None = None
    from_: Instant | None = None
    to: Instant | None = None


def _read(connection: Connection, asked: Asked[RatingParams]) -> list[tuple[CursorKey, Rating]]:
    params = asked.params
    order = (rating.c.id,)
    query = (
        select(rating, site.c.code, journal.c.epoch, entry.c.quality, entry.c.anchored, rating_reason.c.reason)
        .join(site, site.c.id == rating.c.site_id)
        .join(journal, journal.c.id == rating.c.journal_id)
        .join(entry, and_(entry.c.journal_id == rating.c.journal_id, entry.c.seq == rating.c.seq))
        .outerjoin(
            rating_reason,
            and_(rating_reason.c.site_id == rating.c.site_id, rating_reason.c.press == rating.c.press),
        )
        .where(*beyond(order, asked.after))
    )
    for column, wanted in (
        (rating.c.site_id, params.site),
        (rating.c.device_id, params.kiosk),
        (rating.c.counter, params.counter),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    if params.from_ is not None:
        query = query.where(rating.c.pressed_ms >= epoch_ms(params.from_))
    if params.to is not None:
        query = query.where(rating.c.pressed_ms < epoch_ms(params.to))
    rows = connection.execute(query.order_by(*order).limit(asked.count)).all()
    flags = _flags(connection, [(row.site_id, row.press) for row in rows])
    replaced = _replaced(connection, [row.id for row in rows])
    return [
        (
            (row.id,),
            Rating(
                id=f"{row.device_id}/{row.epoch}/{row.seq}",
                press=row.press,
                site=row.site_id,
                commune=row.code,
                kiosk=row.device_id,
                source=row.source,
                level=row.level,
                levels=row.levels,
                counter=row.counter,
                officer=row.officer,
                question=row.question,
                language=row.language,
                pressed_at=utc(row.pressed_ms),
                clock_quality=Quality(row.quality),
                corrected=row.anchored,
                stands=row.id not in replaced and SUPERSEDED not in flags.get((row.site_id, row.press), ()),
                replaces=row.replaces,
                flags=sorted(flags.get((row.site_id, row.press), ())),
                reason=row.reason or "",
            ),
        )
        for row in rows
    ]


def _flags(connection: Connection, presses: list[tuple[str, str]]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    query = select(rating_flag).where(
        rating_flag.c.site_id.in_({of_site for of_site, _ in presses}),
        rating_flag.c.press.in_([press for _, press in presses]),
    )
    for row in connection.execute(query):
        found.setdefault((row.site_id, row.press), set()).add(row.flag)
    return found


def _replaced(connection: Connection, ids: list[int]) -> set[int]:
    later = rating.alias()
    query = (
        select(rating.c.id)
        .join(later, and_(later.c.site_id == rating.c.site_id, later.c.replaces == rating.c.press))
        .where(rating.c.id.in_(ids))
    )
    return set(connection.execute(query).scalars())


SHEET: Final[Sheet[Rating]] = Sheet(
    "ratings",
    (
        Column("id", msgid("Id"), lambda one: one.id),
        Column("pressed_at", msgid("Pressed at (UTC)"), lambda one: one.pressed_at),
        Column("clock_quality", msgid("Clock"), lambda one: one.clock_quality.value),
        Column("corrected", msgid("Clock corrected"), lambda one: int(one.corrected)),
        Column("site", msgid("Site"), lambda one: one.site),
        Column("commune", msgid("Code"), lambda one: one.commune),
        Column("kiosk", msgid("Kiosk"), lambda one: one.kiosk),
        Column("source", msgid("Source"), lambda one: one.source),
        Column("counter", msgid("Counter"), lambda one: one.counter),
        Column("officer", msgid("Officer code"), lambda one: one.officer),
        Column("question", msgid("Question"), lambda one: one.question),
        Column("language", msgid("Language"), lambda one: one.language),
        Column("level", msgid("Level"), lambda one: one.level),
        Column("levels", msgid("Of levels"), lambda one: one.levels),
        Column("stands", msgid("Stands"), lambda one: int(one.stands)),
        Column("flags", msgid("Flags"), lambda one: " ".join(one.flags)),
        Column("reason", msgid("Reason"), lambda one: one.reason),
        Column("press", msgid("Press"), lambda one: one.press),
        Column("replaces", msgid("Replaces"), lambda one: one.replaces),
    ),
)

RESOURCE = Resource(
    path="/api/v1/ratings",
    summary="Presses of citizens, one by one",
    description="In the order in which they came to the hub. Asks for the scope `ratings-raw`; each look is journaled.",
    params=RatingParams,
    item=Rating,
    key=(int,),
    read=_read,
    scope="ratings-raw",
    journaled=True,
    sheet=SHEET,
    tags=("ratings",),
)
