"""One batch into the store, inside the caller's transaction: find its journal, ask `hub.ingest`, write what it decided.

The order of the steps matters only to readers: nothing is seen of them before the commit. Which epoch follows which is
kept here too, for it shows a restored card image (two epochs that name one predecessor) and a replaced journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, select, update

from bus.clock import Quality
from bus.entries import JournalOpened, read_data
from bus.errors import WrongInputError
from bus.messages import Refused
from hub import ingest, ledger, ordinals, schema
from hub.admission import Admitted
from hub.ingest import Anchor, Decision, Fresh, Item
from hub.ledger import JournalRow
from hub.projections import Projected, Source, project

_CHUNK: Final = 1000
SAID_PER_RECEIPT: Final = 200  # verdicts; the others are told when the device offers them again


@dataclass(slots=True)
class Taken:
    """What became of one batch."""

    journal: JournalRow
    decision: Decision
    refused: list[Refused] = field(default_factory=list)


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
        if opening := ingest.opening_in(decision):
            self._opened(admitted, journal, *opening)
        self._breaks(admitted, journal, decision)
        said = [
            Refused(aside.seq, aside.verdict, aside.reason) for aside in decision.set_aside if aside.seq is not None
        ]
        return Taken(journal, decision, said[:SAID_PER_RECEIPT])

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
        known = self._ordinals(batch.device)
        ordinal = known.get(batch.epoch) or self._place(batch.device, batch.epoch, known)
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

    def _ordinals(self, device: str) -> dict[str, int]:
        table = schema.journal
        rows = self.connection.execute(select(table.c.epoch, table.c.ordinal).where(table.c.device_id == device))
        return {row.epoch: row.ordinal for row in rows}

    def _place(self, device: str, epoch: str, known: dict[str, int]) -> int:
        table = schema.journal
        successors = self.connection.execute(
            select(table.c.epoch).where(and_(table.c.device_id == device, table.c.previous_epoch == epoch))
        ).scalars()
        first = min(successors, key=lambda name: known[name], default=None)
        return ordinals.newest(known) if first is None else ordinals.below(known, first)

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
        self._quarantine(rows)
        for aside in decision.set_aside:
            if aside.verdict == "conflict":
                key = f"conflict/{journal.id}/{aside.seq}/{aside.digest.hex()}"
                detail = f"{journal.epoch} {journal.klass} {aside.seq}: other bytes are stored under this key"
                self.note(admitted, key, "entry.conflict", detail)

    def _quarantine(self, rows: list[dict[str, Any]]) -> None:
        table = schema.quarantine
        for row in rows:
            known = self.connection.execute(
                update(table).where(table.c.key == row["key"]).values(times=table.c.times + 1)
            )
            if known.rowcount == 0:
                self.connection.execute(insert(table).values(row))

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

    def _opened(self, admitted: Admitted, journal: JournalRow, fresh: Fresh, data: JournalOpened) -> None:
        table = schema.journal
        chain = _chain_of(data)
        known = self._ordinals(journal.device)
        ordinal = ordinals.lifted(known, journal.epoch, data.previous_epoch)
        self.connection.execute(
            update(table)
            .where(table.c.id == journal.id)
            .values(
                opened_ms=fresh.entry.at.wall_ms,
                open_reason=data.reason,
                previous_epoch=data.previous_epoch[:64].replace("\0", ""),
                previous_head=min(max(data.previous_head, 0), 2**63 - 1),
                previous_chain=chain,
            )
        )
        of_epoch = and_(table.c.device_id == journal.device, table.c.epoch == journal.epoch)
        self.connection.execute(update(table).where(of_epoch).values(ordinal=ordinal))
        self._notice_fork(admitted, journal, data)

    def _notice_fork(self, admitted: Admitted, journal: JournalRow, data: JournalOpened) -> None:
        table = schema.journal
        others = self.connection.execute(
            select(table.c.epoch).where(
                and_(
                    table.c.device_id == journal.device,
                    table.c.klass == journal.klass,
                    table.c.previous_epoch == data.previous_epoch,
                    table.c.epoch != journal.epoch,
                )
            )
        ).scalars()
        for other in sorted(others):
            pair = "/".join(sorted((other, journal.epoch)))
            if data.previous_epoch:
                detail = f"epochs {pair} both follow {data.previous_epoch}: a restored or copied card image"
                self.note(admitted, f"forked/{journal.device}/{pair}", "journal.forked", detail)
            else:
                detail = f"epochs {pair} both begin a journal from nothing: the state was replaced"
                self.note(admitted, f"replaced/{journal.device}/{pair}", "journal.replaced", detail)

    def _breaks(self, admitted: Admitted, journal: JournalRow, decision: Decision) -> None:
        breaks = [
            (
                f"{journal.id}/{one.seq}/{one.found.hex()}",
                f"{journal.epoch} before {one.seq}: expected {one.expected.hex()}, found {one.found.hex()}",
            )
            for one in decision.breaks
        ] + self._epoch_breaks(journal, decision)
        for key, detail in breaks:
            if self.note(admitted, f"chain/{key}", "journal.chain-broken", detail):
                table = schema.journal
                self.connection.execute(
                    update(table).where(table.c.id == journal.id).values(chain_breaks=table.c.chain_breaks + 1)
                )

    def _epoch_breaks(self, journal: JournalRow, decision: Decision) -> list[tuple[str, str]]:
        """Whether the chain goes on from epoch to epoch, asked at the end that came last."""
        if journal.klass != "record" or not decision.fresh:
            return []
        table, entry = schema.journal, schema.entry
        of_device = and_(table.c.device_id == journal.device, table.c.klass == "record")
        pairs: list[tuple[str, int, bytes | None, bytes | None]] = []
        if opening := ingest.opening_in(decision):
            data = opening[1]
            ends = (
                self.connection.execute(
                    select(entry.c.chain)
                    .join(table, table.c.id == entry.c.journal_id)
                    .where(of_device, table.c.epoch == data.previous_epoch, entry.c.seq == data.previous_head)
                ).scalars()
                if 0 < data.previous_head < 2**63
                else ()
            )
            pairs += [(journal.epoch, data.previous_head, _chain_of(data), end) for end in ends]
        chains = {one.entry.seq: one.chain for one in decision.fresh}
        successors = self.connection.execute(
            select(table.c.epoch, table.c.previous_head, table.c.previous_chain).where(
                of_device, table.c.previous_epoch == journal.epoch
            )
        )
        pairs += [
            (row.epoch, row.previous_head, row.previous_chain, chains.get(row.previous_head)) for row in successors
        ]
        return [
            (
                f"{journal.device}/{epoch}",
                f"{epoch} goes on from {bytes(told).hex()}, but entry {head} before it ended with {bytes(end).hex()}",
            )
            for epoch, head, told, end in pairs
            if told is not None and end is not None and bytes(told) != bytes(end)
        ]

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


def _chain_of(data: JournalOpened) -> bytes | None:
    try:
        chain = bytes.fromhex(data.previous_chain)
    except ValueError:
        return None
    return chain if len(chain) == 32 else None
