"""What the journal remembers beside the entries: receipts, and what left by rule. Two files, written in turn.

Each carries its generation and a checksum; the newer one that holds is taken, so that a torn or flipped file costs one
generation. Losing both costs only that entries are offered again, which the consumers answer with the same receipts.
"""

import zlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bus.files import is_shortage, replace_file
from bus.journal.ledger import ConsumerState
from bus.journal.stream import Held, Stream
from bus.messages import EntryClass, Range
from bus.ranges import union

_NAMES: Final = ("memory-0.json", "memory-1.json")


class HeldNote(Struct, frozen=True):
    """`Held` on disk."""

    run: str
    at_ms: int
    stored: list[Range]


class StreamNote(Struct, frozen=True):
    """`Stream` on disk; `damaged` is kept so that damage is counted once; `receipted` maps a
    segment's first number to when all of it had been receipted."""

    ordinal: int
    epoch: str
    klass: EntryClass
    head: int
    chain: str
    chained: int
    gone: list[Range]
    shed: list[Range]
    damaged: list[Range]
    moved: list[Range]
    held_by: dict[str, HeldNote]
    receipted: dict[int, int]
    touched_ms: int
    told: bool
    forked: bool = False


class ConsumerNote(Struct, frozen=True):
    """`ConsumerState` on disk."""

    run: str
    at_ms: int
    left: list[str]


class Notes(Struct, frozen=True):
    """All of it."""

    generation: int = 0
    streams: list[StreamNote] = []
    consumers: dict[str, ConsumerNote] = {}


class Memory:
    """The two files of one journal."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._generation = 0

    def load(self) -> Notes | None:
        """The newest notes that hold; None where there are none. `OSError`: a shortage, not the notes' fault."""
        found = [notes for name in _NAMES if (notes := self._read(self._directory / name)) is not None]
        if not found:
            return None
        newest = max(found, key=lambda notes: notes.generation)
        self._generation = newest.generation
        return newest

    def save(self, streams: list[StreamNote], consumers: dict[str, ConsumerNote]) -> None:
        """Make the notes durable. `OSError` when the disk refuses: the older ones stay."""
        notes = Notes(self._generation + 1, streams, consumers)
        body = msgspec.json.encode(notes)
        path = self._directory / _NAMES[notes.generation % 2]
        replace_file(path, b"%08x\n%s" % (zlib.crc32(body), body))
        self._generation = notes.generation

    def _read(self, path: Path) -> Notes | None:
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            if int(head, 16) != zlib.crc32(body):
                return None
            return msgspec.json.decode(body, type=Notes)
        except ValueError:
            return None
        except OSError as error:
            if is_shortage(error):
                raise
            return None


def compose(
    streams: list[Stream], consumers: dict[str, ConsumerState]
) -> tuple[list[StreamNote], dict[str, ConsumerNote]]:
    """What there is to note at this moment."""
    return (
        [_note_of(stream) for stream in streams],
        {name: ConsumerNote(state.run, state.at_ms, list(state.left)) for name, state in consumers.items()},
    )


def _note_of(stream: Stream) -> StreamNote:
    return StreamNote(
        stream.ordinal,
        stream.epoch,
        stream.klass,
        stream.head,
        stream.chain.hex(),
        stream.chained,
        list(stream.gone),
        list(stream.shed),
        list(stream.damaged()),
        list(stream.moved),
        {name: HeldNote(held.run, held.at_ms, list(held.stored)) for name, held in stream.held_by.items()},
        {segment.place.first: segment.receipted_ms for segment in stream.segments if segment.receipted_ms is not None},
        stream.touched_ms,
        stream.told,
        stream.forked,
    )


def recall(stream: Stream, note: StreamNote) -> None:
    """Give a stream found on disk what the notes know of it."""
    stream.head = max(stream.head, note.head)
    if note.chained > stream.chained:
        stream.chained, stream.chain = note.chained, bytes.fromhex(note.chain)
    stream.gone, stream.shed, stream.moved = union(note.gone), union(note.shed), union(note.moved)
    stream.held_by = {name: Held(held.run, held.at_ms, union(held.stored)) for name, held in note.held_by.items()}
    stream.touched_ms, stream.told, stream.forked = note.touched_ms, note.told, note.forked
    for segment in stream.segments:
        segment.receipted_ms = note.receipted.get(segment.place.first)


def recall_consumers(notes: Notes) -> dict[str, ConsumerState]:
    """The consumers' states."""
    return {name: ConsumerState(note.run, note.at_ms, tuple(note.left)) for name, note in notes.consumers.items()}
