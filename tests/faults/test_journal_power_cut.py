"""Power cuts without hardware: ext4 in a loop-mounted image, copied while a writer runs.

The copy is what a card would hold: what is in the page cache of that file system and not synced is not in the image.
Copying takes a moment in which the file system may reclaim part of its own log, which a cut in one instant cannot show:
such a copy is thrown away (the log's superblock tells) and made again.
"""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.evidence import rounds
from tests.faults.acknowledged import Writer, acknowledged, compare, held_texts
from tests.tools import find_tool

pytestmark = pytest.mark.prove

_IMAGE_BYTES = 24 * 1024 * 1024
_BLOCK = 1024


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def _mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    _run(find_tool("mount"), "-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        _run(find_tool("umount"), str(folder))


def _log_superblock(image: Path) -> int:
    """Offset of the file system's own log in the image."""
    return int(_run(find_tool("debugfs"), "-R", "bmap <8> 0", str(image)).split()[-1]) * _BLOCK


def _copy(image: Path, copy: Path, log_at: int) -> bool:
    """Copy as at one instant; False where the log was reclaimed meanwhile."""

    def tail() -> bytes:
        with image.open("rb") as file:
            file.seek(log_at)
            return file.read(_BLOCK)

    before = tail()
    copy.write_bytes(image.read_bytes())
    return tail() == before


def _cut(folder: Path, chance: random.Random, name: str) -> tuple[int, int]:
    """One cut: returns how many records were acknowledged and how many held."""
    image, copy = folder / "image", folder / "copy"
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    _run(find_tool("mkfs.ext4"), "-q", "-F", "-b", str(_BLOCK), "-J", "size=8", str(image))
    log_at = _log_superblock(image)
    with _mounted(image, folder / "disk") as disk:
        writer = Writer(disk / "journal", name, pause_ms=chance.choice([0, 1, 3]))
        writer.read_lines(2)
        writer.drain_for(chance.random() * 0.25)
        said = writer.said_so_far()
        while not _copy(image, copy, log_at):
            writer.drain_for(0.02)
            said = writer.said_so_far()
        after = writer.kill()
    checked = subprocess.run([find_tool("e2fsck"), "-fy", str(copy)], check=False, capture_output=True, text=True)
    assert checked.returncode in {0, 1}, checked.stdout
    with _mounted(copy, folder / "restored") as restored:
        held = held_texts(restored / "journal")
        assert held_texts(restored / "journal") == held
    missing = set(acknowledged(said)) - set(held)
    assert not missing, f"acknowledged before the cut and gone: {sorted(missing)[:5]}"
    # Beyond what was said before the cut, only what was being written during the copy may be there, once.
    compare(held, [text for text in acknowledged(after) if text in set(held)], threads=4)
    return len(acknowledged(said)), len(held)


def test_power_cuts(tmp_path: Path, evidence: Callable[[str], None]) -> None:
    chance = random.Random(11)
    images = rounds(small=4, full=200)
    told = 0
    for number in range(images):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        told += _cut(folder, chance, f"cut{number}")[0]
        shutil.rmtree(folder)
    evidence(f"journal: {images} power-cut images, {told} records acknowledged before the cut: 0 lost, 0 doubled")


def test_the_method_sees_a_writer_that_does_not_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cut against a writer whose fdatasync does nothing: the images do show what a cut takes."""
    monkeypatch.setenv("JOURNAL_WRITER_SYNCS", "no")
    with pytest.raises(AssertionError):
        _cut(tmp_path, random.Random(1), "careless")
