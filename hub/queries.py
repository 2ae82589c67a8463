"""What the pages ask of the store: SQLAlchemy Core reads, the same on SQLite and PostgreSQL.

Each takes an open connection and gives plain values; whoever calls it opens one transaction for a page, so that what
stands on it belongs together. Order comes from journals and sequence numbers, not from wall time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from bus.entries import Sentence
from hub import accounts
from hub.accounts import Account
from hub.current import current
from hub.schema import device, device_live, diagnosis, journal, lost_range, outage, presence, site, stored_range
from hub.secrecy import day_ms, tells_votes
from hub.standing import Absent, Diagnosed, Facts

AGENT: Final = "agent"
_AT_ONCE: Final = 500  # parameters of one IN list: a statement takes 65,535 on PostgreSQL, 32,766 on SQLite


@dataclass(frozen=True, slots=True)
class SiteName:
    """A site as people call it."""

    site: str
    code: str
    name: str
    province: str
    former_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutageRow:
    """One outage; `ended_ms` is None while it lasts."""

    site: str
    site_name: str
    device: str
    outage: str
    subject: str
    cause: str
    provider: str
    started_ms: int
    ended_ms: int | None
    unwatched_ms: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device of the roster. `online` is what the agent sees on the commune's broker; None when it has not said.

    `coarse`: votes move when it is heard, so `seen_ms` is only the beginning of that day.
    """

    device: str
    part: str
    version: str
    seen_ms: int | None
    online: bool | None
    online_since_ms: int | None
    coarse: bool


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One (device, epoch, class) and its account.

    `coarse`: votes move its numbers. `last_seen_ms` is the beginning of that day, and of the account only what is lost
    and whether anything is missing may be shown.
    """

    device: str
    epoch: str
    klass: str
    opened_ms: int | None
    last_seen_ms: int
    account: Account
    coarse: bool


@dataclass(frozen=True, slots=True)
class JournalOf:
    """Whose journal it is, its class, its head as last told, and where its chain breaks."""

    code: str
    site: str
    device: str
    klass: str
    head: int
    breaks: int


def site_names(connection: Connection) -> list[SiteName]:
    """The known list."""
    rows = connection.execute(
        select(site.c.id, site.c.code, site.c.name, site.c.province, site.c.former_names)
        .where(site.c.known)
        .order_by(site.c.name, site.c.id)
    )
    return [SiteName(*row[:4], _strings(row[4])) for row in rows]


def facts(connection: Connection, *, only: str | None = None) -> list[Facts]:
    """What is known of each site of the known list, silent ones included; of one site when `only` names it."""
    seen: dict[str, dict[bool, int]] = {}
    for name, part, seen_ms in connection.execute(_seen(only)):
        seen.setdefault(name, {})
        if seen_ms is not None:
            agent = part == AGENT
            seen[name][agent] = max(seen_ms, seen[name].get(agent, 0))
    diagnosed = {row.site_id: row for row in connection.execute(_last_words(only))}
    absent: dict[str, list[Absent]] = {}
    for row in connection.execute(_absent(only)):
        absent.setdefault(row.site_id, []).append(Absent(row.subject, row.part, row.at_ms))
    open_now = select(outage.c.site_id, func.count()).where(outage.c.ended_ms.is_(None)).group_by(outage.c.site_id)
    outages = {row.site_id: int(row[1]) for row in connection.execute(open_now)}
    return [
        Facts(
            site=name.site,
            code=name.code,
            name=name.name,
            seen_ms=seen.get(name.site, {}).get(True),
            others_seen_ms=seen.get(name.site, {}).get(False),
            diagnosed=_diagnosed(diagnosed[name.site]) if name.site in diagnosed else None,
            absent=tuple(absent.get(name.site, ())),
            open_outages=outages.get(name.site, 0),
        )
        for name in site_names(connection)
        if only is None or name.site == only
    ]


def history(connection: Connection, of_site: str, *, limit: int) -> list[Diagnosed]:
    """A site's diagnoses, the newest first; what was only said again (agents do, when the line is back) stands once."""
    order = (journal.c.ordinal, diagnosis.c.seq)
    same = (diagnosis.c.cause, diagnosis.c.subject, diagnosis.c.since_ms)
    before = [func.lag(column).over(order_by=order).label(f"before_{column.name}") for column in same]
    said = (
        select(diagnosis, journal.c.ordinal, *before)
        .join(journal, journal.c.id == diagnosis.c.journal_id)
        .where(diagnosis.c.site_id == of_site)
        .subquery()
    )
    new = or_(*(said.c[column.name].is_distinct_from(said.c[f"before_{column.name}"]) for column in same))
    rows = connection.execute(select(said).where(new).order_by(said.c.ordinal.desc(), said.c.seq.desc()).limit(limit))
    return [_diagnosed(row) for row in rows]


