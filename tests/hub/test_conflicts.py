"""Entries that two journals claim: none of them is let go by its device before it has heard so."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EventNoted
from bus.journal import Journal
from bus.messages import Batch, Receipt
from bus.ranges import Ranges, covers, union
from hub import quarantine, schema
from hub.live import Live
from hub.metrics import Metrics
from hub.receipts import share
from hub.store import Store
from tests.hub.sender import START_MS, Sender

MANY = 600


def conflicts(receipt: Receipt) -> list[int]:
    return [one.seq for one in receipt.refused if one.verdict == "conflict"]


def asking(sender: Sender, batch: Batch) -> Batch:
    return msgspec.structs.replace(batch, entries=[], chain="")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    def stamp() -> Stamp:
        return Stamp("b" * 32, time.monotonic_ns(), START_MS, Quality.TRUSTED)

    made = Journal(tmp_path / "journal", stamp=stamp, config=JournalConfig())
    yield made
    made.close()


def of_twin(journal: Journal, sender: Sender) -> tuple[Batch, Batch]:
    """What a journal offers, and what a copy of its disk wrote under the same numbers."""
    for written in [journal.append(EventNoted("mine", str(number))) for number in range(MANY)]:
        written.result()
    head = journal.durable_head(journal.epoch, "record")
    chunk = journal.read(journal.epoch, "record", 1, max_count=1_000, max_bytes=1 << 20)
    entries = [msgspec.Raw(raw) for raw in chunk.entries]
    mine = Batch(sender.device, journal.epoch, "record", 1, head, entries, chunk.chain, [], 1)
    line = sender.new_line("record", epoch=journal.epoch)
    for number in range(head):
        sender.add(EventNoted("twin", str(number)), line=line)
    return mine, sender.batch(line=line)


@pytest.mark.parametrize("lost", [False, True])
def test_hundreds_of_conflicts_are_all_told_and_stored_again(
    store: Store, sender: Sender, journal: Journal, lost: bool
) -> None:
    mine, twins = of_twin(journal, sender)
    store.ingest([sender.admitted(twins)])
    (receipt,) = store.ingest([sender.admitted(mine)]).receipts
    if lost:  # and what the device hears instead is the answer to a question
        (receipt,) = store.ingest([sender.admitted(asking(sender, mine))]).receipts
    assert conflicts(receipt) == list(range(1, mine.head + 1))
    journal.take_receipt(receipt)
    journal.flush().result()
    for view in journal.epochs():
        chunk = journal.read(view.epoch, "record", 1, max_count=1_000, max_bytes=1 << 20)
        if not chunk.entries or view.epoch == mine.epoch:
            continue
        entries = [msgspec.Raw(raw) for raw in chunk.entries]
        offered = Batch(sender.device, view.epoch, "record", 1, view.head, entries, chunk.chain, [], chunk.first)
        for answer in store.ingest([sender.admitted(offered)]).receipts:
            journal.take_receipt(answer)
    journal.flush().result()
    assert journal.waiting("hub") == 0
    with store.database.read() as connection:
        held = set(connection.execute(select(schema.entry.c.data)).scalars())
    assert {f'{{"event":"mine","detail":"{number}"}}' for number in range(MANY)} <= held


def test_more_than_a_receipt_holds_is_not_said_to_be_stored(
    store: Store, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "__kwdefaults__", {"most": 8})
    other = Sender()
    other.key, other.record.epoch = sender.key, sender.record.epoch
    for number in range(30):
        sender.add(EventNoted("one", str(number)))
        other.add(EventNoted("another", str(number)))
    store.ingest([sender.admitted(sender.batch())])
    told: set[int] = set()
    stored: Ranges = ()
    for _ in range(30):  # as a device does: what is not said to be stored is offered again
        need = [seq for seq in range(1, 31) if not covers(stored, seq, seq)]
        if not need:
            break
        (receipt,) = store.ingest([other.admitted(other.batch(need[0], need[-1]))]).receipts
        assert len(conflicts(receipt)) <= 8
        told |= set(conflicts(receipt))
        stored = union(stored, receipt.stored)
        assert {seq for seq in range(1, 31) if covers(stored, seq, seq)} <= told
    assert told == set(range(1, 31))


def test_a_conflict_is_still_one_when_the_hub_is_new_and_its_raw_copy_is_gone(
    store: Store, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_ROWS", 2)
    other = Sender()
    other.key, other.record.epoch = sender.key, sender.record.epoch
    for number in range(5):
        sender.add(EventNoted("one", str(number)))
        other.add(EventNoted("another", str(number)))
    store.ingest([sender.admitted(sender.batch())])
    store.ingest([other.admitted(other.batch())])
    again = Store(store.database)
    (receipt,) = again.ingest([sender.admitted(sender.batch(6, 5))]).receipts
    assert conflicts(receipt) == [1, 2, 3, 4, 5]
    with store.database.read() as connection:
        assert [row.seq for row in connection.execute(select(schema.quarantine))] == [4, 5]
        (dropped,) = connection.execute(select(schema.quarantine_dropped)).mappings().all()
    assert (dropped["verdict"], dropped["reason"], dropped["count"]) == ("conflict", "conflict", 3)


def test_a_device_gone_wrong_does_not_fill_the_store(
    store: Store, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_BYTES", 5_000)
    for number in range(20):
        sender.add_raw(b'{"seq":%d,"kind":7,"x":"%s"}' % (number + 1, b"x" * 1_000))
    store.ingest([sender.admitted(sender.batch())])
    with store.database.read() as connection:
        rows = connection.execute(select(schema.quarantine).order_by(schema.quarantine.c.seq)).all()
    assert [row.seq for row in rows if row.kept] == [17, 18, 19, 20]
    assert {bytes(row.raw) for row in rows if not row.kept} == {b""}
    shown = Metrics(store.database, Live(), silent_after_s=90).text().decode()
    of = f'commune="code-{sender.site}",device="{sender.device}"'
    assert f'commune_quarantined_total{{{of},reason="broken",site="{sender.site}",verdict="quarantined"}} 20.0' in shown
    assert f'commune_quarantine_dropped_total{{{of},site="{sender.site}"}} 16.0' in shown
    # Its numbers are stored, and other bytes under one of them are a conflict as before.
    (receipt,) = store.ingest([sender.admitted(sender.batch())]).receipts
    assert (receipt.stored, conflicts(receipt)) == ([(1, 20)], [])
    sender.record.entries[0] = b'{"seq":1,"kind":8}'
    (receipt,) = store.ingest([sender.admitted(sender.batch(1, 1))]).receipts
    assert conflicts(receipt) == [1]


def test_what_was_just_offered_is_told_first() -> None:
    assert share(((1, 10),), offered=((7, 8),), most=3) == (((1, 1), (7, 8)), ((2, 6), (9, 10)))
    assert share((), offered=((7, 8),)) == ((), ())
