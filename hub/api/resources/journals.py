"""`/api/v1/journals`: per device, epoch and class, what the hub holds, what is missing and what is lost.

Of a kiosk only who may read single presses is given the numbers: others see that nothing is missing (`hub.secrecy`).
"""

from typing import Annotated

from msgspec import Meta, Struct, structs
from sqlalchemy import Connection, RowMapping, select

from bus.identifiers import DeviceId, Epoch, SiteId
from bus.messages import EntryClass
from hub.accounts import Account
from hub.api.parameters import CursorKey, Paging
from hub.api.resource import Asked, Resource, beyond
from hub.api.times import Utc, utc, utc_or_none
from hub.queries import balances
from hub.schema import device, journal
from hub.secrecy import day_ms, tells_votes


class JournalAccount(Struct, frozen=True, rename={"klass": "class"}):
    """One journal's account. Of 1 to the greater of `head` and `last`, each number is stored, lost or missing.

    Of a kiosk, numbers are null without the scope `ratings-raw`, and `last_received_at` is the beginning of its day.
    """

    device: str
    site: str
    epoch: str
    klass: EntryClass
    first: Annotated[int | None, Meta(description="lowest number stored; null when nothing is")]
    last: Annotated[int | None, Meta(description="highest number stored; null when nothing is")]
    stored: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="how many are stored")]
    missing: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="how many may still come; null: some of a kiosk")
    ]
    lost: Annotated[dict[str, int], Meta(description="how many will never come, by reason: shed, damaged")]
    head: Annotated[int | None, Meta(description="newest number on the device, as it last told")]
    first_held: Annotated[int | None, Meta(description="oldest number still on the device, as it last told")]
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
        select(journal, device.c.site_id, device.c.part)
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
        ((row["device_id"], row["ordinal"], row["id"]), _item(row, accounts[row["id"]], raw=asked.raw)) for row in rows
    ]


def _item(row: RowMapping, account: Account, *, raw: bool) -> JournalAccount:
    whole = JournalAccount(
        device=row["device_id"],
        site=row["site_id"],
        epoch=row["epoch"],
        klass=row["class"],
        first=account.first,
        last=account.last,
        stored=account.stored,
        missing=account.missing,
        lost=account.lost,
        head=row["head"],
        first_held=row["first_held"],
        chain_breaks=row["chain_breaks"],
        opened_at=utc_or_none(row["opened_ms"]),
        last_received_at=utc(row["last_seen_ms"]),
    )
    if not tells_votes(row["part"], raw=raw):
        return whole
    return structs.replace(
        whole,
        first=None,
        last=None,
        stored=None,
        missing=None if account.missing else 0,
        head=None,
        first_held=None,
        last_received_at=utc(day_ms(row["last_seen_ms"])),
    )


RESOURCE = Resource(
    path="/api/v1/journals",
    summary="Journals and what the hub holds of them",
    description="One item per device, epoch and class, in the order of each device's epochs. "
    "Of kiosks, the numbers ask for the scope `ratings-raw`.",
    params=JournalParams,
    item=JournalAccount,
    key=(str, int, int),
    read=_read,
)
