"""A cut in the middle of a write or a sync: the card holds any of the sectors that were not synced yet, in no order.

The disk below the journal is recorded; the files are then built as they may stand after the cut, with what was synced
and a random choice of the sectors written since, and opened.
"""

import random
import shutil
from pathlib import Path

import pytest

from bus.journal import disk
from tests.bus.journal_kit import add, note, open_journal, texts, walk_chain
from tests.evidence import rounds

_SECTOR = 512


class RecordedDisk:
    """What is durable of each file that grows, and what was written to it since its last sync."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.durable: dict[Path, bytes] = {}
        self._unsynced: dict[Path, list[tuple[int, bytes]]] = {}
        self._names: dict[int, Path] = {}
        self._create, self._write, self._sync, self._cut = disk.create, disk.write_all, disk.sync, disk.cut
        for name in ("create", "write_all", "sync", "cut"):
            monkeypatch.setattr(disk, name, getattr(self, name))

    def create(self, path: Path) -> int:
        descriptor = self._create(path)
        self._names[descriptor] = path
        self.durable[path] = b""
        self._unsynced[path] = []
        return descriptor

    def write_all(self, descriptor: int, content: bytes, offset: int) -> None:
        self._unsynced[self._names[descriptor]].append((offset, bytes(content)))
        self._write(descriptor, content, offset)

    def sync(self, descriptor: int) -> None:
        self._sync(descriptor)
        path = self._names[descriptor]
        self.durable[path] = path.read_bytes()
        self._unsynced[path].clear()

    def cut(self, descriptor: int, size: int) -> None:
        self._cut(descriptor, size)

    def unsynced(self) -> list[Path]:
        return [path for path, writes in self._unsynced.items() if writes]

    def after_a_cut(self, path: Path, chance: random.Random) -> bytes:
        """The file with some of the sectors that were on their way."""
        content = bytearray(self.durable[path])
        for offset, written in self._unsynced[path]:
            end = offset + len(written)
            for start in range(offset - offset % _SECTOR, end, _SECTOR):
                if chance.random() < 0.5:
                    continue
                first, last = max(start, offset), min(start + _SECTOR, end)
                content.extend(bytes(max(0, last - len(content))))
                content[first:last] = written[first - offset : last - offset]
        return bytes(content)


@pytest.mark.prove
@pytest.mark.parametrize("size", [0, 200, 3000])
def test_a_group_half_on_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A group is written and its sync has not returned; whichever sectors are there, what was told is there too."""
    recorded = RecordedDisk(monkeypatch)
    chance = random.Random(size)
    folder = tmp_path / "journal"
    journal = open_journal(folder, segment_bytes=40_000)
    kept: list[str] = []
    real_sync = recorded.sync
    images: list[tuple[list[str], list[str], dict[Path, bytes]]] = []
    flight: list[str] = []

    def sync(descriptor: int) -> None:
        for _ in range(rounds(small=3, full=40)):
            harmed = {path: recorded.after_a_cut(path, chance) for path in recorded.unsynced()}
            images.append((list(kept), list(flight), {**recorded.durable, **harmed}))
        real_sync(descriptor)

    monkeypatch.setattr(disk, "sync", sync)
    for step in range(25):
        flight[:] = [f"{step}.{number} " + "x" * chance.randrange(size + 1) for number in range(chance.randrange(1, 9))]
        futures = [journal.append(note(text)) for text in flight]
        for future, text in zip(futures, list(flight), strict=True):
            future.result(10)
            kept.append(text)
    monkeypatch.undo()
    journal.close()
    shutil.rmtree(folder)
    for told, in_flight, files in images:
        (folder / "segments").mkdir(parents=True)
        for path, content in files.items():
            path.write_bytes(content)
        _holds(folder, told, in_flight)
        shutil.rmtree(folder)


def _holds(folder: Path, told: list[str], in_flight: list[str]) -> None:
    for _ in range(2):
        journal = open_journal(folder)
        held = texts(journal)
        assert held[: len(told)] == told, "told, and gone"
        assert held[len(told) :] == in_flight[: len(held) - len(told)], "beyond, only the first of those in flight"
        assert journal.counters().damaged == 0, "an unfinished write is no damage"
        assert all(not view.lost for view in journal.epochs())
        walk_chain(journal)
        journal.close()
    journal = open_journal(folder)
    add(journal, "goes on")
    assert texts(journal)[-1] == "goes on"
    journal.close()
