"""A segment: one file of frames of one (epoch, class), named so that its name alone places it.

`<ordinal>-<epoch>-<r|s>-<first seq>.seg`; the ordinal orders epochs. A segment that will not grow is sealed: a seal at
its end says what it holds, where, and the checksum of the whole, so that opening it again is one read. Where the seal
does not hold, the frames are scanned; what is between them is damage.
"""

import json
import os
import re
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bus.files import is_shortage, sync_folder
from bus.journal import disk
from bus.journal.frame import Frame, Junk, Reader, link, pack, scan, seed_of
from bus.messages import EntryClass
from bus.ranges import Ranges, subtract, union

INDEX_STRIDE: Final = 32 * 1024
_NAME: Final = re.compile(r"^(\d{8})-([0-9a-f]{16})-([rs])-(\d{12})\.seg$")
_LETTER: Final[dict[EntryClass, str]] = {"record": "r", "sample": "s"}
_SEAL_MAGIC: Final = b"\xf5SL\xfa"
_SEAL_START: Final = b"\xf5SB\xfa"
_TRAILER: Final = struct.Struct(">4sII")  # magic, length of the seal, its checksum
_SEAL_LIMIT: Final = 64 * 1024
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """What a segment's name says."""

    ordinal: int
    epoch: str
    klass: EntryClass
    first: int

    @property
    def name(self) -> str:
        """The file name."""
        return f"{self.ordinal:08d}-{self.epoch}-{_LETTER[self.klass]}-{self.first:012d}.seg"


def read_name(name: str) -> Place | None:
    """A segment's place, None where this is not the name of one."""
    found = _NAME.match(name)
    if found is None or int(found[4]) < 1:
        return None
    return Place(int(found[1]), found[2], "record" if found[3] == "r" else "sample", int(found[4]))


@dataclass(slots=True)
class Segment:
    """What is known of one file. `last` is the highest seq in it (place.first - 1 where there is none).

    `gaps` are the numbers in place.first..last that are damaged. `size` counts the bytes of frames that are durable.
    `index` holds every INDEX_STRIDE bytes the seq and offset of a frame. `chain` is the record chain after `last`.
    `seal_crc` is the sealed checksum, not yet compared with the bytes where `checked` is false. `receipted_ms` says
    since when all of it is receipted by the first consumer.
    """

    path: Path
    place: Place
    last: int
    size: int = 0
    chain: bytes = b""
    gaps: Ranges = ()
    index_seqs: "array[int]" = field(default_factory=lambda: array("Q"))
    index_offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    sealed: bool = False
    checked: bool = True
    seal_crc: int = 0
    receipted_ms: int | None = None

    @property
    def held(self) -> Ranges:
        """The numbers that can be read."""
        if self.last < self.place.first:
            return ()
        return subtract(((self.place.first, self.last),), self.gaps)

    def add(self, frame_seq: int, offset: int) -> None:
        """Note a frame in the sparse index."""
        if not self.index_offsets or offset - self.index_offsets[-1] >= INDEX_STRIDE:
            self.index_seqs.append(frame_seq)
            self.index_offsets.append(offset)

    def offset_near(self, seq: int) -> int:
        """Where to begin walking so as to meet `seq`."""
        at = bisect_right(self.index_seqs, seq) - 1
        return self.index_offsets[at] if at >= 0 else 0


