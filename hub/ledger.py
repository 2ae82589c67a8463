"""What the store holds around a batch, read and written inside one transaction. SQL only: `hub.ingest` decides.

Every function takes the transaction's connection. On PostgreSQL the caller holds the device's row, so that two hubs
never work on one device at a time; all that is written here belongs to that device.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw
from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bus import ranges
from bus.clock import Quality, Stamp
from bus.journal import NO_CHAIN
from bus.messages import Batch, Entry, Lost
from bus.ranges import Ranges
from hub import ingest, schema
from hub.ingest import Held, Item
from hub.projections import Projected

if TYPE_CHECKING:
    from hub.projections.rows import Write

_INT64: Final = 2**63 - 1
_WHOLE: Final = 500  # parameters of one IN list


@dataclass(slots=True)
class JournalRow:
    """One row of `journal`, as far as ingest needs it."""

    id: int
    device: str
    epoch: str
    klass: str
    ordinal: int
    first_held: int
    head: int


def entries_table(klass: str) -> Table:
    """Where entries of this class stand."""
    return schema.entry if klass == "record" else schema.sample


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    conflict: Iterable[str],
    sets: Iterable[str],
    adds: Iterable[str] = (),
    earliest: tuple[str, str] | None = None,
) -> None:
    """Insert rows; where one with the same `conflict` columns stands, set its `sets` columns and add to its `adds`
    columns, or leave it. One statement, so that two hubs may do it at once. `earliest`: as in `Write`.
    """
    if not rows:
        return
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    changes = {name: statement.excluded[name] for name in sets}
    changes |= {name: table.c[name] + statement.excluded[name] for name in adds}
    if changes:
        allowed = _has_the_say(table, statement.excluded, *earliest) if earliest is not None else None
        statement = statement.on_conflict_do_update(index_elements=list(conflict), set_=changes, where=allowed)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(conflict))
    connection.execute(statement, rows)


def _has_the_say(table: Table, given: Any, journal_column: str, seq_column: str) -> Any:
    """Whether the given entry stands before the one in the row, or is that one; so it is where the row has none."""
    stands, comes = table.c[journal_column], given[journal_column]
    same = and_(stands == comes, table.c[seq_column] >= given[seq_column])
    older = _ordinal_of(f"excluded.{journal_column}") < _ordinal_of(f"{table.name}.{journal_column}")
    return or_(stands.is_(None), same, older)


def _ordinal_of(column: str) -> Any:
    """Of the journal that a column of the statement around names; as text, else it would be joined once more."""
    journal = schema.journal
    return select(journal.c.ordinal).where(journal.c.id == literal_column(column)).scalar_subquery()


def read_held(connection: Connection, journal_id: int, batch: Batch, items: Sequence[Item]) -> Held:
    """What is held of the batch's journal, as far as the batch touches it."""
    spans = read_spans(connection, journal_id)
    numbers = sorted({item.seq for item in items if item.seq is not None})
    if not numbers:
        return Held(spans=spans)
    repeated = [number for number in numbers if ranges.covers(spans, number, number)] if spans else []
    digests, set_aside = _digests(connection, journal_id, batch.klass, repeated)
    if batch.klass != "record":
        return Held(spans, digests, set_aside)
    before, after = _neighbours(connection, journal_id, numbers[0], numbers[-1], spans)
    if numbers[0] == 1 and items[0].data is not None:
        before = _opening_chain(items[0])
    return Held(spans, digests, set_aside, before, after)


def read_spans(connection: Connection, journal_id: int) -> Ranges:
    """All that is stored of a journal."""
    table = schema.stored_range
    rows = connection.execute(
        select(table.c.first, table.c.last).where(table.c.journal_id == journal_id).order_by(table.c.first)
    )
    return tuple((first, last) for first, last in rows)


def write_spans(connection: Connection, journal_id: int, old: Ranges, new: Ranges) -> None:
    """Bring the authority on repeats from `old` to `new`."""
    _write_ranges(connection, schema.stored_range, journal_id, old, new)


