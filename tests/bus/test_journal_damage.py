"""Whatever happens to the files, the journal opens by itself and loses only what is damaged, which it says."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bus.entries import JournalOpened
from bus.journal import Journal, frame
from bus.messages import Entry
from tests.bus.journal_kit import FakeClock, add, block, note, open_journal, read_all, receipt, segments_of, texts

Contents = dict[str, dict[int, bytes]]


def _contents(journal: Journal) -> Contents:
    return {view.epoch: read_all(journal, view.epoch, "record") for view in journal.epochs() if view.klass == "record"}


def _filled(folder: Path, *, count: int = 120, closed: bool = True) -> Contents:
    journal = open_journal(folder, segment_bytes=4096)
    add(journal, *(f"text {number} " + "x" * (number % 90) for number in range(count)))
    journal.flush().result(10)
    contents = _contents(journal)
    if closed:
        journal.close()
    else:
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy)
        journal.close()
        shutil.rmtree(folder)
        copy.rename(folder)
    return contents


def _check(folder: Path, before: Contents) -> dict[str, set[int]]:
    """Open, hold against what was there, append, and hold against it again. Returns what is missing, by epoch."""
    missing: dict[str, set[int]] = {}
    for _ in range(2):
        journal = open_journal(folder, segment_bytes=4096)
        after = _contents(journal)
        views = {view.epoch: view for view in journal.epochs() if view.klass == "record"}
        for epoch, entries in before.items():
            held = after.get(epoch, {})
            assert set(held) <= set(entries), "an entry appeared that nobody wrote"
            assert all(held[seq] == entries[seq] for seq in held), "an entry reads otherwise than it was written"
            gone = set(entries) - set(held)
            lost = views[epoch].lost if epoch in views else []
            assert all(span.reason == "damaged" for span in lost)
            told = {seq for span in lost for seq in range(span.first, span.last + 1)}
            assert gone == told, "what is missing and what is told as lost differ"
            missing[epoch] = gone
        (key,) = add(journal, "after the damage")
        assert key.epoch not in before
        assert texts(journal)[-1] == "after the damage"
        journal.close()
    return missing


def _flip(path: Path, position: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("closed", [True, False], ids=["sealed", "killed"])
@pytest.mark.parametrize("seed", range(25))
def test_random_bit_flips(tmp_path: Path, seed: int, closed: bool) -> None:
    folder = tmp_path / "journal"
    before = _filled(folder, closed=closed)
    chance = random.Random(seed)
    flips = chance.choice([1, 1, 3, 10])
    for _ in range(flips):
        path = chance.choice(segments_of(folder))
        _flip(path, chance.randrange(path.stat().st_size), chance.randrange(8))
    missing = _check(folder, before)
    assert sum(map(len, missing.values())) <= flips, "a flipped bit costs one entry at most"


@pytest.mark.parametrize("closed", [True, False], ids=["sealed", "killed"])
@pytest.mark.parametrize("seed", range(15))
def test_truncated_files(tmp_path: Path, seed: int, closed: bool) -> None:
    folder = tmp_path / "journal"
    before = _filled(folder, closed=closed)
    chance = random.Random(seed)
    path = chance.choice(segments_of(folder))
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])
    _check(folder, before)


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _garble(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def _rename(path: Path) -> None:
    path.rename(path.with_name("lost+found.bin"))


@pytest.mark.parametrize("harm", [_remove, _empty, _zero, _garble, _rename])
@pytest.mark.parametrize("which", [0, 1, -2, -1])
def test_a_whole_file_harmed(tmp_path: Path, which: int, harm: Callable[[Path], None]) -> None:
    folder = tmp_path / "journal"
    before = _filled(folder)
    harm(segments_of(folder)[which])
    missing = _check(folder, before)
    assert all(missing.values())


def test_every_file_gone(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    before = _filled(folder)
    for path in segments_of(folder):
        path.unlink()
    _check(folder, before)


def test_notes_harmed_cost_only_offers(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = open_journal(folder)
    add(journal, *"abcdef")
    epoch = journal.epoch
    journal.take_receipt(receipt(epoch, (1, 4)))
    journal.flush().result(10)
    journal.take_receipt(receipt(epoch, (1, 7), at_ms=receipt(epoch).at_ms + 1))
    journal.close()
    newest = next(path for path in folder.glob("memory-*.json") if b"[1,7]" in path.read_bytes())
    _flip(newest, 30, 3)
    journal = open_journal(folder)
    assert journal.epochs()[0].stored["hub"] == [(1, 4)], "the generation before"
    journal.close()
    for path in folder.glob("memory-*.json"):
        path.write_bytes(b"\0" * 100)
    journal = open_journal(folder)
    assert journal.waiting("hub") == 7
    assert journal.epochs()[0].lost == []
    journal.close()


def test_garbage_beside_is_set_aside_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    before = _filled(folder)
    (folder / "segments" / "core.1234").write_bytes(b"?" * 5000)
    (folder / "segments" / "half.part").write_bytes(b"?")
    (folder / "segments" / "a folder").mkdir()
    journal = open_journal(folder)
    assert journal.counters().quarantined_bytes == 5000
    assert journal.counters().damaged == 0
    assert (folder / "quarantine" / "core.1234").read_bytes() == b"?" * 5000
    assert _contents(journal) == before
    journal.close()


def test_the_quarantine_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.journal.quarantine.BYTES_LIMIT", 20_000)
    monkeypatch.setattr("bus.journal.quarantine.FILES_LIMIT", 5)
    folder = tmp_path / "journal"
    _filled(folder)
    for number in range(30):
        (folder / "segments" / f"garbage-{number:02}").write_bytes(b"?" * 3000)
    journal = open_journal(folder)
    assert journal.counters().quarantined_bytes == 90_000
    kept = list((folder / "quarantine").iterdir())
    assert 1 <= len(kept) <= 5
    assert (folder / "quarantine" / "garbage-29").exists(), "the newest stay"
    journal.close()


def test_damage_is_counted_once_and_the_next_epoch_says_repair(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    _filled(folder)
    _flip(segments_of(folder)[1], 100, 0)
    journal = open_journal(folder)
    assert journal.counters().damaged == 1
    assert journal.counters().quarantined_bytes > 0
    (key,) = add(journal, "x")
    opened = msgspec.json.decode(read_all(journal, key.epoch, "record")[1], type=Entry)
    assert msgspec.json.decode(opened.data, type=JournalOpened).reason == "repair"
    journal.close()
    journal = open_journal(folder)
    assert journal.counters().damaged == 0
    (key,) = add(journal, "x")
    opened = msgspec.json.decode(read_all(journal, key.epoch, "record")[1], type=Entry)
    assert msgspec.json.decode(opened.data, type=JournalOpened).reason == "start"
    journal.close()


@pytest.mark.parametrize("which", [0, -1], ids=["sealed", "growing"])
def test_damage_met_while_running(tmp_path: Path, which: int) -> None:
    journal = open_journal(tmp_path, segment_bytes=4096)
    add(journal, *(f"text {number}" for number in range(50)))
    epoch = journal.epoch
    before = read_all(journal, epoch, "record")
    path = segments_of(tmp_path)[which]
    _flip(path, 80, 2)
    after = read_all(journal, epoch, "record")
    (gone,) = set(before) - set(after)
    (span,) = journal.epochs()[0].lost
    assert (span.first, span.last, span.reason) == (gone, gone, "damaged")
    assert journal.counters().damaged == 1
    add(journal, "goes on")
    assert texts(journal)[-1] == "goes on"
    journal.close()
    journal = open_journal(tmp_path, segment_bytes=4096)
    assert set(read_all(journal, epoch, "record")) == set(after) | {52}
    journal.close()


def test_a_file_that_goes_while_running(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=4096)
    add(journal, *(f"text {number}" for number in range(50)))
    epoch = journal.epoch
    segments_of(tmp_path)[1].unlink()
    held = read_all(journal, epoch, "record")
    (span,) = journal.epochs()[0].lost
    assert set(held) == set(range(1, 52)) - set(range(span.first, span.last + 1))
    journal.close()


def test_a_forged_record_is_set_aside(tmp_path: Path) -> None:
    """Somebody edits a rating and makes the checksum fit: the chain tells."""
    folder = tmp_path / "journal"
    before = _filled(folder, closed=False)
    (epoch,) = before
    path = segments_of(folder)[0]
    content = path.read_bytes()
    seed = frame.seed_of(epoch, "record")
    pieces = frame.scan(lambda at, size: content[at : at + size], 0, len(content), seed)
    old = next(piece for piece in pieces if isinstance(piece, frame.Frame) and piece.seq == 5)
    forged = frame.pack(5, old.durable, old.chain, old.entry.replace(b"text", b"TEXT"), seed)
    path.write_bytes(content[: old.offset] + forged + content[old.end :])
    missing = _check(folder, before)
    assert missing[epoch] == {5}
    assert any(b"TEXT" in kept.read_bytes() for kept in (folder / "quarantine").iterdir())


def test_samples_too(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for number in range(60):
        journal.append(block(float(number))).result(10)
        if number % 10 == 0:
            journal.flush().result(10)
    journal.close()
    path = segments_of(tmp_path, "s")[0]
    _flip(path, 400, 1)
    journal = open_journal(tmp_path)
    (view,) = journal.epochs()
    (span,) = view.lost
    assert span.reason == "damaged"
    assert set(read_all(journal, view.epoch, "sample")) == set(range(1, 61)) - {span.first}
    journal.close()


def test_a_receipt_heals_what_damage_took(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    (epoch,) = _filled(folder)
    _flip(segments_of(folder)[1], 100, 0)
    journal = open_journal(folder)
    assert journal.epochs()[0].lost
    journal.take_receipt(receipt(epoch, (1, 121)))
    assert journal.epochs()[0].lost == [], "the hub has it: nothing is lost"
    journal.close()


def test_an_image_restored_from_yesterday_collides_with_nothing(tmp_path: Path) -> None:
    folder, yesterday = tmp_path / "journal", tmp_path / "yesterday"
    journal = open_journal(folder, FakeClock())
    add(journal, "one")
    journal.flush().result(10)
    shutil.copytree(folder, yesterday)
    epoch = journal.epoch
    today = add(journal, "two", "three")
    journal.close()
    restored = open_journal(yesterday, FakeClock())
    keys = add(restored, "TWO", "THREE")
    assert not {key.epoch for key in keys} & {key.epoch for key in today}
    effect = restored.take_receipt(receipt(epoch, (1, 4)))
    assert effect.verdict == "taken"
    assert [view.stored["hub"] for view in restored.epochs()] == [[(1, 2)], []], "today's are not taken for the hub's"
    assert texts(restored) == ["one", "TWO", "THREE"]
    restored.close()


def test_opening_does_not_read_all_that_is_receipted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _filled(tmp_path / "journal")
    journal = open_journal(tmp_path / "journal")
    (epoch,) = before
    journal.take_receipt(receipt(epoch, (1, 121)))
    journal.close()
    monkeypatch.setattr("bus.journal.segment.check_bytes", lambda _: pytest.fail("read a receipted segment whole"))
    journal = open_journal(tmp_path / "journal")
    assert journal.append(note("quick")).result(10).seq == 2
    journal.close()
