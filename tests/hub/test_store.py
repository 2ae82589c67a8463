"""Ingest against real stores: what is held, what is said, and what is written beside."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, func, select

from bus.clock import Quality
from bus.entries import (
    ClockAnchor,
    DiagnosisChanged,
    EventNoted,
    LineMinute,
    LinkMinute,
    OutageClosed,
    OutageOpened,
    PresenceChanged,
    SampleBlock,
    Sentence,
    TargetMinute,
)
from bus.messages import Entry, Lost, encode
from hub import schema
from hub.admission import Reason, Rejected
from hub.counters import raise_counter
from hub.current import current
from hub.database import Database
from hub.store import Outcome, Store
from tests.hub.sender import START_MS, Line, Sender, roster_of


def rows(store: Store, table: Table) -> list[Any]:
    with store.database.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)))


def give(store: Store, sender: Sender, *parts: tuple[int, int | None], line: Line | None = None) -> Outcome:
    return store.ingest([sender.admitted(sender.batch(first, last, line=line)) for first, last in parts])


def fill(sender: Sender, count: int) -> None:
    sender.open(sender.record)
    for number in range(count - 1):
        sender.add(EventNoted("test", str(number)))


def diagnosis(cause: str, since_ms: int = START_MS) -> DiagnosisChanged:
    return DiagnosisChanged(cause, "line-1", since_ms, 0.9, Sentence("vi", "en"), Sentence("làm", "do"))


def test_migrated_tables_are_those_of_the_schema(store: Store) -> None:
    with store.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_what_came_is_stored_once_and_receipted(store: Store, sender: Sender) -> None:
    fill(sender, 10)
    outcome = give(store, sender, (1, 5))
    assert outcome.receipts[0].stored == [(1, 5)]
    assert outcome.entries == 5
    outcome = give(store, sender, (3, 10))
    assert (outcome.entries, outcome.repeats) == (5, 3)
    assert outcome.receipts[0].stored == [(1, 10)]
    stored = rows(store, schema.entry)
    assert [row.seq for row in stored] == list(range(1, 11))
    assert [bytes(row.digest) for row in stored] == [hashlib.sha256(raw).digest() for raw in sender.record.entries]
    assert bytes(stored[-1].chain) == sender.record.chain_before(11)
    assert not rows(store, schema.quarantine)
    assert [row.event for row in rows(store, schema.event) if row.source == "hub"] == []


def test_gaps_stay_open_until_filled(store: Store, sender: Sender) -> None:
    fill(sender, 10)
    assert give(store, sender, (8, 10)).receipts[0].stored == [(8, 10)]
    assert give(store, sender, (1, 2)).receipts[0].stored == [(1, 2), (8, 10)]
    assert give(store, sender, (3, 7)).receipts[0].stored == [(1, 10)]
    assert [(row.first, row.last) for row in rows(store, schema.stored_range)] == [(1, 10)]
    assert rows(store, schema.journal)[0].chain_breaks == 0


def test_an_empty_batch_asks(store: Store, sender: Sender) -> None:
    fill(sender, 3)
    assert store.ingest([sender.admitted(sender.batch(1, 0))]).receipts[0].stored == []
    give(store, sender, (1, 3))
    assert store.ingest([sender.admitted(sender.batch(4, 3))]).receipts[0].stored == [(1, 3)]


def test_many_batches_make_one_transaction_and_one_receipt_a_journal(store: Store, sender: Sender) -> None:
    fill(sender, 9)
    outcome = give(store, sender, (7, 9), (1, 3), (4, 6), (1, 9))
    assert [receipt.stored for receipt in outcome.receipts] == [[(1, 9)]]
    assert (outcome.entries, outcome.repeats) == (9, 9)


def test_same_key_with_other_bytes_is_a_conflict(store: Store, sender: Sender) -> None:
    fill(sender, 3)
    give(store, sender, (1, 3))
    other = Sender()
    other.key, other.record.epoch = sender.key, sender.record.epoch
    other.open(other.record)
    other.add(EventNoted("another"))
    for times in (1, 2):
        outcome = give(store, other, (1, 2))
        assert [(one.seq, one.verdict) for one in outcome.receipts[0].refused][-1:] == [(2, "conflict")]
        kept = [row for row in rows(store, schema.quarantine) if row.seq == 2]
        assert [bytes(row.raw) for row in kept] == [other.record.entries[1]]
        assert kept[0].times == times
    assert rows(store, schema.entry)[1].digest == hashlib.sha256(sender.record.entries[1]).digest()
    assert "entry.conflict" in {row.event for row in rows(store, schema.event)}


_AT = b'"at":{"boot":"b","mono_ns":1,"wall_ms":5,"quality":"held"}'
BROKEN = [
    (b'{"seq":2,"kind":"event.noted",%s,"data":{}}' % _AT, "wrong-data"),
    (b'{"seq":2,"kind":7}', "broken"),
    (b'{"nonsense":[1,2,{"a":null}]}', "broken"),
    (b'"text"', "broken"),
    (b'{"seq":2,"kind":"a.b",%s,"data":{}}' % _AT.replace(b"5", b"-5"), "broken"),
    (b'{"seq":2,"kind":"a.b",%s,"data":{}}' % _AT.replace(b":1", b":1e30"), "broken"),
    (b'{"seq":2,"kind":"sample.x",%s,"data":{}}' % _AT, "wrong-class"),
    (b'{"seq":2,"kind":"a.b",%s,"data":"\xff"}' % _AT, "broken"),
    (b'{"seq":2,"kind":"event.noted",%s,"data":{"event":"%s"}}' % (_AT, b"x" * 300_000), "oversized"),
]


@pytest.mark.parametrize(("raw", "reason"), BROKEN)
def test_a_broken_entry_is_kept_raw_and_the_stream_goes_on(
    store: Store, sender: Sender, raw: bytes, reason: str
) -> None:
    sender.open(sender.record)
    sender.add_raw(raw)
    sender.add(EventNoted("after"))
    for _ in range(2):  # the verdict is told again, for its receipt may have been lost
        receipt = give(store, sender, (1, 3)).receipts[0]
        assert receipt.stored == [(1, 3)]
        assert [(one.seq, one.verdict, one.reason) for one in receipt.refused] == [(2, "quarantined", reason)]
    kept = rows(store, schema.quarantine)
    assert [(row.seq, row.reason, bytes(row.raw)) for row in kept] == [(2, reason, raw)]
    assert [row.seq for row in rows(store, schema.entry)] == [1, 3]
    assert rows(store, schema.journal)[0].chain_breaks == 0


def test_an_unknown_kind_is_stored_and_marked(store: Store, sender: Sender) -> None:
    raw = encode(Entry(1, "future.thing", sender.stamp(), msgspec.Raw(b'{"new": [1, {"x":"y"}]}')))
    sender.add_raw(raw)
    assert give(store, sender, (1, 1)).receipts[0].refused == []
    row = rows(store, schema.entry)[0]
    assert (row.kind, row.unknown_kind, row.data) == ("future.thing", True, '{"new": [1, {"x":"y"}]}')


def test_bytes_that_cannot_be_rebuilt_are_kept(store: Store, sender: Sender) -> None:
    raw = b'{"kind":"event.noted", "seq":1,"data":{"event":"x"},%s,"new":1}' % _AT
    sender.add_raw(raw)
    give(store, sender, (1, 1))
    assert bytes(rows(store, schema.entry)[0].raw) == raw


def test_a_chain_break_is_told_and_loses_nothing(store: Store, sender: Sender) -> None:
    fill(sender, 6)
    give(store, sender, (1, 3))
    broken = msgspec.structs.replace(sender.batch(4, 6), chain="ab" * 32)
    assert store.ingest([sender.admitted(broken)]).receipts[0].stored == [(1, 6)]
    assert rows(store, schema.journal)[0].chain_breaks == 1
    assert [row.event for row in rows(store, schema.event) if row.source == "hub"] == ["journal.chain-broken"]


def test_a_chain_break_is_seen_from_the_later_side_too(store: Store, sender: Sender) -> None:
    fill(sender, 6)
    give(store, sender, (4, 6))
    broken = msgspec.structs.replace(sender.batch(2, 3), chain="ab" * 32)
    store.ingest([sender.admitted(broken)])
    assert rows(store, schema.journal)[0].chain_breaks == 1


@pytest.mark.parametrize("old_first", [True, False])
def test_epochs_are_ordered_and_chained(store: Store, sender: Sender, old_first: bool) -> None:
    fill(sender, 2)
    sender.add(diagnosis("old"))
    end = sender.record.chain_before(4)
    young = sender.new_line("record", first_chain=end)
    sender.open(young, reason="start", previous_epoch=sender.record.epoch, previous_head=3, previous_chain=end.hex())
    sender.add(diagnosis("young"), line=young)
    lines = [sender.record, young] if old_first else [young, sender.record]
    for line in lines:
        give(store, sender, (1, None), line=line)
    with store.database.read() as connection:
        found = connection.execute(current("diagnosis")).one()
        epoch = connection.execute(select(schema.journal.c.epoch).where(schema.journal.c.id == found.journal_id))
        assert epoch.scalar_one() == young.epoch
    assert [row.event for row in rows(store, schema.event) if row.source == "hub"] == []


@pytest.mark.parametrize("old_first", [True, False])
def test_a_chain_that_does_not_go_on_from_the_epoch_before_is_told(
    store: Store, sender: Sender, old_first: bool
) -> None:
    fill(sender, 2)
    young = sender.new_line("record", first_chain=bytes.fromhex("ab" * 32))
    sender.open(young, reason="start", previous_epoch=sender.record.epoch, previous_head=2, previous_chain="ab" * 32)
    for line in [sender.record, young] if old_first else [young, sender.record]:
        give(store, sender, (1, None), line=line)
    assert [row.event for row in rows(store, schema.event) if row.source == "hub"] == ["journal.chain-broken"]


def test_a_restored_image_is_noticed(store: Store, sender: Sender) -> None:
    fill(sender, 2)
    give(store, sender, (1, None))
    end = sender.record.chain_before(3)
    for _ in range(2):
        line = sender.new_line("record", first_chain=end)
        sender.open(line, reason="start", previous_epoch=sender.record.epoch, previous_head=2, previous_chain=end.hex())
        give(store, sender, (1, None), line=line)
        give(store, sender, (1, None), line=line)
    assert [row.event for row in rows(store, schema.event) if row.source == "hub"] == ["journal.forked"]


def test_an_anchor_corrects_its_boot(store: Store, sender: Sender) -> None:
    at_1970 = 5_000
    sender.open(sender.record)
    sender.add(diagnosis("lan", since_ms=at_1970 + 500), sender.stamp(wall_ms=at_1970, quality=Quality.UNKNOWN))
    sender.add(OutageOpened("o1", "line-1", "fibre", at_1970), sender.stamp(wall_ms=at_1970, quality=Quality.UNKNOWN))
    sender.add(SampleBlock(at_1970, 1000, {"up": [1.0]}), sender.stamp(wall_ms=at_1970, quality=Quality.UNKNOWN))
    give(store, sender, (1, 3))
    give(store, sender, (1, 1), line=sender.sample)
    assert rows(store, schema.export_queue) == []
    sender.add(ClockAnchor(), sender.stamp())  # tick 5
    sender.add(EventNoted("late"), sender.stamp(wall_ms=at_1970, quality=Quality.UNKNOWN))
    give(store, sender, (4, 5))
    entries = {row.seq: row for row in rows(store, schema.entry)}
    assert (entries[2].wall_ms, entries[2].raw_wall_ms, entries[2].anchored) == (START_MS + 2000, at_1970, True)
    assert entries[5].wall_ms == START_MS + 6000
    assert rows(store, schema.diagnosis)[0].since_ms == START_MS + 2500
    assert rows(store, schema.outage)[0].started_ms == START_MS + 3000
    assert rows(store, schema.sample)[0].wall_ms == START_MS + 4000
    assert len(rows(store, schema.export_queue)) == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_an_outage_is_put_together(store: Store, sender: Sender, backwards: bool) -> None:
    sender.add(OutageOpened("o1", "line-1", "unclear", START_MS, "VNPT", ["a"]))
    sender.add(OutageClosed("o1", "line-1", "fibre", START_MS, START_MS + 60_000, 5_000, "VNPT", ["a", "b"]))
    for part in [(2, 2), (1, 1)] if backwards else [(1, 1), (2, 2)]:
        give(store, sender, part)
    (row,) = rows(store, schema.outage)
    assert (row.cause, row.started_ms, row.ended_ms, row.unwatched_ms) == ("fibre", START_MS, START_MS + 60_000, 5_000)
    assert (row.opened_seq, row.closed_seq, row.evidence) == (1, 2, '["a","b"]')


@pytest.mark.parametrize("young_first", [False, True])
@pytest.mark.parametrize("same_epoch", [False, True])
def test_an_outage_that_was_closed_twice_ended_when_it_was_first_said_to_have(
    store: Store, sender: Sender, young_first: bool, same_epoch: bool
) -> None:
    """The device was killed before it noted that it had told us; its next run closes it again, an hour late."""
    fill(sender, 1)
    sender.add(OutageOpened("o1", "line-1", "fibre", START_MS))
    sender.add(OutageClosed("o1", "line-1", "fibre", START_MS, START_MS + 60_000))
    again = OutageClosed("o1", "line-1", "fibre", START_MS, START_MS + 3_600_000, 3_500_000)
    if same_epoch:
        line, parts = sender.record, [(1, 3), (4, 4)]
    else:
        line, parts = sender.new_line("record", first_chain=sender.record.chain_before(4)), [(1, 3), (1, 2)]
        before = sender.record
        sender.open(
            line,
            reason="start",
            previous_epoch=before.epoch,
            previous_head=3,
            previous_chain=line.first_chain.hex(),
        )
    sender.add(again, line=line)
    given = list(zip([sender.record, line], parts, strict=True))
    give(store, sender, (1, 1))
    for of, part in reversed(given) if young_first else given:
        give(store, sender, part, line=of)
    (row,) = rows(store, schema.outage)
    assert (row.ended_ms, row.unwatched_ms, row.closed_seq) == (START_MS + 60_000, 0, 3)


def test_an_anchor_moves_the_end_of_what_an_earlier_boot_began_and_not_its_start(store: Store, sender: Sender) -> None:
    """The line came back, and its closing was recorded, before the clock was known: that it was set was not watched."""
    behind_ms = START_MS - 600_000
    sender.add(OutageOpened("o1", "line-1", "fibre", START_MS - 300_000), sender.stamp(boot="a" * 32))
    closed = OutageClosed("o1", "line-1", "fibre", START_MS - 300_000, behind_ms - 500, -300_000, carried=True)
    sender.add(closed, sender.stamp(wall_ms=behind_ms, quality=Quality.UNKNOWN))
    give(store, sender, (1, 2))
    (row,) = rows(store, schema.outage)
    assert (row.started_ms, row.ended_ms, row.unwatched_ms) == (START_MS - 300_000, START_MS - 300_000, 0)
    sender.add(ClockAnchor(), sender.stamp())
    give(store, sender, (3, 3))
    (row,) = rows(store, schema.outage)
    moved_ms = START_MS + 2_000 - behind_ms
    assert (row.started_ms, row.ended_ms) == (START_MS - 300_000, behind_ms - 500 + moved_ms)
    assert row.unwatched_ms == moved_ms - 300_000


def test_minutes_presence_and_odd_texts_reach_their_tables(store: Store, sender: Sender) -> None:
    lines = {"fibre": LineMinute(60, 12, "VNPT"), "4g": LineMinute(60, 0)}
    sender.add(LinkMinute(START_MS, {"dns": TargetMinute(60, 1)}, lines))
    sender.add(PresenceChanged("s0001-kiosk-1", "kiosk", online=True))
    sender.add(EventNoted("odd", "null \0 here"))
    give(store, sender, (1, 3))
    assert [(row.line, row.down_s) for row in rows(store, schema.line_minute)] == [("4g", 0), ("fibre", 12)]
    assert rows(store, schema.presence)[0].subject == "s0001-kiosk-1"
    assert rows(store, schema.event)[0].detail == "null \ufffd here"
    with store.database.read() as connection:
        pointed = {row.what for row in connection.execute(select(schema.latest.c.what))}
    assert pointed == {"minute", "presence/s0001-kiosk-1"}


def test_lost_ranges_are_kept_and_grow(store: Store, sender: Sender) -> None:
    fill(sender, 3)
    shed = [Lost(1, 4, "shed"), Lost(6, 9, "shed")]
    store.ingest([sender.admitted(sender.batch(1, 0, lost=shed))])
    store.ingest([sender.admitted(sender.batch(1, 0, lost=[Lost(1, 9, "shed")]))])
    assert [(row.first, row.last) for row in rows(store, schema.lost_range)] == [(1, 9)]


def test_a_pruned_entry_is_still_a_repeat(store: Store, sender: Sender) -> None:
    sender.add(SampleBlock(START_MS, 1000, {"up": [1.0]}))
    give(store, sender, (1, 1), line=sender.sample)
    with store.database.write() as connection:
        connection.execute(schema.sample.delete())
    outcome = give(store, sender, (1, 1), line=sender.sample)
    assert (outcome.entries, outcome.repeats) == (0, 1)
    assert rows(store, schema.sample) == []


def test_each_start_is_a_run_of_its_own_shared_by_all(store: Store, store_url: str, sender: Sender) -> None:
    first = store.run()
    second_database = Database(store_url)
    second = Store(second_database)
    run = second.open(roster_of(sender))
    assert run != first
    assert store.run() == run
    fill(sender, 1)
    assert give(store, sender, (1, 1)).receipts[0].run == run
    second_database.close()


def test_receipts_never_go_back_in_time(database: Database, sender: Sender) -> None:
    clock = iter([START_MS] * 3 + [START_MS + 10, START_MS - 5_000])
    store = Store(database, now_ms=lambda: next(clock, START_MS - 5_000))
    store.open(roster_of(sender))
    fill(sender, 1)
    times = [give(store, sender, (1, 1)).receipts[0].at_ms for _ in range(4)]
    assert times == sorted(times)


def test_a_new_run_is_dated_later_than_the_receipt_before(database: Database, sender: Sender) -> None:
    now_ms = [START_MS]
    fill(sender, 1)
    receipts = []
    for _ in range(2):
        store = Store(database, now_ms=lambda: now_ms[0])
        store.open(roster_of(sender))
        receipts.append(give(store, sender, (1, 1)).receipts[0])
        now_ms[0] -= 240_000  # the hub's clock is put back, and the hub starts anew
    first, second = receipts
    assert first.run != second.run
    assert first.at_ms < second.at_ms


def test_a_beacon_never_goes_back_in_time_within_its_run(database: Database, sender: Sender) -> None:
    now_ms = [START_MS]
    stores = [Store(database, now_ms=lambda: now_ms[0]) for _ in range(2)]  # two hubs on one store
    stores[0].open(roster_of(sender))
    first = stores[0].beacon()
    now_ms[0] -= 600_000
    back = stores[0].beacon()
    assert back == first
    now_ms[0] = START_MS + 1
    assert stores[0].beacon() == (first[0], START_MS + 1)
    now_ms[0] = START_MS - 600_000
    run, at_ms = stores[1].beacon()  # a run of its own, for it has just started: dated anew
    assert run != first[0]
    assert at_ms == now_ms[0]


def test_two_hubs_count_at_once(store: Store, store_url: str) -> None:
    other = Database(store_url)
    second = Store(other)
    begun = threading.Event()

    def refuse(number: int) -> None:
        begun.set()
        second.reject([Rejected("", Reason.UNKNOWN_DEVICE, str(number))])
        with other.write() as connection:
            raise_counter(connection, "series", "name", 2)

    with ThreadPoolExecutor(1) as thread:
        with store.database.write() as connection:
            store._reject(connection, [Rejected("", Reason.UNKNOWN_DEVICE, "x")])
            raise_counter(connection, "series", "name", 1)
            waits = thread.submit(refuse, 1)
            begun.wait()
        waits.result()
    assert [row._mapping["count"] for row in rows(store, schema.rejected)] == [2]
    assert [row.value for row in rows(store, schema.counter)] == [3]
    other.close()


def test_who_left_the_known_list_stays_unknown(store: Store, sender: Sender) -> None:
    store.sync_roster(roster_of(Sender("s0002", "s0002-agent")))
    assert [(row.id, row.known) for row in rows(store, schema.site)] == [("s0001", False), ("s0002", True)]
    with store.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(schema.device)).scalar_one() == 2


def test_an_opening_that_says_nonsense_is_stored(store: Store, sender: Sender) -> None:
    sender.open(sender.record, previous_epoch="a\0b", previous_head=2**70, previous_chain="zz")
    assert give(store, sender, (1, 1)).receipts[0].stored == [(1, 1)]
    assert rows(store, schema.journal)[0].previous_epoch == "ab"
