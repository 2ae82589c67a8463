"""`/api/v1/devices`: every device of the known list, and how it was last heard."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import DeviceId, SiteId
from hub.api.parameters import CursorKey, Paging, Words
from hub.api.resource import Asked, Resource, beyond, of_commune
from hub.api.times import Utc, utc_or_none
from hub.schema import device, device_live, site


class Device(Struct, frozen=True):
    """One part with its own key. `silent` is true when it was never heard, or not for the hub's silent time."""

    device: str
    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    part: str
    version: str | None
    last_seen: Annotated[Utc | None, Meta(description="when the hub took its last signed batch")]
    silent: bool
    online_hint: Annotated[bool | None, Meta(description="birth or last will on the broker: a hint only")]


class DeviceParams(Paging, frozen=True):
    """Filters."""

    site: SiteId | None = None
    commune: Words | None = None
    device: DeviceId | None = None
    part: Words | None = None


def _read(connection: Connection, asked: Asked[DeviceParams]) -> list[tuple[CursorKey, Device]]:
    params = asked.params
    order = (device.c.site_id, device.c.id)
    query = (
        select(device.c.id, device.c.site_id, device.c.part, site.c.code, site.c.name)
        .add_columns(device_live.c.version, device_live.c.seen_ms, device_live.c.status_online)
        .join(site, site.c.id == device.c.site_id)
        .outerjoin(device_live, device_live.c.device_id == device.c.id)
        .where(device.c.known, *beyond(order, asked.after))
    )
    for column, wanted in (
        (device.c.site_id, params.site),
        (device.c.id, params.device),
        (device.c.part, params.part),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    oldest_ms = asked.now_ms - asked.silent_after_s * 1000
    return [
        (
            (row.site_id, row.id),
            Device(
                device=row.id,
                site=row.site_id,
                commune=row.code,
                commune_name=row.name,
                part=row.part,
                version=row.version,
                last_seen=utc_or_none(row.seen_ms),
                silent=row.seen_ms is None or row.seen_ms < oldest_ms,
                online_hint=row.status_online,
            ),
        )
        for row in connection.execute(query.order_by(*order).limit(asked.count))
    ]


RESOURCE = Resource(
    path="/api/v1/devices",
    summary="Devices",
    description="Every device of the known list, those never heard included.",
    params=DeviceParams,
    item=Device,
    key=(str, str),
    read=_read,
)
