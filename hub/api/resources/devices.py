"""`/api/v1/devices`: every device of the known list, and how it was last heard.

A kiosk is heard when somebody votes: without the right to single presses its day is told, and its birth or last will on
the broker says whether it is there (`hub.secrecy`).
"""

from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import Connection, Row, select

from bus.identifiers import DeviceId, SiteId
from hub.api.parameters import CursorKey, Paging, Words
from hub.api.resource import Asked, Resource, beyond, of_commune
from hub.api.times import Utc, utc_or_none
from hub.schema import device, device_live, site
from hub.secrecy import day_ms, is_unheard, tells_votes


class Device(Struct, frozen=True):
    """One part with its own key. `silent` is true when it was never heard, or not for the hub's silent time.

    Of a kiosk, without the scope `ratings-raw`: when it was never heard, or its will says that it is gone.
    """

    device: str
    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    part: str
    version: str | None
    last_seen: Annotated[Utc | None, Meta(description="its last signed batch; of a kiosk the beginning of that day")]
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
    return [
        ((row.site_id, row.id), _item(row, asked))
        for row in connection.execute(query.order_by(*order).limit(asked.count))
    ]


def _item(row: Row[Any], asked: Asked[DeviceParams]) -> Device:
    if tells_votes(row.part, raw=asked.raw):
        seen_ms = None if row.seen_ms is None else day_ms(row.seen_ms)
        unheard = seen_ms is None or is_unheard(seen_ms, asked.now_ms, asked.silent_after_s)
        silent = unheard or row.status_online is False
    else:
        seen_ms = row.seen_ms
        silent = seen_ms is None or seen_ms < asked.now_ms - asked.silent_after_s * 1000
    return Device(
        device=row.id,
        site=row.site_id,
        commune=row.code,
        commune_name=row.name,
        part=row.part,
        version=row.version,
        last_seen=utc_or_none(seen_ms),
        silent=silent,
        online_hint=row.status_online,
    )


RESOURCE = Resource(
    path="/api/v1/devices",
    summary="Devices",
    description="Every device of the known list, those never heard included.",
    params=DeviceParams,
    item=Device,
    key=(str, str),
    read=_read,
)
