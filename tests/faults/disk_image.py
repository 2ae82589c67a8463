"""A disk whose power can be cut: ext4 in a loop-mounted image, read as a card would be after the cut.

What is in the page cache of that file system and not synced is not in the image. A cut happens in one instant, a copy
does not: the writer is stopped at a random moment, and the image is read until two readings agree.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools import find_tool

_IMAGE_BYTES = 24 * 1024 * 1024


def make_disk(image: Path) -> None:
    """An empty ext4."""
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    _run(find_tool("mkfs.ext4"), "-q", "-F", str(image))


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """The disk in `image`, at `folder`."""
    folder.mkdir(exist_ok=True)
    _run(find_tool("mount"), "-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        _run(find_tool("umount"), str(folder))


def copy_as_cut(image: Path, copy: Path) -> None:
    """Copy as at one instant: the kernel may still be writing what a sync had asked for."""
    content = image.read_bytes()
    while (again := image.read_bytes()) != content:
        content = again
    copy.write_bytes(content)


def repair(copy: Path) -> None:
    """What a box does to its card at the next start."""
    checked = subprocess.run([find_tool("e2fsck"), "-fy", str(copy)], check=False, capture_output=True, text=True)
    assert checked.returncode in {0, 1}, checked.stdout


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
