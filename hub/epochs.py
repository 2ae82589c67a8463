"""Which epoch of a device follows which, as the store knows it, inside the caller's transaction.

`journal.opened` names the epoch before its own, with its head and the chain's value there. That gives the order
(`hub.ordinals`), shows a chain that does not go on from epoch to epoch, a restored card image (two epochs that name one
predecessor) and a replaced journal. Entries come in any order, so each is asked at the end that came last.
"""

from sqlalchemy import Connection, and_, select, update

from bus.entries import JournalOpened
from hub import ingest, ordinals, schema
from hub.ingest import Decision, Fresh
from hub.ledger import JournalRow

Noticed = tuple[str, str, str]  # key of the event, its name, what was found

_INT64: int = 2**63 - 1


def _ordinals(connection: Connection, device: str) -> dict[str, int]:
    table = schema.journal
    rows = connection.execute(select(table.c.epoch, table.c.ordinal).where(table.c.device_id == device))
    return {row.epoch: row.ordinal for row in rows}


def place(connection: Connection, device: str, epoch: str) -> int:
    """The ordinal for an epoch's row that is about to be made."""
    known = _ordinals(connection, device)
    if epoch in known:
        return known[epoch]  # its other class is here already
    table = schema.journal
    successors = connection.execute(
        select(table.c.epoch).where(and_(table.c.device_id == device, table.c.previous_epoch == epoch))
    ).scalars()
    first = min(successors, key=lambda name: known[name], default=None)
    return ordinals.newest(known) if first is None else ordinals.below(known, first)


def open_epoch(connection: Connection, journal: JournalRow, fresh: Fresh, data: JournalOpened) -> list[Noticed]:
    """Keep what the epoch's first record says, put the epoch into its place; what is odd about it."""
    table = schema.journal
    previous = data.previous_epoch[:64].replace("\0", "")
    ordinal = ordinals.lifted(_ordinals(connection, journal.device), journal.epoch, previous)
    connection.execute(
        update(table)
        .where(table.c.id == journal.id)
        .values(
            opened_ms=fresh.entry.at.wall_ms,
            open_reason=data.reason,
            previous_epoch=previous,
            previous_head=min(max(data.previous_head, 0), _INT64),
            previous_chain=_chain_of(data),
        )
    )
    of_epoch = and_(table.c.device_id == journal.device, table.c.epoch == journal.epoch)
    connection.execute(update(table).where(of_epoch).values(ordinal=ordinal))
    others = connection.execute(
        select(table.c.epoch).where(
            and_(
                table.c.device_id == journal.device,
                table.c.klass == journal.klass,
                table.c.previous_epoch == previous,
                table.c.epoch != journal.epoch,
            )
        )
    ).scalars()
    return [_twins(journal, "/".join(sorted((other, journal.epoch))), previous) for other in sorted(others)]


def _twins(journal: JournalRow, pair: str, previous: str) -> Noticed:
    if previous:
        detail = f"epochs {pair} both follow {previous}: a restored or copied card image"
        return f"forked/{journal.device}/{pair}", "journal.forked", detail
    detail = f"epochs {pair} both begin a journal from nothing: the state was replaced"
    return f"replaced/{journal.device}/{pair}", "journal.replaced", detail


def breaks(connection: Connection, journal: JournalRow, decision: Decision) -> list[Noticed]:
    """Where the chain breaks: before and after the batch, and from epoch to epoch."""
    found = [
        (
            f"chain/{journal.id}/{one.seq}/{one.found.hex()}",
            "journal.chain-broken",
            f"{journal.epoch} before {one.seq}: expected {one.expected.hex()}, found {one.found.hex()}",
        )
        for one in decision.breaks
    ]
    if journal.klass == "record" and decision.fresh:
        found += _between_epochs(connection, journal, decision)
    return found


def _between_epochs(connection: Connection, journal: JournalRow, decision: Decision) -> list[Noticed]:
    table, entry = schema.journal, schema.entry
    of_device = and_(table.c.device_id == journal.device, table.c.klass == "record")
    pairs: list[tuple[str, int, bytes | None, bytes | None]] = []
    if opening := ingest.opening_in(decision):
        data = opening[1]
        ends = (
            connection.execute(
                select(entry.c.chain)
                .join(table, table.c.id == entry.c.journal_id)
                .where(
                    of_device,
                    table.c.epoch == data.previous_epoch[:64].replace("\0", ""),
                    entry.c.seq == data.previous_head,
                )
            ).scalars()
            if 0 < data.previous_head < 2**63
            else ()
        )
        pairs += [(journal.epoch, data.previous_head, _chain_of(data), end) for end in ends]
    chains = {one.entry.seq: one.chain for one in decision.fresh}
    successors = connection.execute(
        select(table.c.epoch, table.c.previous_head, table.c.previous_chain).where(
            of_device, table.c.previous_epoch == journal.epoch
        )
    )
    pairs += [(row.epoch, row.previous_head, row.previous_chain, chains.get(row.previous_head)) for row in successors]
    return [
        (
            f"chain/{journal.device}/{epoch}",
            "journal.chain-broken",
            f"{epoch} goes on from {bytes(told).hex()}, but entry {head} before it ended with {bytes(end).hex()}",
        )
        for epoch, head, told, end in pairs
        if told is not None and end is not None and bytes(told) != bytes(end)
    ]


def _chain_of(data: JournalOpened) -> bytes | None:
    try:
        chain = bytes.fromhex(data.previous_chain)
    except ValueError:
        return None
    return chain if len(chain) == 32 else None
