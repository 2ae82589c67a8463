"""The hub's store as the shells use it: batches in, receipts out, and the known list kept in step.

What always holds:

- A receipt is made from what was committed, after the commit.
- `run` names one start of the hub on this store, and all hubs on one store say the same one: it stands in the store,
  and changes when a hub starts or has lost its connection to the server, for then the store may be an older one,
  restored. Within a run what is receipted only grows, and a device's `at_ms` never falls.
- A beacon's `at_ms` never falls within a run, whatever the clock does and whichever hub sends it.
- One batch that cannot be stored does not stop the others: it is tried alone, then by halves until the entry is found
  that is to blame, which is set aside with a verdict; only where that does not help is the batch set aside, whole.
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, case, select, update

from bus.identifiers import new_epoch
from bus.logs import fields
from bus.messages import Receipt, Status
from hub import ingest, ledger, quarantine, schema
from hub.admission import Admitted, Reason, Rejected
from hub.database import Database, is_of_a_value, is_ours
from hub.ingest import Item
from hub.intake import Intake, Taken
from hub.receipts import receipts
from hub.roster import Roster

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What came of some batches: the receipts to send, and what to count. `rejected` are those set aside whole."""

    receipts: list[Receipt] = field(default_factory=list)
    entries: int = 0
    repeats: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    breaks: int = 0
    rejected: list[Rejected] = field(default_factory=list)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Store:
    """Blocking calls, each one transaction; for threads. `exporting`: samples are queued for remote write."""

    def __init__(self, database: Database, *, exporting: bool = False, now_ms: Callable[[], int] = _now_ms) -> None:
        self.database: Final = database
        self._exporting = exporting
        self._now_ms = now_ms
        self._generation = -1

    def open(self, roster: Roster) -> str:
        """Migrate, take over the known list and begin a new run; return it."""
        self.database.migrate()
        self.sync_roster(roster)
        return self.run()

    def run(self) -> str:
        """The present run, as it stands in the store: asking shows that the store answers."""
        with self.database.write(first=True) as connection:
            return self._run(connection)

    def beacon(self) -> tuple[str, int]:
        """The present run and when a beacon of it says that it was sent: asking shows that the store takes writes."""
        table = schema.hub
        with self.database.write(first=True) as connection:
            run = self._run(connection)
            now_ms = self._now_ms()
            latest = case((table.c.beacon_ms > now_ms, table.c.beacon_ms), else_=now_ms)
            moved = update(table).where(table.c.id == 1).values(beacon_ms=latest).returning(table.c.beacon_ms)
            return run, int(connection.execute(moved).scalar_one())

    def ingest(self, batches: Sequence[Admitted]) -> Outcome:
        """Store batches in one transaction. `UnavailableError`: the store cannot be used, and nothing was stored."""
        try:
            return self._ingest(batches)
        except Exception as error:
            if not is_ours(error):
                raise
            if len(batches) > 1:
                outcomes = [self.ingest([batch]) for batch in batches]
                return _joined(outcomes)
            log.warning("batch stored by parts %s", fields(device=batches[0].batch.device, error=str(error)[:500]))
        try:
            return self._ingest(batches, by_parts=True)
        except Exception as error:
            if not is_ours(error):
                raise
            return self._unstorable(batches[0], error)

    def reject(self, rejected: Sequence[Rejected]) -> None:
        """Count messages that get no receipt, and keep what its device signed."""
        with self.database.write(first=True) as connection:
            self._reject(connection, rejected)

    def take_statuses(self, statuses: Sequence[Status]) -> None:
        """Births and last wills: hints of what runs where."""
        now_ms = self._now_ms()
        table = schema.device_live
        with self.database.write() as connection:
            for status in sorted(statuses, key=lambda one: one.device):
                row: dict[str, Any] = {"status_online": status.online, "status_ms": now_ms}
                if status.online:
                    row |= {"version": _plain(status.version), "boot": _plain(status.boot)}
                connection.execute(update(table).where(table.c.device_id == status.device).values(row))

    def sync_roster(self, roster: Roster) -> None:
        """Take over the known list. What left it stays, unknown."""
        sites = [
            {
                "id": site.id,
                "code": site.code,
                "name": site.name,
                "province": site.province,
                "former_names": msgspec.json.encode(site.former_names).decode(),
                "known": True,
            }
            for site in roster.sites
        ]
        devices = [
            {"id": device.id, "site_id": site.id, "part": device.part, "key": device.key, "known": True}
            for site in roster.sites
            for device in site.device
        ]
        with self.database.write() as connection:
            for table, rows in ((schema.site, sites), (schema.device, devices)):
                present = {str(row["id"]) for row in rows}
                known = set(connection.execute(select(table.c.id).where(table.c.known)).scalars())
                if gone := sorted(known - present):
                    connection.execute(update(table).where(table.c.id.in_(gone)).values(known=False))
                ledger.upsert(
                    connection, table, rows, ("id",), [name for name in rows[0] if name != "id"] if rows else ()
                )
            live = [{"device_id": row["id"]} for row in devices]
            ledger.upsert(connection, schema.device_live, live, ("device_id",), ())

    def _run(self, connection: Connection) -> str:
        table = schema.hub
        lock = select(table.c.run).where(table.c.id == 1)
        if self._generation != self.database.generation:
            self._generation = self.database.generation
            row = {"id": 1, "run": new_epoch(), "run_at_ms": self._now_ms(), "beacon_ms": 0}
            ledger.upsert(connection, table, [row], ("id",), ("run", "run_at_ms", "beacon_ms"))
            log.info("run begun %s", fields(run=row["run"]))
        return str(connection.execute(lock).scalar_one())

    def _ingest(self, batches: Sequence[Admitted], *, by_parts: bool = False) -> Outcome:
        read = [(one, ingest.read_items(one.batch)) for one in batches]
        devices = sorted({one.batch.device for one in batches})
        outcome = Outcome()
        taken: list[Taken] = []
        with self.database.write(first=True) as connection:
            self._lock(connection, devices)
            now_ms = self._now_ms()
            intake = Intake(connection, now_ms, self._exporting)
            for admitted, items in read:
                taken += _by_parts(intake, admitted, items) if by_parts else [intake.take(admitted, items)]
            at_ms = self._touch(connection, devices, now_ms)
            run = self._run(connection)
        outcome.receipts = receipts(taken, run, at_ms)
        for one in taken:
            outcome.entries += len(one.decision.fresh)
            outcome.repeats += one.decision.repeats
            outcome.breaks += len(one.decision.breaks)
            outcome.set_aside.update(aside.reason for aside in one.decision.set_aside if aside.fresh)
        return outcome

    def _lock(self, connection: Connection, devices: Sequence[str]) -> None:
        """On PostgreSQL hubs work side by side: the device's row serialises them, taken in one order by all."""
        if self.database.is_sqlite:
            return  # the whole store is ours already
        table = schema.device_live
        statement = select(table.c.device_id).where(table.c.device_id.in_(devices)).order_by(table.c.device_id)
        connection.execute(statement.with_for_update()).all()

    def _touch(self, connection: Connection, devices: Sequence[str], now_ms: int) -> dict[str, int]:
        table = schema.device_live
        rows = connection.execute(select(table.c.device_id, table.c.receipted_ms).where(table.c.device_id.in_(devices)))
        before = {device: receipted_ms or 0 for device, receipted_ms in rows}
        # A device takes a new run only where it is dated later than the receipt before.
        at_ms = {device: max(now_ms, before.get(device, 0) + 1) for device in devices}
        values = [{"device_id": device, "seen_ms": now_ms, "receipted_ms": at_ms[device]} for device in devices]
        ledger.upsert(connection, table, values, ("device_id",), ("seen_ms", "receipted_ms"))
        return at_ms

    def _unstorable(self, admitted: Admitted, error: Exception) -> Outcome:
        log.error("batch cannot be stored %s", fields(device=admitted.batch.device), exc_info=error)
        raw = msgspec.json.encode(admitted.batch)
        rejected = Rejected(admitted.batch.device, Reason.UNSTORABLE, str(error)[:500], raw)
        self.reject([rejected])
        return Outcome(rejected=[rejected])

    def _reject(self, connection: Connection, rejected: Sequence[Rejected]) -> None:
        now_ms = self._now_ms()
        last = {(one.device, one.reason.value): one.detail for one in rejected}
        counts = Counter((one.device, one.reason.value) for one in rejected)
        rows = [
            {"device_id": device, "reason": reason, "count": count}
            | {"last_ms": now_ms, "last_detail": _plain(last[device, reason])}
            for (device, reason), count in sorted(counts.items())  # in one order by all hubs: they wait, never lock up
        ]
        key, sets = ("device_id", "reason"), ("last_ms", "last_detail")
        ledger.upsert(connection, schema.rejected, rows, key, sets, adds=("count",))
        kept = [self._raw(one, one.raw, now_ms) for one in rejected if one.raw is not None]
        quarantine.keep(connection, sorted(kept, key=lambda row: str(row["key"])))

    def _raw(self, rejected: Rejected, raw: bytes, now_ms: int) -> dict[str, Any]:
        digest = hashlib.sha256(raw).digest()
        return {
            "key": f"batch/{rejected.device}/{digest.hex()}",
            "device_id": rejected.device,
            "verdict": "batch",
            "reason": rejected.reason.value,
            "detail": _plain(rejected.detail),
            "digest": digest,
            "raw": raw,
            "received_ms": now_ms,
            "times": 1,
        }


def _by_parts(intake: Intake, admitted: Admitted, items: Sequence[Item]) -> list[Taken]:
    """Take a batch that could not be stored as a whole: what is to blame is found by halving, and set aside.

    Only where a value is to blame: what is set aside is receipted, and its device lets go of it. Anything else leaves
    the batch with its device until the hub is mended.
    """
    try:
        with intake.connection.begin_nested():
            return [intake.take(admitted, items)]
    except Exception as error:
        if not is_of_a_value(error) or not items:
            raise
        if len(items) > 1:
            halves = ingest.halves(admitted.batch, items)
            return [one for batch, some in halves for one in _by_parts(intake, replace(admitted, batch=batch), some)]
        aside = ingest.unstorable(items[0], str(error))
    with intake.connection.begin_nested():
        return [intake.take(admitted, [aside])]


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    joined = Outcome()
    for one in outcomes:
        joined.receipts += one.receipts
        joined.entries += one.entries
        joined.repeats += one.repeats
        joined.breaks += one.breaks
        joined.set_aside.update(one.set_aside)
        joined.rejected += one.rejected
    return joined


def _plain(text: str) -> str:
    return text.replace("\0", "\ufffd")[:500]