def _write_ranges(connection: Connection, table: Table, journal_id: int, old: Ranges, new: Ranges) -> None:
    ends = dict(new)
    gone = [first for first, _ in old if first not in ends]
    for at in range(0, len(gone), _WHOLE):
        part = gone[at : at + _WHOLE]
        connection.execute(delete(table).where(and_(table.c.journal_id == journal_id, table.c.first.in_(part))))
    known = dict(old)
    changed = [
        {"journal_id": journal_id, "first": first, "last": last} for first, last in new if known.get(first) != last
    ]
    upsert(connection, table, changed, ("journal_id", "first"), ("last",))


def read_conflicts(connection: Connection, journal_id: int) -> Ranges:
    """The numbers of a journal that were offered with other bytes than those stored, as their rows stand."""
    table = schema.conflict_range
    rows = connection.execute(
        select(table.c.first, table.c.last).where(table.c.journal_id == journal_id).order_by(table.c.first)
    )
    return tuple((first, last) for first, last in rows)


def add_conflicts(connection: Connection, journal_id: int, numbers: Iterable[int]) -> Ranges:
    """Keep more of them; returns all."""
    old = read_conflicts(connection, journal_id)
    new = ranges.union(old, ((seq, seq) for seq in numbers))
    _write_ranges(connection, schema.conflict_range, journal_id, old, new)
    return new


def write_lost(connection: Connection, journal_id: int, lost: Sequence[Lost]) -> None:
    """Take over what the device says will never come. A range that grew takes the place of its parts."""
    table = schema.lost_range
    rows = connection.execute(
        select(table.c.first, table.c.last, table.c.reason).where(table.c.journal_id == journal_id)
    )
    known = {first: (last, reason) for first, last, reason in rows}
    fresh = [one for one in lost if known.get(one.first) != (one.last, one.reason)]
    if not fresh:
        return
    swallowed = [
        first for first, (last, _) in known.items() if any(one.first < first and last <= one.last for one in fresh)
    ]
    if swallowed:
        connection.execute(delete(table).where(and_(table.c.journal_id == journal_id, table.c.first.in_(swallowed))))
    new = {one.first: one for one in fresh}
    values = [
        {"journal_id": journal_id, "first": one.first, "last": one.last, "reason": one.reason} for one in new.values()
    ]
    upsert(connection, table, values, ("journal_id", "first"), ("last", "reason"))


def boot_ids(connection: Connection, device: str, boots: Iterable[str]) -> dict[str, tuple[int, ingest.Anchor | None]]:
    """The rows of these boots, made where there are none: (id, anchor)."""
    wanted = sorted(set(boots))
    found = _read_boots(connection, device, wanted)
    if new := [name for name in wanted if name not in found]:
        connection.execute(insert(schema.boot), [{"device_id": device, "boot": name} for name in new])
        found |= _read_boots(connection, device, new)
    return found


def read_entry(row: Any) -> Entry:
    """An entry from its row."""
    stamp = Stamp(row.boot, row.mono_ns, row.raw_wall_ms, Quality(row.quality))
    return Entry(row.seq, row.kind, stamp, Raw(row.data.encode()))


def write_projected(
    connection: Connection, device: str, journal_id: int, given: Iterable[tuple[int, Projected]]
) -> None:
    """Write what projections gave for (seq, projected), in order."""
    writes: list[Write] = []
    pointers: dict[str, int] = {}
    for seq, projected in given:
        writes += projected.writes
        for what in projected.latest:
            pointers[what] = max(seq, pointers.get(what, 0))
    order = {id(table): at for at, table in enumerate(schema.metadata.sorted_tables)}
    writes.sort(key=lambda write: (order[id(write.table)], write.update))  # stable: entries stay in order
    for (_, update_names), group in groupby(writes, key=lambda write: (id(write.table), write.update)):
        rows = list(group)
        first, values = rows[0], [_fit(row.values) for row in rows]
        upsert(connection, first.table, values, first.conflict, update_names, earliest=first.earliest)
    write_latest(connection, device, journal_id, pointers)


