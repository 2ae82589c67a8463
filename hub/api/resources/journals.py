"""`/api/v1/journals`: per device, epoch and class, what the hub holds, what is missing and what is lost."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import DeviceId, Epoch, SiteId
from bus.messages import EntryClass
from hub.api.parameters import CursorKey, Paging
from hub.api.resource import Asked, Resource, beyond
from hub.api.times import Utc, utc, utc_or_none
from hub.queries import balances
from hub.schema import device, journal


class JournalAccount(Struct, frozen=True, rename={"klass": "class"}):
    """One journal's account. Of 1 to the greater of `head` and `last`, each number is stored, lost or missing."""

    device: str
    site: str
    epoch: str
    klass: EntryClass
    first: Annotated[int | None, Meta(description="lowest number stored; null when nothing is")]
    last: Annotated[int | None, Meta(description="highest number stored; null when nothing is")]
    stored: Annotated[int, Meta(ge=0, description="how many are stored")]
    missing: Annotated[int, Meta(ge=0, description="how many may still come")]
    lost: Annotated[dict[str, int], Meta(description="how many will never come, by reason: shed, damaged")]
    head: Annotated[int, Meta(description="newest number on the device, as it last told")]
    first_held: Annotated[int, Meta(description="oldest number still on the device, as it last told")]
    chain_breaks: int
    opened_at: Utc | None
    last_received_at: Utc


class JournalParams(Paging, frozen=True, rename={"klass": "class"}):
    """Filters."""

    site: SiteId | None = None
    device: DeviceId | None = None
    epoch: Epoch | None = None
    klass: EntryClass | None = None


def _read(connection: Connection, asked: Asked[JournalParams]) -> list[tuple[CursorKey, JournalAccount]]:
    params = asked.params
    order = (journal.c.device_id, journal.c.ordinal, journal.c.id)
    query = (
        select(journal, device.c.site_id)
        .join(device, device.c.id == journal.c.device_id)
        .where(*beyond(order, asked.after))
    )
    for column, wanted in (
        (device.c.site_id, params.site),
        (journal.c.device_id, params.device),
        (journal.c.epoch, params.epoch),
        (journal.c.klass, params.klass),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    rows = connection.execute(query.order_by(*order).limit(asked.count)).mappings().all()
    accounts = balances(connection, [(row["id"], row["head"]) for row in rows])
    return [
        (
            (row["device_id"], row["ordinal"], row["id"]),
            JournalAccount(
                device=row["device_id"],
                site=row["site_id"],
                epoch=row["epoch"],
                klass=row["class"],
                first=(balance := accounts[row["id"]]).first,
                last=balance.last,
                stored=balance.stored,
                missing=balance.missing,
                lost=balance.lost,
                head=row["head"],
                first_held=row["first_held"],
                chain_breaks=row["chain_breaks"],
                opened_at=utc_or_none(row["opened_ms"]),
                last_received_at=utc(row["last_seen_ms"]),
            ),
        )
        for row in rows
    ]


RESOURCE = Resource(
    path="/api/v1/journals",
    summary="Journals and what the hub holds of them",
    description="One item per device, epoch and class, in the order of each device's epochs.",
    params=JournalParams,
    item=JournalAccount,
    key=(str, int, int),
    read=_read,
)
