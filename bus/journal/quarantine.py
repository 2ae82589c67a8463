"""Where unreadable bytes go: never dropped unseen, never kept without bound.

Names say which file and offset they came from. The oldest make room for the newest; the counter in the journal counts
them all.
"""

import contextlib
from pathlib import Path
from typing import Final

from bus.files import replace_file

BYTES_LIMIT: Final = 4 * 1024 * 1024
FILES_LIMIT: Final = 256
_PIECE_LIMIT: Final = 1024 * 1024


class Quarantine:
    """The `quarantine` folder of one journal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, content: bytes) -> None:
        """Set `content` aside under `name`, its first MiB at most. `OSError` when the disk takes nothing."""
        self._folder.mkdir(mode=0o750, exist_ok=True)
        self._make_room(min(len(content), _PIECE_LIMIT))
        replace_file(self._folder / name, content[:_PIECE_LIMIT])

    def _make_room(self, size: int) -> None:
        held: list[tuple[int, str, int]] = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                held.append((status.st_mtime_ns, path.name, status.st_size))
        total = sum(entry[2] for entry in held)
        held.sort()
        while held and (total + size > BYTES_LIMIT or len(held) >= FILES_LIMIT):
            _, name, freed = held.pop(0)
            (self._folder / name).unlink()
            total -= freed
