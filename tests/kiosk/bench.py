"""A booth with its journal in a folder, and helpers to wait for what is true rather than for time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bus.config import JournalConfig
from bus.entries import EntryData, RatingPressed, read_data
from bus.journal import Journal
from bus.messages import Entry
from bus.timekeeper import Simulation, Timekeeper
from kiosk.ballots import BallotBox
from kiosk.booth import Booth
from kiosk.settings import KioskSettings

ALWAYS_OPEN = KioskSettings(hours=[])


class BoothBench:
    """Open, close and open again as a kiosk process would."""

    def __init__(self, folder: Path, settings: KioskSettings = ALWAYS_OPEN) -> None:
        self.folder = folder
        self.time_file = folder / "time.json"
        self.time_file.write_bytes(msgspec.json.encode(Simulation()))
        self.clock = Timekeeper(folder, simulated=self.time_file)
        self.journal = Journal(folder / "journal", stamp=self.clock.now, config=JournalConfig())
        box = BallotBox(self.journal, stamp=self.clock.now, settings=lambda: self.booth.settings if made else settings)
        made = False
        self.booth = Booth(box, self.clock, settings)
        made = True

    def close(self) -> None:
        self.journal.close()
        self.clock.close()

    def again(self) -> "BoothBench":
        self.close()
        return BoothBench(self.folder, self.booth.settings)


def records(journal: Journal) -> Iterator[tuple[Entry, EntryData]]:
    for view in journal.epochs():
        if view.klass == "record" and view.head:
            chunk = journal.read(view.epoch, "record", view.first_held, max_count=1_000_000, max_bytes=1 << 30)
            for body in chunk.entries:
                entry = msgspec.json.decode(body, type=Entry)
                data = read_data(entry.kind, entry.data)
                assert data is not None
                yield entry, data


def presses(journal: Journal) -> list[RatingPressed]:
    return [data for _, data in records(journal) if isinstance(data, RatingPressed)]


async def until(holds: Callable[[], object], *, within_s: float = 10, what: str = "") -> None:
    """Wait until `holds()`; fails after `within_s`."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"did not become true within {within_s} s: {what or holds}"
        await asyncio.sleep(0.01)
