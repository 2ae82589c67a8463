"""`/api/v1/outages`: when a line or service was down, why, and how much of it was really watched."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import DeviceId, SiteId
from hub.api.parameters import CursorKey, Instant, Paging, Words, epoch_ms
from hub.api.resource import Asked, Resource, beyond, of_commune
from hub.api.times import Utc, utc, utc_or_none
from hub.schema import outage, site


class Outage(Struct, frozen=True):
    """One outage. `id` is `device/outage`, unique for ever."""

    id: str
    device: str
    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    subject: Annotated[str, Meta(description="the line, host or rung that was down")]
    cause: str
    provider: str
    started_at: Utc
    ended_at: Annotated[Utc | None, Meta(description="null while it lasts")]
    unwatched_s: Annotated[float, Meta(ge=0, description="of its length, what nobody observed")]
    evidence: list[str]


class OutageParams(Paging, frozen=True, rename={"from_": "from"}):
    """Filters. `from` and `to` choose outages that reach into the time between them."""

    site: SiteId | None = None
    commune: Words | None = None
    device: DeviceId | None = None
    subject: Words | None = None
    cause: Words | None = None
    provider: Words | None = None
    state: Literal["open", "closed"] | None = None
    from_: Instant | None = None
    to: Instant | None = None


def _read(connection: Connection, asked: Asked[OutageParams]) -> list[tuple[CursorKey, Outage]]:
    params = asked.params
    order = (outage.c.started_ms, outage.c.device_id, outage.c.outage)
    query = (
        select(outage, site.c.code, site.c.name)
        .join(site, site.c.id == outage.c.site_id)
        .where(*beyond(order, asked.after))
    )
    for column, wanted in (
        (outage.c.site_id, params.site),
        (outage.c.device_id, params.device),
        (outage.c.subject, params.subject),
        (outage.c.cause, params.cause),
        (outage.c.provider, params.provider),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    if params.state is not None:
        open_now = outage.c.ended_ms.is_(None)
        query = query.where(open_now if params.state == "open" else ~open_now)
    if params.from_ is not None:
        query = query.where(outage.c.ended_ms.is_(None) | (outage.c.ended_ms >= epoch_ms(params.from_)))
    if params.to is not None:
        query = query.where(outage.c.started_ms < epoch_ms(params.to))
    return [
        (
            (row.started_ms, row.device_id, row.outage),
            Outage(
                id=f"{row.device_id}/{row.outage}",
                device=row.device_id,
                site=row.site_id,
                commune=row.code,
                commune_name=row.name,
                subject=row.subject,
                cause=row.cause,
                provider=row.provider,
                started_at=utc(row.started_ms),
                ended_at=utc_or_none(row.ended_ms),
                unwatched_s=max(0, row.unwatched_ms) / 1000,
                evidence=msgspec.json.decode(row.evidence, type=list[str]),
            ),
        )
        for row in connection.execute(query.order_by(*order).limit(asked.count))
    ]


RESOURCE = Resource(
    path="/api/v1/outages",
    summary="Outages",
    description="In the order of their start.",
    params=OutageParams,
    item=Outage,
    key=(int, str, str),
    read=_read,
    tags=("history",),
)
