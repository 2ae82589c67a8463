"""The journal's promises, one by one, on a real disk."""

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from bus.clock import Quality
from bus.config import JournalConfig
from bus.entries import EventNoted, JournalOpened
from bus.errors import UnavailableError, WrongInputError
from bus.journal import Key
from bus.messages import Entry, Lost
from tests.bus.journal_kit import (
    T0_MS,
    FakeClock,
    add,
    block,
    note,
    open_journal,
    read_all,
    receipt,
    segments_of,
    texts,
    walk_chain,
)


def test_an_epoch_opens_with_its_own_record_and_the_chain_runs_through_all(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert journal.epochs() == [], "nothing is written before the first append"
    (key,) = add(journal, "one")
    assert key.seq == 2
    journal.close()
    journal = open_journal(tmp_path)
    (later,) = add(journal, "two")
    assert later.epoch != key.epoch
    first = read_all(journal, key.epoch, "record")
    opened = msgspec.json.decode(read_all(journal, later.epoch, "record")[1], type=Entry)
    assert opened.kind == "journal.opened"
    data = msgspec.json.decode(opened.data, type=JournalOpened)
    assert (data.reason, data.previous_epoch, data.previous_head) == ("start", key.epoch, len(first))
    walk_chain(journal)
    journal.close()


def test_entries_read_back_byte_for_byte_across_segments_and_opens(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=1024)
    add(journal, *(f"text {number}" for number in range(200)))
    epoch = journal.epoch
    before = read_all(journal, epoch, "record")
    assert len(segments_of(tmp_path)) > 10
    journal.close()
    journal = open_journal(tmp_path, segment_bytes=1024)
    assert read_all(journal, epoch, "record", max_count=64) == before
    assert texts(journal) == [f"text {number}" for number in range(200)]
    walk_chain(journal)
    journal.close()


def test_a_chunk_keeps_to_its_limits_and_starts_anywhere(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segment_bytes=2048)
    add(journal, *("x" * 100 for _ in range(50)))
    everything = read_all(journal, journal.epoch, "record")
    for first in (1, 2, 17, 51):
        chunk = journal.read(journal.epoch, "record", first, max_count=5, max_bytes=600)
        assert chunk.first == first
        assert chunk.entries
        assert sum(map(len, chunk.entries)) <= 600
        assert chunk.entries == [everything[first + offset] for offset in range(len(chunk.entries))]
    assert len(journal.read(journal.epoch, "record", 3, max_count=9, max_bytes=1).entries) == 1
    assert journal.read(journal.epoch, "record", 52, max_count=9, max_bytes=999).entries == []
    assert journal.read("0" * 16, "record", 1, max_count=9, max_bytes=999).entries == []
    journal.close()


def test_nothing_shows_before_it_is_durable(tmp_path: Path) -> None:
    heard: list[Key] = []
    journal = open_journal(tmp_path, on_durable=heard.append)
    key = journal.append(block(1.0)).result(10)
    assert journal.durable_head(key.epoch, "sample") == 0
    assert journal.epochs() == []
    assert journal.read(key.epoch, "sample", 1, max_count=1, max_bytes=1).entries == []
    journal.flush().result(10)
    assert heard == [key]
    assert journal.durable_head(key.epoch, "sample") == 1
    assert len(read_all(journal, key.epoch, "sample")) == 1
    (record,) = add(journal, "x")
    journal.flush().result(10)
    assert heard[1:] == [Key(record.epoch, "record", 1), record]
    journal.close()


def test_a_listener_that_fails_does_not_stop_the_writing(tmp_path: Path) -> None:
    def fail(_: Key) -> None:
        raise RuntimeError("loop is closed")

    journal = open_journal(tmp_path, on_durable=fail)
    add(journal, "one")
    add(journal, "two")
    assert journal.healthy
    journal.close()


def test_callers_share_a_sync(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)

    def press(name: int) -> None:
        for number in range(50):
            add(journal, f"{name}-{number}")

    threads = [threading.Thread(target=press, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = texts(journal)
    assert len(found) == 400
    for name in range(8):
        mine = [text for text in found if text.startswith(f"{name}-")]
        assert mine == [f"{name}-{number}" for number in range(50)], "a caller's order is the journal's"
    assert journal.counters().syncs < 400
    journal.close()


async def test_record_for_asyncio(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    keys = await asyncio.gather(*(journal.record(note(str(number))) for number in range(20)))
    assert sorted(key.seq for key in keys) == list(range(2, 22))
    journal.close()


def test_a_second_process_is_kept_out_and_let_in_afterwards(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with pytest.raises(UnavailableError, match="in use by another process"):
        open_journal(tmp_path)
    journal.close()
    open_journal(tmp_path).close()


def test_after_close_the_caller_is_told(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    future = journal.append(note("last"))
    journal.close()
    assert future.result(0).seq == 2, "what was pending is written"
    with pytest.raises(UnavailableError, match="closed"):
        journal.append(note("late")).result(1)
    journal.close()


def test_an_oversized_entry_is_refused_at_once(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with pytest.raises(WrongInputError, match="split it"):
        journal.append(note("x" * 200_000))
    assert journal.epochs() == []
    journal.close()


def test_receipts_are_kept_over_a_restart(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, consumers=("hub", "site"))
    add(journal, *"abcdef")
    epoch = journal.epoch
    effect = journal.take_receipt(receipt(epoch, (1, 3), (5, 6)))
    assert (effect.verdict, effect.newly, effect.again) == ("taken", 5, ())
    journal.take_receipt(receipt(epoch, (1, 1), consumer="site"))
    assert (journal.waiting("hub"), journal.waiting("site")) == (2, 6)
    journal.close()
    journal = open_journal(tmp_path, consumers=("hub", "site"))
    (view,) = journal.epochs()
    assert view.stored == {"hub": [(1, 3), (5, 6)], "site": [(1, 1)]}
    assert len(read_all(journal, epoch, "record")) == 7, "a receipt alone removes nothing"
    journal.close()


def test_within_a_run_an_older_receipt_changes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    add(journal, *"abcdef")
    epoch = journal.epoch
    journal.take_receipt(receipt(epoch, (1, 5), at_ms=T0_MS + 10))
    assert journal.take_receipt(receipt(epoch, (1, 2), at_ms=T0_MS + 5)).verdict == "stale"
    assert journal.epochs()[0].stored["hub"] == [(1, 5)]
    assert journal.counters().stale_receipts == 1
    journal.close()


def test_a_hub_restored_from_yesterday_is_offered_the_rest_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    add(journal, *"abcdef")
    epoch = journal.epoch
    journal.take_receipt(receipt(epoch, (1, 7), run="today", at_ms=T0_MS))
    effect = journal.take_receipt(receipt(epoch, (1, 3), run="restored", at_ms=T0_MS + 1))
    assert (effect.verdict, effect.again) == ("taken", ((4, 7),))
    assert journal.waiting("hub") == 4
    assert journal.take_receipt(receipt(epoch, (1, 7), run="today", at_ms=T0_MS + 2)).verdict == "stale"
    assert journal.take_receipt(receipt(epoch, (1, 7), run="withheld", at_ms=T0_MS - 1)).verdict == "stale"
    assert journal.waiting("hub") == 4
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.take_receipt(receipt(epoch, (1, 7), run="today", at_ms=T0_MS + 9)).verdict == "stale"
    assert journal.waiting("hub") == 4
    journal.close()


def test_a_hub_whose_clock_was_years_ahead_is_believed_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    add(journal, "a")
    journal.take_receipt(receipt(journal.epoch, (1, 1), run="ahead", at_ms=T0_MS + 10**11))
    assert journal.take_receipt(receipt(journal.epoch, (1, 2), run="set right", at_ms=T0_MS)).verdict == "taken"
    assert journal.waiting("hub") == 0
    journal.close()


def test_a_receipt_above_our_head_starts_an_epoch(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    (key,) = add(journal, "a")
    effect = journal.take_receipt(receipt(key.epoch, (1, 9)))
    assert effect.verdict == "above-head"
    (later,) = add(journal, "b")
    assert later.epoch != key.epoch
    opened = msgspec.json.decode(read_all(journal, later.epoch, "record")[1], type=Entry)
    assert msgspec.json.decode(opened.data, type=JournalOpened).reason == "receipt-above-head"
    walk_chain(journal)
    journal.close()


def test_an_entry_in_conflict_comes_again_under_another_epoch_once(tmp_path: Path) -> None:
    clock = FakeClock()
    journal = open_journal(tmp_path, clock)
    _, key, _ = add(journal, "a", "b", "c")
    original = msgspec.json.decode(read_all(journal, key.epoch, "record")[key.seq], type=Entry)
    clock.days(1)
    said = receipt(key.epoch, (1, 4), conflicts=(key.seq,))
    assert journal.take_receipt(said).moved == ((key.seq, key.seq),)
    journal.flush().result(10)
    assert journal.take_receipt(said).moved == ()
    journal.close()
    journal = open_journal(tmp_path, clock)
    assert journal.take_receipt(receipt(key.epoch, (1, 4), conflicts=(key.seq,), at_ms=T0_MS + 1)).moved == ()
    old, new = journal.epochs()
    assert old.stored["hub"] == [(1, 4)]
    again = [msgspec.json.decode(raw, type=Entry) for raw in read_all(journal, new.epoch, "record").values()]
    assert [entry.kind for entry in again] == ["journal.opened", "event.noted"]
    assert (again[1].at, bytes(again[1].data)) == (original.at, bytes(original.data))
    assert journal.epochs()[0].epoch == key.epoch != new.epoch
    journal.close()


def _age(journal_folder: Path, clock: FakeClock, **options: object) -> None:
    """Ageing runs when the journal opens and each minute: open it, let it run, close it."""
    journal = open_journal(journal_folder, clock, **options)  # type: ignore[arg-type] # passed on as they came
    journal.flush().result(10)
    journal.close()


def test_a_record_stays_its_days_beyond_the_hubs_receipt_and_then_goes(tmp_path: Path) -> None:
    clock = FakeClock()
    journal = open_journal(tmp_path, clock)
    add(journal, *(str(number) for number in range(100)))
    epoch = journal.epoch
    clock.days(60)
    journal.take_receipt(receipt(epoch, (1, 100)))
    journal.close()
    _age(tmp_path, clock)
    clock.days(29.9)
    _age(tmp_path, clock)
    journal = open_journal(tmp_path, clock)
    assert len(read_all(journal, epoch, "record")) == 101
    journal.close()
    clock.quality = Quality.UNKNOWN
    clock.days(1)
    _age(tmp_path, clock)
    clock.quality = Quality.TRUSTED
    assert len(segments_of(tmp_path)) >= 5, "an unknown clock ages nothing"
    _age(tmp_path, clock)
    journal = open_journal(tmp_path, clock)
    (view,) = journal.epochs()
    assert view.first_held > 50
    assert 101 in read_all(journal, epoch, "record"), "the one without a receipt is kept with what stands in its file"
    assert view.lost == []
    assert view.head == 101
    journal.close()


def test_a_missing_second_consumer_keeps_records_beyond_their_days_and_gives_way_for_room(tmp_path: Path) -> None:
    clock = FakeClock()
    config = JournalConfig(record_mib=1)
    options = {"config": config, "consumers": ("hub", "site"), "segment_bytes": 65_536}
    journal = open_journal(tmp_path, clock, config=config, consumers=("hub", "site"), segment_bytes=65_536)
    add(journal, *("x" * 1000 for _ in range(500)))
    epoch = journal.epoch
    journal.take_receipt(receipt(epoch, (1, 501)))
    journal.close()
    _age(tmp_path, clock, **options)
    clock.days(40)
    _age(tmp_path, clock, **options)
    journal = open_journal(tmp_path, clock, config=config, consumers=("hub", "site"), segment_bytes=65_536)
    assert len(read_all(journal, epoch, "record")) == 501
    add(journal, *("y" * 1000 for _ in range(500)))
    assert journal.counters().dropped_unread > 0
    assert journal.used_bytes("record") <= 1024 * 1024
    lost = journal.epochs()[0].lost
    assert not lost or lost[0].reason == "damaged"
    journal.close()


def test_a_full_journal_refuses_records_and_never_drops_one_without_receipt(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, config=JournalConfig(record_mib=1), segment_bytes=65_536)
    kept = []

    def fill() -> None:
        for number in range(2000):
            kept.extend(add(journal, f"{number} " + "x" * 1000))

    with pytest.raises(UnavailableError, match="1 MiB of records wait for the hub's receipt"):
        fill()
    assert 500 < len(kept) < 1000
    assert [text.split()[0] for text in texts(journal)] == [str(number) for number in range(len(kept))]
    assert journal.append(block(1.0)).result(10).seq == 1, "samples have room of their own"
    journal.take_receipt(receipt(journal.epoch, (1, 200)))
    add(journal, "goes on")
    assert texts(journal)[-1] == "goes on"
    assert journal.counters().dropped > 50
    assert journal.epochs()[0].lost == []
    journal.close()


def test_the_oldest_samples_are_shed_counted_and_told(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, config=JournalConfig(sample_mib=1), segment_bytes=65_536)
    for number in range(40):
        for future in [journal.append(block(float(number))) for _ in range(200)]:
            future.result(10)
        journal.flush().result(10)
        if number == 5:
            journal.take_receipt(receipt(journal.epoch, (1, 100), klass="sample"))
    (view,) = journal.epochs()
    assert view.head == 8000
    assert view.lost == [Lost(101, view.first_held - 1, "shed")], "what the hub holds is not lost"
    assert journal.counters().shed == view.first_held - 1 - 100
    assert journal.used_bytes("sample") <= 1024 * 1024
    held = read_all(journal, view.epoch, "sample", max_count=500)
    assert list(held) == list(range(view.first_held, 8001))
    journal.close()
    journal = open_journal(tmp_path, config=JournalConfig(sample_mib=1), segment_bytes=65_536)
    assert journal.epochs()[0].lost == view.lost
    assert journal.counters().damaged == 0
    journal.close()


def test_epochs_of_a_part_that_starts_over_and_over_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.journal.keeper.EPOCHS_LIMIT", 5)
    clock = FakeClock()
    for number in range(12):
        journal = open_journal(tmp_path, clock)
        add(journal, str(number))
        if number != 3:
            journal.take_receipt(receipt(journal.epoch, (1, 2), at_ms=T0_MS + number))
        journal.close()
    _age(tmp_path, clock)
    journal = open_journal(tmp_path, clock)
    assert texts(journal) == ["3", "7", "8", "9", "10", "11"]
    assert len(journal.epochs()) == 6
    journal.close()


def test_cancelled_before_it_is_taken_an_append_leaves_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    kept, cancelled = [], 0
    for number in range(300):
        future = journal.append(EventNoted("test", str(number)))
        if future.cancel():
            cancelled += 1
        else:
            kept.append(str(number))
    journal.flush().result(10)
    assert texts(journal) == kept
    assert len(kept) + cancelled == 300
    journal.close()
