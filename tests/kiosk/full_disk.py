"""A small file system of its own that can be filled to the last byte."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import pytest

from tests.tools import find_tool


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 2 MiB, in memory, at `folder`."""
    folder.mkdir()
    subprocess.run([find_tool("mount"), "-t", "tmpfs", "-o", "size=2m", "commune-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([find_tool("umount"), "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """No byte is left; returns the file to remove for room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        _write_for_ever(file)
    return ballast


def _write_for_ever(file: FileIO) -> None:
    while True:
        file.write(b"x" * 512)
