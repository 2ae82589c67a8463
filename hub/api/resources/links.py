"""`/api/v1/links`: each commune's lines and targets, as its agent's last minute has them."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Raw, Struct
from sqlalchemy import Connection, Row, and_, or_, select

from bus.entries import LineMinute, LinkMinute, TargetMinute, read_data
from bus.errors import WrongInputError
from bus.identifiers import DeviceId, SiteId
from hub.api.parameters import CursorKey, Paging, Words
from hub.api.resource import Asked, Resource, of_commune
from hub.api.times import Utc, utc
from hub.current import current
from hub.schema import device, device_live, entry, site

# A minute's record comes a little after the minute: older than this, it says nothing about now.
STALE_MS: Final = 4 * 60_000
LinkState = Literal["up", "unstable", "down", "unknown"]


class Link(Struct, frozen=True):
    """A line (an uplink with its provider) or a target (a rung, host or service that is probed).

    `state` is unknown when the agent is silent or its last minute is old: what it said then is beside it in `last`.
    """

    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    device: str
    kind: Literal["line", "target"]
    name: str
    provider: str
    state: LinkState
    last: LinkState
    minute: Annotated[Utc, Meta(description="start of the minute that `last` speaks of, by the device's clock")]
    received_at: Utc
    observed_s: Annotated[int | None, Meta(description="of a line: seconds watched in the minute")]
    down_s: Annotated[int | None, Meta(description="of a line: seconds down")]
    tried: Annotated[int | None, Meta(description="of a target: bursts tried")]
    failed: Annotated[int | None, Meta(description="of a target: bursts failed")]
    loss_pct: float | None
    rtt_ms: float | None
    jitter_ms: float | None


class LinkParams(Paging, frozen=True):
    """Filters."""

    site: SiteId | None = None
    commune: Words | None = None
    device: DeviceId | None = None
    kind: Literal["line", "target"] | None = None
    provider: Words | None = None
    state: LinkState | None = None


def read(connection: Connection, asked: Asked[LinkParams]) -> list[tuple[CursorKey, Link]]:
    """The links asked for, by site, device, kind and name."""
    params = asked.params
    last = current("minute").subquery()
    query = (
        select(entry.c.data, entry.c.received_ms, device.c.id, device.c.site_id, site.c.code, site.c.name)
        .add_columns(device_live.c.seen_ms)
        .join(last, and_(last.c.journal_id == entry.c.journal_id, last.c.seq == entry.c.seq))
        .join(device, device.c.id == last.c.device_id)
        .join(site, site.c.id == device.c.site_id)
        .outerjoin(device_live, device_live.c.device_id == device.c.id)
        .where(device.c.known)
    )
    for column, wanted in (
        (device.c.site_id, params.site),
        (device.c.id, params.device),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    if asked.after is not None:
        # An agent has several links: the page may go on within the agent that the last one ended in.
        at_site, at_device = str(asked.after[0]), str(asked.after[1])
        same = and_(device.c.site_id == at_site, device.c.id >= at_device)
        query = query.where(or_(device.c.site_id > at_site, same))
    found: list[tuple[CursorKey, Link]] = []
    for row in connection.execute(query.order_by(device.c.site_id, device.c.id)):
        for link in _links(row, asked):
            key: CursorKey = (link.site, link.device, link.kind, link.name)
            if _wanted(link, params) and not _given_already(key, asked.after):
                found.append((key, link))
        if len(found) >= asked.count:
            break
    return found[: asked.count]


def _wanted(link: Link, params: LinkParams) -> bool:
    return (
        params.kind in (None, link.kind)
        and params.state in (None, link.state)
        and params.provider in (None, link.provider)
    )


def _given_already(key: CursorKey, after: CursorKey | None) -> bool:
    """The store has left out the agents before the cursor's, in its own collation; here only that agent's own links."""
    return after is not None and key[:2] == after[:2] and key[2:] <= after[2:]


def _links(row: Row[Any], asked: Asked[LinkParams]) -> Iterator[Link]:
    """The links of one agent's minute, sorted by kind and name."""
    try:
        minute = read_data("link.minute", Raw(row.data.encode()))
    except WrongInputError:
        return  # stored by another version of the hub, which read this kind in another way
    if not isinstance(minute, LinkMinute):
        return
    heard = row.seen_ms is not None and asked.now_ms - row.seen_ms <= asked.silent_after_s * 1000
    fresh = heard and asked.now_ms - minute.start_ms <= STALE_MS
    for name, line in sorted(minute.lines.items()):
        yield _link(row, "line", name, minute.start_ms, _line_state(line), line=line, fresh=fresh)
    for name, target in sorted(minute.targets.items()):
        yield _link(row, "target", name, minute.start_ms, _target_state(target), target=target, fresh=fresh)


def _link(
    row: Row[Any],
    kind: Literal["line", "target"],
    name: str,
    start_ms: int,
    last: LinkState,
    *,
    fresh: bool,
    line: LineMinute | None = None,
    target: TargetMinute | None = None,
) -> Link:
    return Link(
        site=row.site_id,
        commune=row.code,
        commune_name=row.name,
        device=row.id,
        kind=kind,
        name=name,
        provider=line.provider if line else "",
        state=last if fresh else "unknown",
        last=last,
        minute=utc(start_ms),
        received_at=utc(row.received_ms),
        observed_s=line.observed_s if line else None,
        down_s=line.down_s if line else None,
        tried=target.tried if target else None,
        failed=target.failed if target else None,
        loss_pct=target.loss_pct if target else None,
        rtt_ms=target.rtt_ms if target else None,
        jitter_ms=target.jitter_ms if target else None,
    )


def _line_state(line: LineMinute) -> LinkState:
    return _state(line.observed_s, line.down_s)


def _target_state(target: TargetMinute) -> LinkState:
    return _state(target.tried, target.failed)


def _state(observed: int, bad: int) -> LinkState:
    if observed <= 0:
        return "unknown"
    if bad <= 0:
        return "up"
    return "down" if bad >= observed else "unstable"


RESOURCE = Resource(
    path="/api/v1/links",
    summary="Lines and targets as they were last seen",
    description="One item per line and per probed target of each commune, from its agent's newest minute.",
    params=LinkParams,
    item=Link,
    key=(str, str, str, str),
    read=read,
)