def write_latest(connection: Connection, device: str, journal_id: int, pointers: dict[str, int]) -> None:
    """Point to the newest entry on each thing; an older one that comes later changes nothing."""
    if not pointers:
        return
    table = schema.latest
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=["device_id", "what", "journal_id"],
        set_={"seq": statement.excluded.seq},
        where=table.c.seq < statement.excluded.seq,
    )
    rows = [
        _fit({"device_id": device, "what": what, "journal_id": journal_id, "seq": seq})
        for what, seq in sorted(pointers.items())
    ]
    connection.execute(statement, rows)


def move_entries(connection: Connection, table: Table, moved: Sequence[tuple[int, int, int]]) -> None:
    """Set the wall time of (journal, seq, wall_ms), as an anchor has it."""
    if not moved:
        return
    statement = (
        update(table)
        .where(and_(table.c.journal_id == bindparam("of_journal"), table.c.seq == bindparam("of_seq")))
        .values(wall_ms=bindparam("to_ms"), anchored=True)
    )
    connection.execute(statement, [{"of_journal": one, "of_seq": seq, "to_ms": ms} for one, seq, ms in moved])


def _read_boots(connection: Connection, device: str, names: list[str]) -> dict[str, tuple[int, ingest.Anchor | None]]:
    table = schema.boot
    found: dict[str, tuple[int, ingest.Anchor | None]] = {}
    for at in range(0, len(names), _WHOLE):
        rows = connection.execute(
            select(table.c.boot, table.c.id, table.c.anchor_mono_ns, table.c.anchor_wall_ms).where(
                and_(table.c.device_id == device, table.c.boot.in_(names[at : at + _WHOLE]))
            )
        )
        for name, row_id, mono_ns, wall_ms in rows:
            found[name] = (row_id, None if mono_ns is None else ingest.Anchor(mono_ns, wall_ms))
    return found


def _digests(
    connection: Connection, journal_id: int, klass: str, numbers: list[int]
) -> tuple[dict[int, bytes], dict[int, str]]:
    digests: dict[int, bytes] = {}
    set_aside: dict[int, str] = {}
    table, aside = entries_table(klass), schema.quarantine
    for at in range(0, len(numbers), _WHOLE):
        part = numbers[at : at + _WHOLE]
        for seq, digest in connection.execute(
            select(table.c.seq, table.c.digest).where(and_(table.c.journal_id == journal_id, table.c.seq.in_(part)))
        ):
            digests[seq] = bytes(digest)
        for seq, digest, reason in connection.execute(
            select(aside.c.seq, aside.c.digest, aside.c.reason).where(
                and_(aside.c.journal_id == journal_id, aside.c.seq.in_(part), aside.c.verdict == "quarantined")
            )
        ):
            digests.setdefault(seq, bytes(digest))
            set_aside[seq] = reason
    return digests, set_aside


def _neighbours(
    connection: Connection, journal_id: int, first: int, last: int, spans: Ranges
) -> tuple[bytes | None, tuple[bytes, bytes] | None]:
    """The chain's value before `first`, and the entry after `last` with the chain's value after it."""
    wanted = [seq for seq in (first - 1, last + 1) if ranges.covers(spans, seq, seq)]
    if not wanted:
        return None, None
    table, boots = schema.entry, schema.boot
    before: bytes | None = None
    after: tuple[bytes, bytes] | None = None
    for row in connection.execute(
        select(table, boots.c.boot)
        .join(boots, boots.c.id == table.c.boot_id)
        .where(and_(table.c.journal_id == journal_id, table.c.seq.in_(wanted)))
    ):
        if row.chain is None:
            continue
        if row.seq == first - 1:
            before = bytes(row.chain)
        else:
            entry = read_entry(row)
            raw = bytes(row.raw) if row.raw is not None else ingest.rebuild(row.seq, row.kind, entry)
            after = (raw, bytes(row.chain))
    return before, after


def _opening_chain(item: Item) -> bytes | None:
    text = getattr(item.data, "previous_chain", None)
    if text is None:
        return None
    try:
        return bytes.fromhex(text) if text else NO_CHAIN
    except ValueError:
        return None


def _fit(values: dict[str, Any]) -> dict[str, Any]:
    """What a device may say but no column can hold: null characters, and numbers beyond 64 bits."""
    return {name: _fit_value(value) for name, value in values.items()}


def _fit_value(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, -_INT64), _INT64)
    return value
