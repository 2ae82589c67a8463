"""What an ended agent's journal holds."""

from pathlib import Path
from typing import TypeVar

import msgspec

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EntryData, read_data
from bus.journal import Journal
from bus.messages import Entry

T = TypeVar("T")


def read_records(folder: Path) -> list[EntryData]:
    """All records, in the order in which they were made."""
    stamp = Stamp("test", 0, 0, Quality.UNKNOWN)
    journal = Journal(folder, stamp=lambda: stamp, config=JournalConfig())
    found: list[tuple[int, int, EntryData]] = []
    try:
        for view in (view for view in journal.epochs() if view.klass == "record"):
            chunk = journal.read(view.epoch, "record", view.first_held, max_count=10_000, max_bytes=1 << 24)
            for raw in chunk.entries:
                entry = msgspec.json.decode(raw, type=Entry)
                data = read_data(entry.kind, entry.data)
                assert data is not None
                found.append((entry.at.mono_ns, entry.seq, data))
    finally:
        journal.close()
    return [data for _, _, data in sorted(found, key=lambda item: item[:2])]


def of(records: list[EntryData], kind: type[T]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]
