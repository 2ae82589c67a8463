"""Power cuts without hardware: the disk of `tests.faults.disk_image`, cut in the middle of a writer's work.

What a cut in the middle of a sync leaves is tried sector by sector in
tests/bus/test_journal_torn.py.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evidence import rounds
from tests.faults.acknowledged import Writer, acknowledged, compare, held_texts
from tests.faults.disk_image import copy_as_cut, make_disk, mounted, repair

pytestmark = pytest.mark.prove


def _cut(folder: Path, chance: random.Random, name: str) -> tuple[int, int]:
    """One cut: returns how many records were acknowledged and how many held."""
    image, copy = folder / "image", folder / "copy"
    make_disk(image)
    with mounted(image, folder / "disk") as disk:
        writer = Writer(disk / "journal", name, pause_ms=chance.choice([0, 1, 3]))
        writer.read_lines(2)
        writer.drain_for(chance.random() * 0.25)
        said = acknowledged(writer.stop())
        copy_as_cut(image, copy)
        writer.kill()
    repair(copy)
    with mounted(copy, folder / "restored") as restored:
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
