"""The few system calls the journal makes, so that a test can make any of them fail.

Reading goes round bad blocks: what the card cannot give comes back as zeros and is then found to be no frame. What the
process or the machine is short of says nothing about the card, and is raised.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from bus.files import is_shortage, sync_folder

_BLOCK: Final = 4096


def create(path: Path) -> int:
    """A new, empty file; its name is durable on return."""
    with contextlib.suppress(FileNotFoundError):
        # Left by a creation that failed half-way: nothing in it was ever told to anyone.
        path.unlink()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        sync_folder(path.parent)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_all(descriptor: int, content: bytes, offset: int) -> None:
    """Write all of it there; a short write goes on where it stopped."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        if not written:
            raise OSError("write took no bytes")
        view = view[written:]
        offset += written


def sync(descriptor: int) -> None:
    """Make the file's bytes durable."""
    os.fdatasync(descriptor)


def cut(descriptor: int, size: int) -> None:
    """Cut the file back to `size` bytes."""
    os.ftruncate(descriptor, size)


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Up to `size` bytes, short only at the end of the file; unreadable blocks are zeros. `OSError`: a shortage."""
    parts: list[bytes] = []
    while size > 0:
        try:
            part = os.pread(descriptor, size, offset)
        except OSError as error:
            if is_shortage(error):
                raise
            part = _read_block(descriptor, offset, size)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_block(descriptor: int, offset: int, size: int) -> bytes:
    want = min(size, _BLOCK - offset % _BLOCK)
    try:
        return os.pread(descriptor, want, offset)
    except OSError as error:
        if is_shortage(error):
            raise
        return bytes(min(want, max(0, os.fstat(descriptor).st_size - offset)))