class _Seal(msgspec.Struct, frozen=True):
    last: int
    size: int
    chain: str
    crc: int
    gaps: list[tuple[int, int]]
    seqs: list[int]
    offsets: list[int]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan met: junk (offset and bytes), and how many bytes of it were an unfinished write at the end."""

    junk: list[tuple[int, bytes]]
    torn_bytes: int
    whole: bool  # the frames follow one another from offset 0


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor for reading."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_sealed(path: Path, place: Place) -> Segment | None:
    """The segment by its seal, not yet compared with its bytes; None where the seal does not hold."""
    with opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        tail = disk.read_at(descriptor, max(0, size - _SEAL_LIMIT), _SEAL_LIMIT)
    if len(tail) < _TRAILER.size:
        return None
    magic, length, crc = _TRAILER.unpack_from(tail, len(tail) - _TRAILER.size)
    body = tail[max(0, len(tail) - _TRAILER.size - length) : len(tail) - _TRAILER.size]
    if magic != _SEAL_MAGIC or len(body) != length or zlib.crc32(body, seed_of(place.epoch, place.klass)) != crc:
        return None
    try:
        seal = msgspec.json.decode(body[len(_SEAL_START) :], type=_Seal)
    except msgspec.MsgspecError:
        return None
    if seal.size + length + _TRAILER.size != size:
        return None
    return Segment(
        path,
        place,
        seal.last,
        seal.size,
        bytes.fromhex(seal.chain),
        tuple(seal.gaps),
        array("Q", seal.seqs),
        array("Q", seal.offsets),
        sealed=True,
        checked=False,
        seal_crc=seal.crc,
    )


def check_bytes(segment: Segment) -> bool:
    """Compare a sealed segment with its checksum."""
    try:
        with opened(segment.path) as descriptor:
            segment.checked = checksum(descriptor, segment.size) == segment.seal_crc
    except OSError as error:
        if is_shortage(error):
            raise
        return False
    return segment.checked


def checksum(descriptor: int, size: int) -> int:
    """CRC-32 of the first `size` bytes."""
    crc = offset = 0
    while offset < size:
        block = disk.read_at(descriptor, offset, min(_BLOCK, size - offset))
        if not block:
            return -1
        crc = zlib.crc32(block, crc)
        offset += len(block)
    return crc


def scan_file(
    path: Path, place: Place, *, durable: int, limit: int | None = None, size: int | None = None
) -> tuple[Segment, Findings]:
    """Read every frame. `durable`: numbers up to there are known to have been synced, so what is missing is damage.

    `limit`: numbers from there on stand in a later file, and frames of them here are void.
    """
    seed = seed_of(place.epoch, place.klass)
    segment = Segment(path, place, place.first - 1, chain=b"")
    junk: list[tuple[int, bytes]] = []
    doubts: list[_Doubt] = []
    clean_end, whole = 0, True
    durable = max(durable, 0 if limit is None else limit - 1)
    with opened(path) as descriptor:
        end = os.fstat(descriptor).st_size if size is None else size

        def read(offset: int, want: int) -> bytes:
            return disk.read_at(descriptor, offset, want)

        for piece in _trusted(scan(read, 0, end, seed), place.klass):
            if isinstance(piece, Junk):
                if not _is_seal(read, piece):
                    content = read(piece.offset, min(piece.end - piece.offset, 1024 * 1024)).rstrip(b"\0")
                    junk += [(piece.offset, content)] if content else []
                continue
            if piece.seq <= segment.last or (limit is not None and piece.seq >= limit):
                junk.append((piece.offset, piece.entry))
                continue
            durable = max(durable, piece.durable)
            if piece.seq > segment.last + 1:
                doubts.append(_Doubt(piece.seq - 1, segment.last, segment.chain, clean_end, len(segment.index_seqs)))
            whole = whole and piece.offset == clean_end
            segment.add(piece.seq, piece.offset)
            segment.last = piece.seq
            if place.klass == "record":
                segment.chain = link(piece.chain, piece.entry)
            clean_end = piece.end
    for doubt in doubts:
        if doubt.until > durable:
            # Part of a group that was being written: nobody was told of what stands behind the hole either.
            segment.last, segment.chain, clean_end = doubt.last, doubt.chain, doubt.end
            del segment.index_seqs[doubt.indexed :], segment.index_offsets[doubt.indexed :]
            break
        segment.gaps = union(segment.gaps, ((doubt.last + 1, doubt.until),))
    torn_bytes = sum(len(content) for offset, content in junk if offset >= clean_end and durable <= segment.last)
    if durable > segment.last and durable >= place.first:
        segment.gaps = union(segment.gaps, ((segment.last + 1, durable),))
        segment.last = durable
    segment.size = clean_end
    return segment, Findings(junk, torn_bytes, whole)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A hole up to number `until`, and how things stood before it."""

    until: int
    last: int
    chain: bytes
    end: int
    indexed: int


