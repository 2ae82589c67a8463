"""A copy of a journal that wrote under the same numbers: nothing of ours is let go for the copy's sake."""

import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from bus.entries import EventNoted
from bus.errors import UnavailableError
from bus.journal import Journal, disk
from bus.journal import mover as journal_mover
from bus.messages import Entry
from bus.ranges import count
from tests.bus.journal_kit import T0_MS, add, block, open_journal, read_all, receipt, walk_chain


def settled(journal: Journal) -> None:
    """Wait until nothing is being moved any more."""
    before = -1
    while (now := journal.counters().reappended) != before:
        before = now
        journal.flush().result(10)


def texts_of(journal: Journal, epoch: str) -> list[str]:
    entries = [msgspec.json.decode(raw, type=Entry) for raw in read_all(journal, epoch, "record").values()]
    return [msgspec.json.decode(one.data, type=EventNoted).detail for one in entries if one.kind == "event.noted"]


def texts_elsewhere(journal: Journal, epoch: str) -> list[str]:
    views = [view for view in journal.epochs() if view.klass == "record" and view.epoch != epoch]
    return [text for view in views for text in texts_of(journal, view.epoch)]


def test_above_our_head_what_was_not_receipted_before_is_appended_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    add(journal, *"abcde")
    epoch = journal.epoch
    assert journal.take_receipt(receipt(epoch, (1, 3))).verdict == "taken"
    effect = journal.take_receipt(receipt(epoch, (1, 9), at_ms=T0_MS + 1))
    assert (effect.verdict, effect.newly, effect.moved) == ("above-head", 0, ((4, 6),))
    settled(journal)
    assert texts_elsewhere(journal, epoch) == list("cde")
    assert journal.waiting("hub") == 4, "the three, and the new epoch's first record"
    assert journal.take_receipt(receipt(epoch, (1, 9), at_ms=T0_MS + 2)).moved == ()
    walk_chain(journal)
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.take_receipt(receipt(epoch, (1, 9), at_ms=T0_MS + 3)).moved == ()
    assert texts_elsewhere(journal, epoch) == list("cde")
    journal.close()


def test_a_receipt_for_what_was_never_sent_is_a_copys(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    add(journal, *"abcde")
    journal.append(block(1.0)).result(10)
    journal.flush().result(10)
    epoch = journal.epoch
    assert journal.take_receipt(receipt(epoch, (1, 3)), sent=3).verdict == "taken"
    effect = journal.take_receipt(receipt(epoch, (1, 5), at_ms=T0_MS + 1), sent=4)
    assert (effect.verdict, effect.moved) == ("above-head", ((4, 6),))
    settled(journal)
    assert texts_elsewhere(journal, epoch) == list("cde")
    samples = [view for view in journal.epochs() if view.klass == "sample"]
    assert [(view.epoch == epoch, view.head) for view in samples] == [(True, 1), (False, 1)]
    journal.close()


def test_what_is_left_when_the_process_ends_is_moved_after_the_next_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_mover, "AT_ONCE", 5)
    journal = open_journal(tmp_path)
    texts = [str(number) for number in range(200)]
    add(journal, *texts)
    epoch = journal.epoch
    assert journal.take_receipt(receipt(epoch, (1, 300))).verdict == "above-head"
    journal.close()
    journal = open_journal(tmp_path)
    moved = journal.counters().reappended
    effect = journal.take_receipt(receipt(epoch, (1, 300), at_ms=T0_MS + 1))
    assert effect.verdict == "taken"
    assert 0 < count(effect.moved) < 200, "some were moved before the end"
    settled(journal)
    assert texts_elsewhere(journal, epoch) == texts
    assert journal.counters().reappended - moved == count(effect.moved)
    journal.close()


def test_a_restored_image_is_no_copy_in_its_old_epochs(tmp_path: Path) -> None:
    """An epoch that was closed before the copy was taken holds the same at both: its receipts count."""
    journal = open_journal(tmp_path / "one")
    add(journal, *"abc")
    epoch = journal.epoch
    journal.flush().result(10)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    add(journal, *"defgh")
    journal.close()
    restored = open_journal(tmp_path / "two")
    add(restored, "x")
    effect = restored.take_receipt(receipt(epoch, (1, 9)), sent=0)
    assert (effect.verdict, effect.newly, effect.moved) == ("taken", 4, ())
    restored.close()


def test_thousands_of_conflicts_are_appended_again_each_once_and_presses_go_between(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=65_536)
    written = [journal.append(EventNoted("test", str(number))) for number in range(4_000)]
    epoch = written[-1].result(30).epoch
    head = journal.durable_head(epoch, "record")
    said = receipt(epoch, (1, head), conflicts=tuple(range(1, head + 1, 2)))
    everything = receipt(epoch, (1, head), conflicts=tuple(range(1, head + 1)), at_ms=T0_MS + 1)
    moved = journal.take_receipt(said, sent=head).moved
    assert count(moved) == head // 2 + 1
    assert journal.take_receipt(said, sent=head).moved == (), "they are under way"
    presses = [f"press {number}" for number in range(20)]
    pressing = threading.Thread(target=add, args=(journal, *presses))
    pressing.start()
    assert count(journal.take_receipt(everything, sent=head).moved) == head // 2
    pressing.join()
    settled(journal)
    assert journal.take_receipt(everything, sent=head).moved == ()
    assert sorted(texts_elsewhere(journal, epoch)) == sorted([*map(str, range(4_000)), *presses])
    assert journal.counters().reappended == head
    (old,) = [view for view in journal.epochs() if view.epoch == epoch]
    assert old.stored["hub"] == [(1, head)]
    journal.close()
    journal = open_journal(tmp_path, segment_bytes=65_536)
    assert journal.take_receipt(receipt(epoch, (1, head), conflicts=(1, 2, 3, head), at_ms=T0_MS + 2)).moved == ()
    assert len(texts_elsewhere(journal, epoch)) == 4_020
    journal.close()


def test_a_verdict_whose_receipt_was_lost_is_heard_with_the_next(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    add(journal, *map(str, range(300)))
    epoch = journal.epoch
    # The receipt with the verdicts was lost. The next answers another batch, and names every conflict all the same.
    effect = journal.take_receipt(receipt(epoch, (1, 301), conflicts=tuple(range(2, 302))), sent=301)
    assert (effect.verdict, effect.newly, effect.moved) == ("taken", 301, ((2, 301),))
    assert journal.waiting("hub") >= 300
    settled(journal)
    assert texts_elsewhere(journal, epoch) == [str(number) for number in range(300)]
    journal.close()


def test_a_disk_that_refuses_moves_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path)
    add(journal, *map(str, range(50)))
    epoch = journal.epoch

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write_all", full)
    assert journal.take_receipt(receipt(epoch, (1, 90))).moved == ((1, 51),)
    with pytest.raises(UnavailableError):
        add(journal, "press")
    assert texts_elsewhere(journal, epoch) == []
    assert journal.waiting("hub") == 50
    monkeypatch.undo()
    assert journal.take_receipt(receipt(epoch, (1, 90), at_ms=T0_MS + 1)).moved == ((2, 51),)
    settled(journal)
    assert texts_elsewhere(journal, epoch) == [str(number) for number in range(50)]
    journal.close()