def evidence(connection: Connection, of_site: str) -> tuple[str, ...]:
    """How the rungs stood when the site's agent said its last word."""
    row = connection.execute(_last_words(of_site)).first()
    return _strings(row.evidence) if row is not None else ()


def outages(
    connection: Connection, *, of_site: str | None = None, since_ms: int | None = None, limit: int
) -> list[OutageRow]:
    """Outages, open ones first, then the newest; only those that reach beyond `since_ms` where it is given."""
    query = select(outage, site.c.name).join(site, site.c.id == outage.c.site_id)
    if of_site is not None:
        query = query.where(outage.c.site_id == of_site)
    if since_ms is not None:
        query = query.where(outage.c.ended_ms.is_(None) | (outage.c.ended_ms >= since_ms))
    query = query.order_by(outage.c.ended_ms.is_not(None), outage.c.started_ms.desc(), outage.c.outage).limit(limit)
    return [
        OutageRow(
            site=row.site_id,
            site_name=row.name,
            device=row.device_id,
            outage=row.outage,
            subject=row.subject,
            cause=row.cause,
            provider=row.provider,
            started_ms=row.started_ms,
            ended_ms=row.ended_ms,
            unwatched_ms=row.unwatched_ms,
            evidence=_strings(row.evidence),
        )
        for row in connection.execute(query)
    ]


def devices(connection: Connection, of_site: str, *, raw: bool) -> list[DeviceRow]:
    """The site's devices, the agent first. `raw`: for somebody who may read single presses."""
    now_present = {row.subject: row for row in connection.execute(_presence().where(presence.c.site_id == of_site))}
    rows = connection.execute(
        select(device.c.id, device.c.part, device_live.c.version, device_live.c.seen_ms)
        .outerjoin(device_live, device_live.c.device_id == device.c.id)
        .where(device.c.site_id == of_site, device.c.known)
        .order_by(device.c.part != AGENT, device.c.part, device.c.id)
    )
    result = []
    for name, part, version, seen_ms in rows:
        there = now_present.get(name)
        shown = version or (there.version if there is not None else "")
        online, since = (there.online, there.at_ms) if there is not None else (None, None)
        coarse = tells_votes(part, raw=raw)
        heard_ms = day_ms(seen_ms) if coarse and seen_ms is not None else seen_ms
        result.append(DeviceRow(name, part, shown, heard_ms, online, since, coarse))
    return result


def journals(connection: Connection, of_site: str, *, limit: int, raw: bool) -> list[JournalRow]:
    """The site's journals with their accounts, the last heard first. `raw`: for who may read single presses."""
    rows = connection.execute(
        select(journal, device.c.part)
        .join(device, device.c.id == journal.c.device_id)
        .where(device.c.site_id == of_site)
        .order_by(journal.c.last_seen_ms.desc(), journal.c.id.desc())
        .limit(limit)
    ).all()
    balance = balances(connection, [(row.id, row.head) for row in rows])
    found = []
    for row in rows:
        coarse = tells_votes(row.part, raw=raw)
        found.append(
            JournalRow(
                device=row.device_id,
                epoch=row.epoch,
                klass=row._mapping["class"],  # noqa: SLF001 - SQLAlchemy's own public name
                opened_ms=row.opened_ms,
                last_seen_ms=day_ms(row.last_seen_ms) if coarse else row.last_seen_ms,
                account=balance[row.id],
                coarse=coarse,
            )
        )
    # By what is shown: the place in the list would tell what the time does not.
    return sorted(found, key=lambda one: (-one.last_seen_ms, one.device, one.epoch, one.klass))


def balances(connection: Connection, heads: Iterable[tuple[int, int]]) -> dict[int, Account]:
    """The account of each journal, by its id; `heads` are pairs (journal id, head)."""
    head_of = dict(heads)
    names = list(head_of)
    balance: dict[int, Account] = {}
    for at in range(0, len(names), _AT_ONCE):
        part = names[at : at + _AT_ONCE]
        balance |= _balances(
            connection, {name: head_of[name] for name in part}, select(journal.c.id).where(journal.c.id.in_(part))
        )
    return balance


