"""Reading entries back: consecutive, checked frame by frame and along the chain, never past what is durable."""

from dataclasses import dataclass, field

from bus.journal import disk
from bus.journal import segment as segments
from bus.journal.frame import Frame, link, scan, seed_of
from bus.journal.segment import Segment
from bus.ranges import Ranges


@dataclass(slots=True)
class Collector:
    """A chunk in the making."""

    first: int
    max_count: int
    max_bytes: int
    entries: list[bytes] = field(default_factory=list)
    chain: bytes = b""
    _next_chain: bytes = b""
    _size: int = 0

    @property
    def next(self) -> int:
        """The number wanted next."""
        return self.first + len(self.entries)

    def fits(self, frame: Frame, *, chained: bool) -> bool:
        """Take the frame; False where the chunk is full. One entry always fits."""
        if self.entries and (len(self.entries) >= self.max_count or self._size + len(frame.entry) > self.max_bytes):
            return False
        if not self.entries:
            self.first = frame.seq
            self.chain = frame.chain if chained else b""
        self.entries.append(frame.entry)
        self._size += len(frame.entry)
        if chained:
            self._next_chain = link(frame.chain, frame.entry)
        return True

    def continues(self, frame: Frame, *, chained: bool) -> bool:
        """Whether the frame follows the last one taken, by number and by chain."""
        return not self.entries or (frame.seq == self.next and (not chained or frame.chain == self._next_chain))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What of a segment is to be read: a copy made under the lock."""

    segment: Segment
    size: int
    offset: int
    held: Ranges


class DamageMetError(Exception):
    """A number that should be in this segment is not, or does not fit the chain."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"entry {seq}")
        self.seq = seq


def collect(excerpt: Excerpt, chunk: Collector) -> bool:
    """Add this segment's entries from `chunk.next` on; False: the chunk is complete. `DamageMetError`, `OSError`."""
    place = excerpt.segment.place
    chained = place.klass == "record"
    due = _next_held(excerpt.held, chunk.next)
    with segments.opened(excerpt.segment.path) as descriptor:

        def read(offset: int, size: int) -> bytes:
            return disk.read_at(descriptor, offset, size)

        for piece in scan(read, excerpt.offset, excerpt.size, seed_of(place.epoch, place.klass)):
            if not isinstance(piece, Frame) or due is None or piece.seq < due:
                continue
            if piece.seq != due:
                break
            if not chunk.continues(piece, chained=chained):
                if chunk.next > place.first and chunk.next == piece.seq:
                    # Both in this file, and the one before is not what this one was chained to.
                    raise DamageMetError(piece.seq - 1)
                return False
            if not chunk.fits(piece, chained=chained):
                return False
            due = _next_held(excerpt.held, piece.seq + 1)
            if due is None or due != piece.seq + 1:
                # A known hole follows, or the end of the segment.
                return due is None and piece.seq == excerpt.segment.last
    if due is None:
        return True
    if chunk.entries:
        return False
    raise DamageMetError(due)


def _next_held(held: Ranges, seq: int) -> int | None:
    for first, last in held:
        if seq <= last:
            return max(first, seq)
    return None
