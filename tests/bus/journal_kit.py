"""What the journal's tests share: a stamp, a journal on a folder, its contents as a model can compare them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EventNoted, SampleBlock
from bus.journal import NO_CHAIN, Journal, Key, link
from bus.messages import Entry, EntryClass, Receipt, Refused

T0_MS = 1_790_000_000_000


class FakeClock:
    """A stamp that moves only when told."""

    def __init__(self) -> None:
        self.wall_ms = T0_MS
        self.quality = Quality.TRUSTED
        self._ticks = itertools.count()

    def __call__(self) -> Stamp:
        return Stamp("b" * 32, next(self._ticks), self.wall_ms, self.quality)

    def days(self, days: float) -> None:
        self.wall_ms += int(days * 86_400_000)


def open_journal(
    folder: Path,
    clock: Callable[[], Stamp] | None = None,
    *,
    config: JournalConfig | None = None,
    consumers: tuple[str, ...] = ("hub",),
    on_durable: Callable[[Key], None] | None = None,
    segment_bytes: int = 4096,
) -> Journal:
    return Journal(
        folder,
        stamp=clock if clock is not None else FakeClock(),
        config=config if config is not None else JournalConfig(),
        consumers=consumers,
        on_durable=on_durable,
        segment_bytes=segment_bytes,
    )


def note(text: str) -> EventNoted:
    return EventNoted("test", text)


def block(value: float) -> SampleBlock:
    return SampleBlock(T0_MS, 1000, {"x": [value]})


def add(journal: Journal, *texts: str) -> list[Key]:
    """Append one event a text, five at a time, so that small segments turn over."""
    keys = []
    for at in range(0, len(texts), 5):
        futures = [journal.append(note(text)) for text in texts[at : at + 5]]
        keys += [future.result(10) for future in futures]
    return keys


def read_all(journal: Journal, epoch: str, klass: EntryClass, *, max_count: int = 7) -> dict[int, bytes]:
    """Everything of a stream by number, each chunk's chain checked where the chunk before ends at it."""
    found: dict[int, bytes] = {}
    at, chain = 1, b""
    while True:
        chunk = journal.read(epoch, klass, at, max_count=max_count, max_bytes=100_000)
        if not chunk.entries:
            return found
        if klass == "record":
            assert len(chunk.chain) == 64
            if chain and chunk.first == at:
                assert chunk.chain == chain.hex(), "the chain does not continue from chunk to chunk"
            chain = bytes.fromhex(chunk.chain)
        else:
            assert chunk.chain == ""
        for offset, entry in enumerate(chunk.entries):
            decoded = msgspec.json.decode(entry, type=Entry)
            assert decoded.seq == chunk.first + offset
            found[decoded.seq] = entry
            chain = link(chain, entry) if klass == "record" else b""
        at = chunk.first + len(chunk.entries)


def texts(journal: Journal) -> list[str]:
    """The text of every event held, in order of epoch and number."""
    found = []
    for view in journal.epochs():
        for entry in read_all(journal, view.epoch, view.klass).values():
            decoded = msgspec.json.decode(entry, type=Entry)
            if decoded.kind == "event.noted":
                found.append(msgspec.json.decode(decoded.data, type=EventNoted).detail)
    return found


def receipt(
    epoch: str,
    *stored: tuple[int, int],
    run: str = "run-1",
    at_ms: int = T0_MS,
    klass: EntryClass = "record",
    consumer: str = "hub",
    conflicts: tuple[int, ...] = (),
) -> Receipt:
    refused = [Refused(seq, "conflict", "other bytes") for seq in conflicts]
    return Receipt(consumer, "s0001-agent", epoch, klass, list(stored), run, at_ms, refused)


def walk_chain(journal: Journal) -> None:
    """Every record epoch without damage begins where the one before ended, and its own links hold."""
    chain = NO_CHAIN
    for view in journal.epochs():
        if view.klass == "record":
            assert journal.read(view.epoch, "record", 1, max_count=1, max_bytes=1).chain == chain.hex()
            for entry in read_all(journal, view.epoch, "record").values():
                chain = link(chain, entry)


def segments_of(folder: Path, letter: str = "r") -> list[Path]:
    return sorted((folder / "segments").glob(f"*-{letter}-*.seg"))