def balances_of_known(connection: Connection) -> Iterator[tuple[JournalOf, Account]]:
    """The account of every journal of the known list, however many there are.

    Most have lost nothing, so that the store can add up what they hold; only the others are looked at range by range.
    """
    harmed = select(lost_range.c.journal_id)
    rows = connection.execute(
        select(site.c.code, device.c.site_id, journal.c.device_id, journal.c.klass, journal.c.chain_breaks)
        .add_columns(
            journal.c.id,
            journal.c.head,
            func.min(stored_range.c.first),
            func.max(stored_range.c.last),
            func.sum(stored_range.c.last - stored_range.c.first + 1),
        )
        .join(device, device.c.id == journal.c.device_id)
        .join(site, site.c.id == device.c.site_id)
        .outerjoin(stored_range, stored_range.c.journal_id == journal.c.id)
        .where(device.c.known)
        .group_by(site.c.code, device.c.site_id, journal.c.id)
    ).all()
    by_range = _balances(connection, {row.id: row.head for row in rows}, harmed)
    for code, at_site, name, klass, breaks, journal_id, head, first, last, stored in rows:
        plain = Account(first, last, int(stored or 0), max(head, last or 0) - int(stored or 0))
        yield JournalOf(code, at_site, name, klass, head, breaks), by_range.get(journal_id, plain)


def _balances(connection: Connection, head_of: Mapping[int, int], wanted: Select) -> dict[int, Account]:  # type: ignore[type-arg]
    """Of the journals that `wanted` names and `head_of` knows."""
    stored: dict[int, list[tuple[int, int]]] = {}
    lost: dict[int, list[tuple[int, int, str]]] = {}
    kept = select(stored_range.c.journal_id, stored_range.c.first, stored_range.c.last)
    for name, first, last in connection.execute(kept.where(stored_range.c.journal_id.in_(wanted))):
        stored.setdefault(name, []).append((first, last))
    gone = select(lost_range.c.journal_id, lost_range.c.first, lost_range.c.last, lost_range.c.reason)
    for name, first, last, reason in connection.execute(gone.where(lost_range.c.journal_id.in_(wanted))):
        lost.setdefault(name, []).append((first, last, reason))
    names = {row[0] for row in connection.execute(wanted.distinct())} & head_of.keys()
    return {name: accounts.account(stored.get(name, ()), lost.get(name, ()), head=head_of[name]) for name in names}


def _seen(only: str | None) -> Select:  # type: ignore[type-arg]
    query = (
        select(device.c.site_id, device.c.part, func.max(device_live.c.seen_ms))
        .outerjoin(device_live, device_live.c.device_id == device.c.id)
        .where(device.c.known)
        .group_by(device.c.site_id, device.c.part)
    )
    return query if only is None else query.where(device.c.site_id == only)


def _last_words(only: str | None) -> Select:  # type: ignore[type-arg]
    last = current("diagnosis").subquery()
    query = (
        select(diagnosis)
        .join(last, and_(last.c.journal_id == diagnosis.c.journal_id, last.c.seq == diagnosis.c.seq))
        .join(device, device.c.id == diagnosis.c.device_id)
        .where(device.c.known, device.c.part == AGENT)
    )
    return query if only is None else query.where(diagnosis.c.site_id == only)


def _presence() -> Select:  # type: ignore[type-arg]
    last = current("presence/").subquery()
    return select(presence).join(last, and_(last.c.journal_id == presence.c.journal_id, last.c.seq == presence.c.seq))


def _absent(only: str | None) -> Select:  # type: ignore[type-arg]
    query = _presence().where(presence.c.expected, presence.c.online.is_(False)).order_by(presence.c.subject)
    return query if only is None else query.where(presence.c.site_id == only)


def _diagnosed(row: Row) -> Diagnosed:  # type: ignore[type-arg]
    return Diagnosed(
        cause=row.cause,
        says=Sentence(vi=row.says_vi, en=row.says_en),
        do=Sentence(vi=row.do_vi, en=row.do_en),
        since_ms=row.since_ms,
        at_ms=row.at_ms,
    )


def _strings(text: str) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text, type=list[str]))
