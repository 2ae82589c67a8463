"""`/api/v1/ratings/days`: the kiosks' own totals of each day beside the hub's, so that a figure can be held to account.

A day's totals and its digest give single votes away where few were given, so this asks for the scope of single presses.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import DeviceId, SiteId
from hub.api.parameters import CursorKey, Paging, Words
from hub.api.resource import Asked, Resource, of_commune
from hub.api.resources.rating_summary import LocalDate
from hub.api.times import Utc, utc
from hub.ratings import days
from hub.ratings.days import Checked, Totals
from hub.ratings.periods import date_of, day_at
from hub.schema import site
from hub.sheets import Column, Sheet

DEFAULT_DAYS = 31


class DayTotals(Struct, frozen=True):
    """By level, the first being level 1, and the SHA-256 over the lines `press,level` in order of recording."""

    pressed: list[int]
    counted: list[int]
    filtered: list[int]
    digest: str


class RatingDay(Struct, frozen=True):
    """One counter of one kiosk on one local day, as the kiosk closed it and as the hub counts it."""

    day: Annotated[str, Meta(description="the local day (UTC+7) by the kiosk's clock")]
    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    kiosk: str
    counter: str
    closed_at: Utc
    told: Annotated[DayTotals, Meta(description="as the kiosk journaled it")]
    found: Annotated[DayTotals, Meta(description="as the hub computes it from the entries it has")]
    missing: Annotated[int, Meta(ge=0, description="entries before it that are not stored and may be of this day")]
    agrees: Annotated[bool | None, Meta(description="null while entries are missing")]


class DayParams(Paging, frozen=True, rename={"from_": "from"}):
    """Filters. `from` and `to` are local days, both included."""

    site: SiteId | None = None
    commune: Words | None = None
    kiosk: DeviceId | None = None
    from_: LocalDate | None = None
    to: LocalDate | None = None


def _read(connection: Connection, asked: Asked[DayParams]) -> list[tuple[CursorKey, RatingDay]]:
    params = asked.params
    query = select(site.c.id, site.c.code, site.c.name)
    if params.site is not None:
        query = query.where(site.c.id == params.site)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    names = {row.id: (row.code, row.name) for row in connection.execute(query)}
    only = None if params.site is None and params.commune is None else sorted(names)
    today = day_at(asked.now_ms)
    records = days.told(
        connection,
        sites=only,
        first=params.from_ or date_of(today - DEFAULT_DAYS + 1).isoformat(),
        last=params.to or date_of(today + 1).isoformat(),
    )
    keyed = [((one.day, one.site, one.device, one.counter), one) for one in records]
    wanted = [
        one for key, one in keyed if (asked.after is None or key > asked.after) and params.kiosk in (None, one.device)
    ][: asked.count]
    return [
        ((one.told.day, one.told.site, one.told.device, one.told.counter), _item(one, names[one.told.site]))
        for one in days.check(connection, wanted)
    ]


def _item(one: Checked, name: tuple[str, str]) -> RatingDay:
    told = one.told
    return RatingDay(
        day=told.day,
        site=told.site,
        commune=name[0],
        commune_name=name[1],
        kiosk=told.device,
        counter=told.counter,
        closed_at=utc(told.at_ms),
        told=_totals(told.totals),
        found=_totals(one.found),
        missing=one.missing,
        agrees=one.agrees,
    )


def _totals(totals: Totals) -> DayTotals:
    return DayTotals(list(totals.pressed), list(totals.counted), list(totals.filtered), totals.digest)


SHEET: Final[Sheet[RatingDay]] = Sheet(
    "ratings-days",
    (
        Column("day", "", lambda one: one.day),
        Column("site", "", lambda one: one.site),
        Column("commune", "", lambda one: one.commune),
        Column("commune_name", "", lambda one: one.commune_name),
        Column("kiosk", "", lambda one: one.kiosk),
        Column("counter", "", lambda one: one.counter),
        Column("closed_at", "", lambda one: one.closed_at),
        Column("told_pressed", "", lambda one: sum(one.told.pressed)),
        Column("found_pressed", "", lambda one: sum(one.found.pressed)),
        Column("told_counted", "", lambda one: sum(one.told.counted)),
        Column("found_counted", "", lambda one: sum(one.found.counted)),
        Column("told_filtered", "", lambda one: sum(one.told.filtered)),
        Column("found_filtered", "", lambda one: sum(one.found.filtered)),
        Column("told_digest", "", lambda one: one.told.digest),
        Column("found_digest", "", lambda one: one.found.digest),
        Column("missing", "", lambda one: one.missing),
        Column("agrees", "", lambda one: None if one.agrees is None else int(one.agrees)),
    ),
)

RESOURCE = Resource(
    path="/api/v1/ratings/days",
    summary="The kiosks' own daily totals beside the hub's",
    description=(
        f"The last {DEFAULT_DAYS} days where `from` is not given. `agrees` is false where the hub's entries give other "
        "totals or another digest than the kiosk closed its day with. Each look is journaled."
    ),
    params=DayParams,
    item=RatingDay,
    key=(str, str, str, str),
    read=_read,
    scope="ratings-raw",
    journaled=True,
    sheet=SHEET,
    tags=("ratings",),
)
