"""The frame: one entry on disk, with what finds it again after damage.

    magic 4 | length 4 | seq 8 | durable 8 | chain 32 | crc 4 | entry bytes          (big-endian)

`durable` is the head that had been synced before this frame was written: what is unreadable beyond the highest one
found was still being written, and nobody has been told of it.

`chain` is the record chain's value before this entry (zeros for samples), so that reading may begin anywhere and a hole
does not hide whether what follows belongs to what went before. The checksum (CRC-32) covers all of the frame and is
seeded with epoch and class: a frame in the wrong file is no frame. The magic holds bytes that UTF-8 never does, so no
entry contains it, and after damage the next one found is where reading goes on.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from bus.messages import EntryClass

MAGIC: Final = b"\xf5CE\xfa"
_HEAD: Final = struct.Struct(">4sIQQ32s")
_CRC: Final = struct.Struct(">I")
OVERHEAD: Final = _HEAD.size + _CRC.size
ENTRY_LIMIT: Final = 256 * 1024
NO_CHAIN: Final = bytes(32)
_WINDOW: Final = 256 * 1024

Reader = Callable[[int, int], bytes]  # (offset, size) -> bytes, short at the end of the file


class Frame(Struct, frozen=True, gc=False):
    """A frame that holds; `end` is where the next one begins."""

    offset: int
    end: int
    seq: int
    durable: int
    chain: bytes
    entry: bytes


class Junk(Struct, frozen=True, gc=False):
    """Bytes that are no frame."""

    offset: int
    end: int


def link(chain: bytes, entry: bytes) -> bytes:
    """The record chain's next value: SHA-256 over the one before and the entry's bytes."""
    return hashlib.sha256(chain + entry).digest()


def seed_of(epoch: str, klass: EntryClass) -> int:
    """Start value of the checksum for frames of this epoch and class."""
    return zlib.crc32(f"{epoch}/{klass}".encode())


def pack(seq: int, durable: int, chain: bytes, entry: bytes, seed: int) -> bytes:
    """One frame."""
    head = _HEAD.pack(MAGIC, len(entry), seq, durable, chain)
    return head + _CRC.pack(zlib.crc32(entry, zlib.crc32(head, seed))) + entry


def scan(read: Reader, start: int, end: int, seed: int) -> Iterator[Frame | Junk]:
    """Everything in start..end, in order: frames, and between them the bytes that are none."""
    window = _Window(read, end)
    offset = start
    while offset < end:
        frame = _frame_at(window, offset, seed)
        if frame is not None:
            yield frame
            offset = frame.end
            continue
        resync = _next_frame(window, offset + 1, end, seed)
        yield Junk(offset, resync)
        offset = resync


class _Window:
    """A sliding buffer over the file."""

    def __init__(self, read: Reader, end: int) -> None:
        self._read = read
        self._end = end
        self._base = 0
        self._bytes = b""

    def take(self, offset: int, size: int) -> bytes:
        size = min(size, self._end - offset)
        at = offset - self._base
        if at < 0 or at + size > len(self._bytes):
            self._bytes = self._read(offset, min(max(size, _WINDOW), self._end - offset))
            self._base, at = offset, 0
        return self._bytes[at : at + size]


def _frame_at(window: _Window, offset: int, seed: int) -> Frame | None:
    head = window.take(offset, OVERHEAD)
    if len(head) < OVERHEAD or not head.startswith(MAGIC):
        return None
    _, length, seq, durable, chain = _HEAD.unpack_from(head)
    if not 0 < length <= ENTRY_LIMIT:
        return None
    entry = window.take(offset + OVERHEAD, length)
    if len(entry) < length:
        return None
    (crc,) = _CRC.unpack_from(head, _HEAD.size)
    if zlib.crc32(entry, zlib.crc32(head[: _HEAD.size], seed)) != crc:
        return None
    return Frame(offset, offset + OVERHEAD + length, seq, durable, chain, entry)


def _next_frame(window: _Window, offset: int, end: int, seed: int) -> int:
    while offset < end:
        block = window.take(offset, _WINDOW)
        if not block:
            return end
        found = block.find(MAGIC)
        if found < 0:
            # The magic may straddle two blocks.
            offset += max(1, len(block) - len(MAGIC) + 1)
        elif _frame_at(window, offset + found, seed) is not None:
            return offset + found
        else:
            offset += found + 1
    return end
