"""How fast the hub takes in, on SQLite: verify, decode, decide, store, commit; beside it bare inserts of these bytes.

The peer writes the same rows into one bare table with the same durability and as many rows a transaction: what is lost
against it is the price of signatures, digests, chains, ranges and projections.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.report import Bound, Row
from bus import envelope, topics
from bus.clock import Quality, Stamp
from bus.entries import EntryData, EventNoted, LineMinute, LinkMinute, TargetMinute, kind_of
from bus.envelope import Sealed, SigningKey
from bus.journal import NO_CHAIN, link
from bus.messages import BATCH_TYPE, Batch, Entry, encode
from hub.admission import Admitted, admit
from hub.database import Database
from hub.roster import DeviceRow, Roster, RosterFile, SiteRow
from hub.store import Store

_RECORDS = 100_000
_BATCH = 200
_TURN = 16  # batches a transaction, as they gather while one commits


def run(scale: float) -> list[Row]:
    """Records per second over a whole drain."""
    with tempfile.TemporaryDirectory(prefix="ingest-bench-", dir=os.environ.get("COMMUNE_BENCH_DIR")) as name:
        folder = Path(name)
        count = max(int(_RECORDS * scale), 2 * _BATCH * _TURN)
        key = SigningKey.generate()
        roster = Roster.of(
            RosterFile([SiteRow("s0001", "c", "Xã", device=[DeviceRow("a", "agent", key.public_bytes.hex())])])
        )
        return [
            Row(
                f"hub drains {len(entries)} queued records ({what})",
                _drain(folder / f"{what}.db", key, roster, entries),
                "records/s",
                f"bare SQLite FULL inserts, {_BATCH * _TURN} a transaction",
                _bare(folder / f"{what}-bare.db", entries),
                bounds=(Bound("value", at_least=2_000),),
            )
            for what, entries in (("events", _entries(count, _event)), ("minutes", _entries(count // 4, _minute)))
        ]


def _event(number: int) -> EntryData:
    return EventNoted("bench", f"number {number}", "subject")


def _minute(number: int) -> EntryData:
    targets = {f"target-{target}": TargetMinute(60, 0, 0.0, 1.5, 0.2) for target in range(10)}
    return LinkMinute(number * 60_000, targets, {"fibre": LineMinute(60, 0, "VNPT"), "4g": LineMinute(60, 0)})


def _entries(count: int, make: object) -> list[bytes]:
    assert callable(make)
    entries = []
    for number in range(1, count + 1):
        data = make(number)
        stamp = Stamp("b" * 32, number * 10**9, 1_790_000_000_000 + number, Quality.TRUSTED)
        entries.append(encode(Entry(number, kind_of(data), stamp, msgspec.Raw(encode(data)))))
    return entries


def _messages(key: SigningKey, entries: list[bytes]) -> Iterator[Sealed]:
    chain = NO_CHAIN
    for first in range(0, len(entries), _BATCH):
        part = entries[first : first + _BATCH]
        raws = [msgspec.Raw(raw) for raw in part]
        batch = Batch("a", "0" * 16, "record", 1, len(entries), raws, chain.hex(), [], first + 1)
        yield envelope.seal(encode(batch), BATCH_TYPE, key)
        for raw in part:
            chain = link(chain, raw)


def _drain(path: Path, key: SigningKey, roster: Roster, entries: list[bytes]) -> float:
    messages = list(_messages(key, entries))
    database = Database(f"sqlite:///{path}")
    store = Store(database)
    store.open(roster)
    began = time.perf_counter()
    for at in range(0, len(messages), _TURN):
        turn = [admit(topics.up("s0001", "a"), sealed, roster) for sealed in messages[at : at + _TURN]]
        outcome = store.ingest([one for one in turn if isinstance(one, Admitted)])
    took = time.perf_counter() - began
    assert outcome.receipts[0].stored == [(1, len(entries))], "BUG: the drain is not complete"
    database.close()
    return len(entries) / took


def _bare(path: Path, entries: list[bytes]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
    began = time.perf_counter()
    for at in range(0, len(entries), _BATCH * _TURN):
        connection.execute("BEGIN IMMEDIATE")
        rows = enumerate(entries[at : at + _BATCH * _TURN], at)
        connection.executemany("INSERT INTO entry VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return len(entries) / took
