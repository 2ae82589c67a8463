"""One batch into the store, inside the caller's transaction: find its journal, ask `hub.ingest`, write what it decided.

The order of the steps matters only to readers: nothing is seen of them before the commit. Which epoch follows which is
for `hub.epochs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, select, update

from bus.clock import Quality
from bus.entries import read_data
from bus.errors import WrongInputError
from bus.messages import Refused
from bus.ranges import Ranges
from hub import epochs, ingest, ledger, quarantine, schema
from hub.admission import Admitted
from hub.ingest import Anchor, Decision, Fresh, Item
from hub.ledger import JournalRow
from hub.projections import Projected, Source, project

_CHUNK: Final = 1000
_SAID: Final = 200  # entries set aside that one batch's receipt names: their device does nothing about it but log


@dataclass(slots=True)
class Taken:
    """What became of one batch. `conflicts`: all numbers of its journal that are in conflict, whoever told of them."""

    journal: JournalRow
    decision: Decision
    quarantined: list[Refused] = field(default_factory=list)
    conflicts: Ranges = ()


@dataclass(frozen=True, slots=True)
class Intake:
    """Writes batches in one transaction. `now_ms` is the hub's clock; `exporting`: samples are queued to go out."""

    connection: Connection
    now_ms: int
    exporting: bool

    def take(self, admitted: Admitted, items: Sequence[Item]) -> Taken:
        """Store what is new of one batch; `items` are its entries as `ingest.read_items` gave them."""
        batch = admitted.batch
        journal = self._journal(admitted)
        held = ledger.read_held(self.connection, journal.id, batch, items)
        decision = ingest.judge(batch, items, held)
        self._store(admitted, journal, decision)
        self._set_aside(admitted, journal, decision)
        ledger.write_spans(self.connection, journal.id, held.spans, decision.spans)
        if batch.lost:
            ledger.write_lost(self.connection, journal.id, batch.lost)
        self._told(journal, admitted, decision)
        noticed = epochs.breaks(self.connection, journal, decision)
        if opening := ingest.opening_in(decision):
            noticed += epochs.open_epoch(self.connection, journal, *opening)
        self._notice(admitted, journal, noticed)
        said = [
            Refused(aside.seq, aside.verdict, aside.reason)
            for aside in decision.set_aside
            if aside.seq is not None and aside.verdict == "quarantined"
        ]
        new = [aside.seq for aside in decision.set_aside if aside.seq is not None and aside.verdict == "conflict"]
        return Taken(journal, decision, said[:_SAID], ledger.add_conflicts(self.connection, journal.id, new))

    def _journal(self, admitted: Admitted) -> JournalRow:
        batch, table = admitted.batch, schema.journal
        columns = (table.c.epoch, table.c.klass, table.c.id, table.c.ordinal, table.c.first_held, table.c.head)
        row = self.connection.execute(
            select(*columns).where(
                and_(table.c.device_id == batch.device, table.c.epoch == batch.epoch, table.c.klass == batch.klass)
            )
        ).one_or_none()
        if row is not None:
            return JournalRow(row.id, batch.device, batch.epoch, batch.klass, row.ordinal, row.first_held, row.head)
        ordinal = epochs.place(self.connection, batch.device, batch.epoch)
        created = self.connection.execute(
            insert(table)
            .values(
                device_id=batch.device,
                epoch=batch.epoch,
                klass=batch.klass,
                ordinal=ordinal,
                first_seen_ms=self.now_ms,
                last_seen_ms=self.now_ms,
            )
            .returning(table.c.id)
        ).scalar_one()
        return JournalRow(created, batch.device, batch.epoch, batch.klass, ordinal, 0, 0)

    def _store(self, admitted: Admitted, journal: JournalRow, decision: Decision) -> None:
        fresh = decision.fresh
        if not fresh:
            return
        boots = ledger.boot_ids(self.connection, journal.device, (one.entry.at.boot for one in fresh))
        rows, given, timed = [], [], []
        for one in fresh:
            boot_id, anchor = boots[one.entry.at.boot]
            row = self._row(journal, one, boot_id, anchor)
            rows.append(row)
            source = self._source(admitted, journal, row)
            given.append((one.entry.seq, project(source, one.entry.kind, one.data)))
            if row["quality"] != Quality.UNKNOWN or row["anchored"]:
                timed.append((journal.id, one.entry.seq))
        self.connection.execute(insert(ledger.entries_table(journal.klass)), rows)
        ledger.write_projected(self.connection, journal.device, journal.id, given)
        if journal.klass == "sample":
            self._export(timed)
        for boot, anchor in ingest.anchors_in(decision).items():
            if boots[boot][1] is None:
                self._anchor(admitted, boots[boot][0], anchor)

    def _row(self, journal: JournalRow, one: Fresh, boot_id: int, anchor: Anchor | None) -> dict[str, Any]:
        at = one.entry.at
        moved = at.quality is Quality.UNKNOWN and anchor is not None
        return {
            "journal_id": journal.id,
            "seq": one.entry.seq,
            "kind": one.entry.kind,
            "unknown_kind": one.data is None,
            "boot_id": boot_id,
            "mono_ns": at.mono_ns,
            "raw_wall_ms": at.wall_ms,
            "quality": at.quality.value,
            "wall_ms": anchor.wall_at(at.mono_ns) if moved and anchor is not None else at.wall_ms,
            "anchored": moved,
            "received_ms": self.now_ms,
            "digest": one.digest,
            "chain": one.chain,
            "data": bytes(one.entry.data).decode(),
            "raw": one.raw,
        }

    def _source(self, admitted: Admitted, journal: JournalRow, row: dict[str, Any]) -> Source:
        shift_ms = row["wall_ms"] - row["raw_wall_ms"]
        return Source(journal.id, row["seq"], admitted.member.site, journal.device, row["wall_ms"], shift_ms)

    def _export(self, keys: Sequence[tuple[int, int]]) -> None:
        if self.exporting:
            rows = [{"journal_id": journal_id, "seq": seq} for journal_id, seq in keys]
            ledger.upsert(self.connection, schema.export_queue, rows, ("journal_id", "seq"), ())

    def _anchor(self, admitted: Admitted, boot_id: int, anchor: Anchor) -> None:
        """Time was trusted in this boot: move what was stored of it before, and what was projected from that."""
        boot = schema.boot
        values = {"anchor_mono_ns": anchor.mono_ns, "anchor_wall_ms": anchor.wall_ms}
        self.connection.execute(update(boot).where(boot.c.id == boot_id).values(values))
        for table in (schema.entry, schema.sample):
            while rows := self.connection.execute(
                select(
                    table.c.journal_id, table.c.seq, table.c.kind, table.c.mono_ns, table.c.raw_wall_ms, table.c.data
                )
                .where(and_(table.c.boot_id == boot_id, table.c.quality == "unknown", table.c.anchored.is_(False)))
                .limit(_CHUNK)
            ).all():
                self._move(admitted, table is schema.sample, anchor, rows)

    def _move(self, admitted: Admitted, samples: bool, anchor: Anchor, rows: Sequence[Any]) -> None:  # noqa: FBT001
        table = schema.sample if samples else schema.entry
        moved = [(row.journal_id, row.seq, anchor.wall_at(row.mono_ns)) for row in rows]
        ledger.move_entries(self.connection, table, moved)
        by_journal: dict[int, list[tuple[int, Projected]]] = {}
        for row, (journal_id, seq, wall_ms) in zip(rows, moved, strict=True):
            member = admitted.member
            source = Source(journal_id, seq, member.site, member.device, wall_ms, wall_ms - row.raw_wall_ms)
            by_journal.setdefault(journal_id, []).append((seq, project(source, row.kind, _data_of(row))))
        for journal_id, given in by_journal.items():
            ledger.write_projected(self.connection, admitted.member.device, journal_id, given)
        if samples:
            self._export([(journal_id, seq) for journal_id, seq, _ in moved])

    def _set_aside(self, admitted: Admitted, journal: JournalRow, decision: Decision) -> None:
        rows = [
            {
                "key": f"{journal.id}/{aside.seq or 0}/{aside.digest.hex()}",
                "device_id": journal.device,
                "journal_id": journal.id,
                "seq": aside.seq,
                "verdict": aside.verdict,
                "reason": aside.reason,
                "detail": aside.detail.replace("\0", "\ufffd"),
                "digest": aside.digest,
                "raw": aside.raw,
                "received_ms": self.now_ms,
                "times": 1,
            }
            for aside in decision.set_aside
            if aside.fresh
        ]
        quarantine.keep(self.connection, rows)
        for aside in decision.set_aside:
            if aside.verdict == "conflict":
                key = f"conflict/{journal.id}/{aside.seq}/{aside.digest.hex()}"
                detail = f"{journal.epoch} {journal.klass} {aside.seq}: other bytes are stored under this key"
                self.note(admitted, key, "entry.conflict", detail)

    def _told(self, journal: JournalRow, admitted: Admitted, decision: Decision) -> None:
        """What the batch says of the journal on the device. Batches overtake each other: neither figure falls."""
        batch = admitted.batch
        journal.head = max(journal.head, batch.head, decision.spans[-1][1] if decision.spans else 0)
        journal.first_held = max(journal.first_held, batch.first_held)
        self.connection.execute(
            update(schema.journal)
            .where(schema.journal.c.id == journal.id)
            .values(head=journal.head, first_held=journal.first_held, last_seen_ms=self.now_ms)
        )

    def _notice(self, admitted: Admitted, journal: JournalRow, noticed: Sequence[epochs.Noticed]) -> None:
        table = schema.journal
        for key, event, detail in noticed:
            if self.note(admitted, key, event, detail) and event == "journal.chain-broken":
                broken = update(table).where(table.c.id == journal.id).values(chain_breaks=table.c.chain_breaks + 1)
                self.connection.execute(broken)

    def note(self, admitted: Admitted, key: str, event: str, detail: str) -> bool:
        """Write down what the hub noticed, once; whether it is new."""
        table = schema.event
        if self.connection.execute(select(table.c.id).where(table.c.key == key)).first() is not None:
            return False
        self.connection.execute(
            insert(table).values(
                key=key,
                site_id=admitted.member.site,
                device_id=admitted.member.device,
                at_ms=self.now_ms,
                source="hub",
                event=event,
                subject="",
                detail=detail,
            )
        )
        return True


def _data_of(row: Any) -> Any:
    try:
        return read_data(row.kind, row.data.encode())
    except WrongInputError:
        return None
