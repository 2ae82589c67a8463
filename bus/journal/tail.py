"""The segment that grows: write, sync, commit; and back to where it stood when any of these fails.

A failed write is cut away, at once or before the next one. After a failed sync nothing the kernel says about these
bytes can be relied on, so the file is given up: what was durable stays readable, and the next entry opens a new file.

The file is filled with zeros ahead of the frames, `step` bytes at a time: a sync then has only the frames' own blocks
to write, not the file system's log, and does not wait for what others have put there.
"""

import contextlib
import os
import zlib
from pathlib import Path

from bus.journal import disk
from bus.journal.segment import Place, Segment, seal_in_place


class Tail:
    """One growing segment; used by the writer thread alone. `segment` shows what is committed."""

    def __init__(self, folder: Path, place: Place, chain: bytes, *, step: int) -> None:
        path = folder / place.name
        self._descriptor = disk.create(path)
        self.segment = Segment(path, place, place.first - 1, chain=chain)
        self.head = place.first - 1
        self.chain = chain
        self.written = 0
        self._crc = 0
        self._step = step
        self._filled = 0
        self.spoiled = False
        self._dirty = False
        self._frames: list[tuple[int, int]] = []

    @property
    def unsynced(self) -> int:
        """Entries written and not yet synced."""
        return len(self._frames)

    def write(self, frames: list[tuple[int, bytes]], chain: bytes) -> None:
        """Write (seq, frame) pairs; `OSError`: none of them is there, and all before stand as they were."""
        if self._dirty:
            disk.cut(self._descriptor, self.written)
            self._dirty = False
        content = b"".join(frame for _, frame in frames)
        try:
            self._fill(self.written + len(content))
            disk.write_all(self._descriptor, content, self.written)
        except OSError:
            self._dirty, self._filled = True, 0
            with contextlib.suppress(OSError):
                disk.cut(self._descriptor, self.written)
                self._dirty = False
            raise
        for seq, frame in frames:
            self._frames.append((seq, self.written))
            self.written += len(frame)
        self._crc = zlib.crc32(content, self._crc)
        self.head, self.chain = frames[-1][0], chain

    def _fill(self, end: int) -> None:
        """Have zeros ready beyond `end`. Where there is no room for them the frames are written all the same."""
        start = max(self._filled, self.written)
        if end > start:
            with contextlib.suppress(OSError):
                disk.write_all(self._descriptor, bytes(end + self._step - start), start)
                self._filled = end + self._step

    def sync(self) -> None:
        """Make what was written durable. `OSError`: it is lost, and so is this file for further writing."""
        try:
            disk.sync(self._descriptor)
        except OSError:
            self.spoiled = True
            with contextlib.suppress(OSError):
                disk.cut(self._descriptor, self.segment.size)
            self._frames.clear()
            raise

    def commit(self) -> list[int]:
        """Show what is durable in `segment`; return the numbers. Call with the journal's lock held."""
        numbers = [seq for seq, _ in self._frames]
        for seq, offset in self._frames:
            self.segment.add(seq, offset)
        self._frames.clear()
        self.segment.last, self.segment.size, self.segment.chain = self.head, self.written, self.chain
        return numbers

    def close(self) -> None:
        """Seal and close; a seal that fails only makes the next open slower.

        Where reading met damage there is no seal: what is missing is for the next open's own scan to say.
        """
        try:
            if not self.spoiled and not self._frames and self.segment.size and not self.segment.gaps:
                with contextlib.suppress(OSError):
                    seal_in_place(self.segment, self._descriptor, crc=self._crc)
        finally:
            os.close(self._descriptor)