def _trusted(pieces: Iterator[Frame | Junk], klass: EntryClass) -> Iterator[Frame | Junk]:
    """Turn a record whose bytes are not what the next one was chained to into junk: its checksum was made to fit."""
    before: Frame | None = None
    for piece in pieces:
        if isinstance(piece, Junk):
            if before is not None:
                yield before
            before = None
            yield piece
        elif klass == "sample":
            yield piece
        else:
            if before is not None:
                forged = piece.seq == before.seq + 1 and link(before.chain, before.entry) != piece.chain
                yield Junk(before.offset, before.end) if forged else before
            before = piece
    if before is not None:
        yield before


def _is_seal(read: Reader, junk: Junk) -> bool:
    """Whether the junk at the end is only an old seal, whole or cut off, whose loss loses nothing."""
    if read(junk.offset, len(_SEAL_START)) == _SEAL_START[: junk.end - junk.offset]:
        return True
    trailer = read(junk.end - _TRAILER.size, _TRAILER.size) if junk.end - junk.offset >= _TRAILER.size else b""
    return trailer.startswith(_SEAL_MAGIC) and _TRAILER.unpack(trailer)[1] + _TRAILER.size == junk.end - junk.offset


def seal_bytes(segment: Segment, crc: int) -> bytes:
    """The seal of a segment whose frames have that checksum."""
    body = json.dumps(
        {
            "last": segment.last,
            "size": segment.size,
            "chain": segment.chain.hex(),
            "crc": crc,
            "gaps": segment.gaps,
            "seqs": list(segment.index_seqs),
            "offsets": list(segment.index_offsets),
        },
        separators=(",", ":"),
    ).encode()
    seed = seed_of(segment.place.epoch, segment.place.klass)
    body = _SEAL_START + body
    return body + _TRAILER.pack(_SEAL_MAGIC, len(body), zlib.crc32(body, seed))


def seal_in_place(segment: Segment, descriptor: int, *, crc: int | None = None) -> None:
    """Cut what follows the frames, put the seal there, make all of it durable. `OSError` leaves it merely unsealed."""
    disk.cut(descriptor, segment.size)
    if crc is None:
        crc = checksum(descriptor, segment.size)
    disk.write_all(descriptor, seal_bytes(segment, crc), segment.size)
    disk.sync(descriptor)
    segment.sealed, segment.checked, segment.seal_crc = True, True, crc


def rewrite(segment: Segment) -> None:
    """Put the frames that hold, sealed, in the damaged file's place. `OSError`: nothing changed."""
    part = segment.path.with_suffix(".part")
    place = segment.place
    fresh = Segment(segment.path, place, segment.last, chain=segment.chain, gaps=segment.gaps)
    seed = seed_of(place.epoch, place.klass)
    with opened(segment.path) as source:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            frames = scan(lambda offset, want: disk.read_at(source, offset, want), 0, segment.size, seed)
            last = place.first - 1
            for frame in _trusted(frames, place.klass):
                if isinstance(frame, Junk) or not last < frame.seq <= segment.last:
                    continue
                last = frame.seq
                content = pack(frame.seq, frame.durable, frame.chain, frame.entry, seed)
                fresh.add(frame.seq, fresh.size)
                disk.write_all(descriptor, content, fresh.size)
                fresh.size += len(content)
            seal_in_place(fresh, descriptor)
        finally:
            os.close(descriptor)
    part.replace(segment.path)
    sync_folder(segment.path.parent)
    segment.size, segment.index_seqs, segment.index_offsets = fresh.size, fresh.index_seqs, fresh.index_offsets
    segment.sealed, segment.checked, segment.seal_crc = True, True, fresh.seal_crc
