"""Power cuts without hardware: ext4 in a loop-mounted image, copied in the middle of a writer's work.

The copy is what a card would hold: what is in the page cache of that file system and not synced is not in the image. A
cut happens in one instant, a copy does not: so the writer is stopped at a random moment, and the image is read until
two readings agree. What a cut in the middle of a sync leaves is tried sector by sector in
tests/bus/test_journal_torn.py.
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


def _copy(image: Path, copy: Path) -> None:
    """Copy as at one instant: the kernel may still be writing what a sync had asked for."""
    content = image.read_bytes()
    while (again := image.read_bytes()) != content:
        content = again
    copy.write_bytes(content)


def _cut(folder: Path, chance: random.Random, name: str) -> tuple[int, int]:
    """One cut: returns how many records were acknowledged and how many held."""
    image, copy = folder / "image", folder / "copy"
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    _run(find_tool("mkfs.ext4"), "-q", "-F", str(image))
    with _mounted(image, folder / "disk") as disk:
        writer = Writer(disk / "journal", name, pause_ms=chance.choice([0, 1, 3]))
        writer.read_lines(2)
        writer.drain_for(chance.random() * 0.25)
        said = acknowledged(writer.stop())
        _copy(image, copy)
        writer.kill()
    checked = subprocess.run([find_tool("e2fsck"), "-fy", str(copy)], check=False, capture_output=True, text=True)
    assert checked.returncode in {0, 1}, checked.stdout
    with _mounted(copy, folder / "restored") as restored:
        held = held_texts(restored / "journal")
        assert held_texts(restored / "journal") == held
    compare(held, said, threads=4)
    return len(said), len(held)


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
