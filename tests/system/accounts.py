"""The reckoning after a crash: what each journal kept against what the hub stored, entry by entry, by digest.

Read from the disk of a demo that has ended, never from what a part says of itself.
"""

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.journal import Journal
from bus.messages import Entry

Place = tuple[str, str, int]  # epoch, class, seq


@dataclass(frozen=True)
class Stored:
    """One row at the hub."""

    place: Place
    digest: bytes
    kind: str
    data: str


def journal_digests(directory: Path) -> dict[Place, bytes]:
    """Every entry still in a journal, by place, oldest epoch first. Opening one writes nothing."""
    return {place: hashlib.sha256(entry).digest() for place, entry in journal_entries(directory).items()}


def journal_entries(directory: Path) -> dict[Place, bytes]:
    """Every entry still in a journal, as its bytes."""
    journal = Journal(directory, stamp=lambda: Stamp("0" * 32, 0, 0, Quality.UNKNOWN), config=JournalConfig())
    try:
        entries: dict[Place, bytes] = {}
        for view in journal.epochs():
            first = view.first_held
            while first <= view.head:
                chunk = journal.read(view.epoch, view.klass, first, max_count=1000, max_bytes=1 << 22)
                if not chunk.entries:
                    break
                for number, entry in enumerate(chunk.entries, chunk.first):
                    entries[view.epoch, view.klass, number] = entry
                first = chunk.first + len(chunk.entries)
        return entries
    finally:
        journal.close()


def stored_rows(store: Path, device: str) -> list[Stored]:
    """Every row of a device in the hub's SQLite store."""
    query = """
        SELECT j.epoch, j.class, e.seq, e.digest, e.kind, e.data
        FROM {table} e JOIN journal j ON j.id = e.journal_id WHERE j.device_id = ?
    """
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        rows = [
            row
            for table in ("entry", "sample")
            for row in connection.execute(query.format(table=table), (device,)).fetchall()
        ]
    return [Stored((epoch, klass, seq), digest, kind, data) for epoch, klass, seq, digest, kind, data in rows]


def set_aside(store: Path) -> int:
    """How many entries the hub has quarantined."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM quarantine").fetchone()
    return int(count)


def assert_exact(held: dict[Place, bytes], rows: list[Stored], *, whose: str, unsent: bool = False) -> None:
    """The hub holds what the journal holds: all of it, each once, the same bytes, and nothing else of its epochs.

    With `unsent`, the end of the newest epoch may not have been sent yet; a hole may not be.
    """
    twice = [place for place, times in Counter(row.place for row in rows).items() if times > 1]
    assert twice == [], f"{whose}: stored twice"
    at_hub = {row.place: row.digest for row in rows}
    lost = sorted(held.keys() - at_hub.keys())
    if unsent:
        newest, heads = list(held)[-1][0], {place[:2]: place[2] for place in sorted(at_hub)}
        lost = [place for place in lost if place[0] != newest or place[2] < heads.get(place[:2], 0)]
    assert lost == [], f"{whose}: {len(lost)} entries of the journal are not at the hub"
    other = [place for place, digest in held.items() if at_hub.get(place, digest) != digest]
    assert other == [], f"{whose}: other bytes at the hub"
    epochs = {(epoch, klass) for epoch, klass, _ in held}
    invented = [place for place in at_hub if place[:2] in epochs and place not in held]
    assert invented == [], f"{whose}: at the hub, but never in the journal"


def serials(rows: list[Stored]) -> Counter[str]:
    """How often each serial number of the load is stored."""
    return Counter(
        msgspec.json.decode(row.data)["detail"] for row in rows if row.kind == "event.noted" and "load" in row.data
    )


def serials_kept(entries: dict[Place, bytes]) -> Counter[str]:
    """How often each serial number of the load stands in a journal."""
    decoded = (msgspec.json.decode(entry, type=Entry) for entry in entries.values())
    return Counter(
        msgspec.json.decode(entry.data)["detail"]
        for entry in decoded
        if entry.kind == "event.noted" and b"load" in bytes(entry.data)
    )
