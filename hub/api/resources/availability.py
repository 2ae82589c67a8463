"""`/api/v1/links/availability`: lines by month and provider, with what was observed and what is unknown."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import SiteId
from hub import availability
from hub.api.parameters import CursorKey, Paging, Words, refuse
from hub.api.resource import Asked, Resource, of_commune
from hub.availability import Month
from hub.schema import site
from web.problems import ParameterError

MonthName = Annotated[str, Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])$", description="a local month, such as 2026-11")]
MAX_MONTHS = 14


class LineAvailability(Struct, frozen=True):
    """A line of a commune with one provider in one local month (UTC+7)."""

    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    line: str
    provider: str
    month: str
    observed_s: Annotated[int, Meta(ge=0, description="seconds in which somebody watched")]
    down_s: Annotated[int, Meta(ge=0, description="of these, down")]
    unknown_s: Annotated[int, Meta(ge=0, description="seconds in which nobody watched: neither up nor down")]
    availability_pct: Annotated[
        float | None, Meta(description="(observed - down) / observed; null where nothing was observed")
    ]
    observed_pct: Annotated[float, Meta(description="observed / (observed + unknown)")]


class AvailabilityParams(Paging, frozen=True, rename={"from_": "from"}):
    """Filters. `from` and `to` are local months, both included; the present one when neither is given."""

    site: SiteId | None = None
    commune: Words | None = None
    provider: Words | None = None
    from_: MonthName | None = None
    to: MonthName | None = None


def _read(connection: Connection, asked: Asked[AvailabilityParams]) -> list[tuple[CursorKey, LineAvailability]]:
    params = asked.params
    months = _months(params, now_ms=asked.now_ms)
    query = select(site.c.id, site.c.code, site.c.name)
    if params.site is not None:
        query = query.where(site.c.id == params.site)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    names = {row.id: row for row in connection.execute(query)}
    only = None if params.site is None and params.commune is None else sorted(names)
    found: list[tuple[CursorKey, LineAvailability]] = []
    for month in months:
        if asked.after is not None and month.name < str(asked.after[0]):
            continue
        for one in availability.read_month(connection, month, sites=only, now_ms=asked.now_ms):
            key: CursorKey = (one.month, one.site, one.line, one.provider)
            if (asked.after is None or key > asked.after) and params.provider in (None, one.provider):
                found.append((key, _item(one, names[one.site].code, names[one.site].name)))
        if len(found) >= asked.count:
            break
    return sorted(found, key=lambda pair: pair[0])[: asked.count]


def _months(params: AvailabilityParams, *, now_ms: int) -> list[Month]:
    last = Month.of(params.to) if params.to else Month.at(now_ms)
    first = Month.of(params.from_) if params.from_ else last
    if first.start_ms > last.start_ms:
        raise refuse([ParameterError("from", f"{first.name} comes after `to`, {last.name}")])
    months = [last]
    while months[-1].start_ms > first.start_ms:
        months.append(months[-1].before())
        if len(months) > MAX_MONTHS:
            raise refuse([ParameterError("from", f"more than {MAX_MONTHS} months until `to`, {last.name}")])
    return months[::-1]


def _item(one: availability.LineMonth, code: str, name: str) -> LineAvailability:
    return LineAvailability(
        site=one.site,
        commune=code,
        commune_name=name,
        line=one.line,
        provider=one.provider,
        month=one.month,
        observed_s=one.observed_s,
        down_s=one.down_s,
        unknown_s=one.unknown_s,
        availability_pct=one.availability_pct,
        observed_pct=one.observed_pct,
    )


RESOURCE = Resource(
    path="/api/v1/links/availability",
    summary="Availability of lines by month and provider",
    description=(
        "Minutes in which nobody watched are unknown: they count neither as up nor as the provider's downtime. "
        f"At most {MAX_MONTHS} months at once."
    ),
    params=AvailabilityParams,
    item=LineAvailability,
    key=(str, str, str, str),
    read=_read,
    tags=("history",),
)
