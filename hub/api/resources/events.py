"""`/api/v1/events`: what a device noted or the hub noticed, and an engineer will want to know."""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import DeviceId, SiteId
from hub.api.parameters import CursorKey, Instant, Paging, Words, epoch_ms
from hub.api.resource import Asked, Resource, beyond
from hub.api.times import Utc, utc
from hub.schema import event


class Event(Struct, frozen=True):
    """One event."""

    id: int
    at: Utc
    site: str
    device: str
    source: Annotated[str, Meta(description="device: told by it; hub: noticed here")]
    event: Annotated[str, Meta(description="a fixed name")]
    subject: str
    detail: str


class EventParams(Paging, frozen=True, rename={"from_": "from"}):
    """Filters."""

    site: SiteId | None = None
    device: DeviceId | None = None
    event: Words | None = None
    source: Literal["hub", "device"] | None = None
    from_: Instant | None = None
    to: Instant | None = None


def _read(connection: Connection, asked: Asked[EventParams]) -> list[tuple[CursorKey, Event]]:
    params = asked.params
    query = select(event).where(*beyond((event.c.id,), asked.after))
    for column, wanted in (
        (event.c.site_id, params.site),
        (event.c.device_id, params.device),
        (event.c.event, params.event),
        (event.c.source, params.source),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if params.from_ is not None:
        query = query.where(event.c.at_ms >= epoch_ms(params.from_))
    if params.to is not None:
        query = query.where(event.c.at_ms < epoch_ms(params.to))
    return [
        (
            (row.id,),
            Event(
                id=row.id,
                at=utc(row.at_ms),
                site=row.site_id,
                device=row.device_id,
                source=row.source,
                event=row.event,
                subject=row.subject,
                detail=row.detail,
            ),
        )
        for row in connection.execute(query.order_by(event.c.id).limit(asked.count))
    ]


RESOURCE = Resource(
    path="/api/v1/events",
    summary="Events",
    description="In the order in which the hub stored them: `after` with the last cursor gives what is new.",
    params=EventParams,
    item=Event,
    key=(int,),
    read=_read,
    tags=("history",),
)
