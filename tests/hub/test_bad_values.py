"""What a device may say and no table can hold: set aside by itself, and everything beside it is stored."""

import random
import string
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DataError

from bus.entries import (
    DesiredReached,
    DiagnosisChanged,
    EntryData,
    EventNoted,
    LineMinute,
    LinkMinute,
    OutageClosed,
    OutageOpened,
    PresenceChanged,
    RatingDay,
    RatingFlagged,
    RatingPressed,
    RatingReason,
    Sentence,
    WatchGap,
)
from bus.errors import UnavailableError
from bus.messages import Batch
from hub import limits, schema
from hub.admission import Reason, Rejected, admit
from hub.database import Database, is_ours
from hub.intake import Intake
from hub.live import Live
from hub.metrics import Metrics
from hub.rollup import roll
from hub.store import Outcome, Store
from tests.hub.cluster import Cluster
from tests.hub.mutations import entry
from tests.hub.sender import START_MS, Sender, roster_of

LAST = 2**63 - 1
# Random, or PostgreSQL would compress it into its index.
LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=20_000))
SAYS = Sentence("vi", "en")
BAD: dict[str, EntryData] = {
    "level": RatingPressed("p/1/1", "panel", 2**40, 5, 0, "c"),
    "levels": RatingPressed("p/1/1", "panel", 1, -5, 0, "c"),
    "press": RatingPressed(LONG, "panel", 1, 5, 0, "c"),
    "replaces": RatingPressed("p/1/1", "panel", 1, 5, 0, "c", replaces=LONG),
    "flags": RatingPressed("p/1/1", "panel", 1, 5, 0, "c", flags=[LONG]),
    "reason": RatingReason(LONG, "waited", "c"),
    "flag": RatingFlagged(["p/1/1"], LONG),
    "flagged press": RatingFlagged([LONG], "burst"),
    "day": RatingDay(LONG, "c", [1], [1], [1], ""),
    "line": LinkMinute(START_MS, {}, {LONG: LineMinute(60, 0)}),
    "provider": LinkMinute(START_MS, {}, {"fibre": LineMinute(60, 0, LONG)}),
    "minute late": LinkMinute(LAST, {}, {"fibre": LineMinute(60, 0)}),
    "minute early": LinkMinute(-LAST, {}, {"fibre": LineMinute(60, 0)}),
    "minute huge": LinkMinute(10**30, {}, {"fibre": LineMinute(60, 0)}),
    "outage": OutageOpened(LONG, "line", "fibre", START_MS),
    "outage late": OutageClosed("o", "line", "fibre", START_MS, LAST),
    "since": DiagnosisChanged("x", "y", -LAST, 0.5, SAYS, SAYS),
    "gap": WatchGap(START_MS, 10**30, "boot"),
    "device": PresenceChanged(LONG, "kiosk", online=True),
    "issuer": DesiredReached("d", LONG, "n", 1, "done"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_set_aside_alone(store: Store, sender: Sender, name: str) -> None:
    sender.add(EventNoted("before"))
    sender.add(BAD[name])
    sender.add(EventNoted("after"))
    outcome = store.ingest([sender.admitted(sender.batch())])
    assert [receipt.stored for receipt in outcome.receipts] == [[(1, 3)]]
    assert [(one.seq, one.reason) for one in outcome.receipts[0].refused] == [(2, "wrong-data")]
    assert outcome.rejected == []
    roll(store.database)


@pytest.mark.parametrize("name", ["level", "press", "line", "outage", "minute late"])
def test_what_no_check_knows_of_is_found_by_halving(
    store: Store, sender: Sender, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "problem", lambda data: "")
    for number in range(20):
        sender.add(BAD[name] if number in (6, 7, 19) else EventNoted("good", str(number)))
    beside = Sender("s0002", "s0002-agent")
    store.sync_roster(roster_of(sender, beside))
    beside.add(EventNoted("beside"))
    generation = store.database.generation
    outcome = store.ingest([beside.admitted(beside.batch()), sender.admitted(sender.batch())])
    assert [receipt.stored for receipt in outcome.receipts] == [[(1, 1)], [(1, 20)]]
    assert store.database.generation == generation  # the store was never away
    refused = {one.seq: one.reason for one in outcome.receipts[1].refused}
    if not store.database.is_sqlite:
        expected = dict.fromkeys((7, 8, 20), "unstorable") if name != "minute late" else {}
        assert refused == expected
    assert outcome.entries + len(refused) == 21
    assert outcome.breaks == 0
    # The same again is a repeat; what comes next is stored, and its chain goes on.
    assert store.ingest([sender.admitted(sender.batch())]).receipts[0].stored == [(1, 20)]
    sender.add(EventNoted("next"))
    again = store.ingest([sender.admitted(sender.batch(21, 21))])
    assert (again.receipts[0].stored, again.breaks) == ([(1, 21)], 0)


@pytest.mark.parametrize("fault", [KeyError("of our own"), MemoryError(), OSError(5, "disk")])
def test_a_fault_of_the_hub_sets_no_entry_aside(
    store: Store, sender: Sender, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is set aside is receipted and its device lets go of it: only a value of its own may bring that about."""
    for number in range(4):
        sender.add(EventNoted("good", str(number)))
    store.sync_roster(roster_of(sender))

    def break_off(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as broken:
        broken.setattr("hub.intake.project", break_off)
        try:
            outcome = store.ingest([sender.admitted(sender.batch())])
        except (MemoryError, OSError):
            outcome = Outcome()
    assert outcome.receipts == []
    again = store.ingest([sender.admitted(sender.batch())])
    assert (again.receipts[0].stored, again.receipts[0].refused, again.entries) == ([(1, 4)], [], 4)


def test_whatever_value_stands_in_an_entry_it_is_answered(store: Store, sender: Sender) -> None:
    rng = random.Random(11)
    for line in (sender.record, sender.sample):
        for number in range(300 if line is sender.record else 60):
            sender.add_raw(entry(rng, number + 1, line.klass), line=line)
        for first in range(1, len(line.entries) + 1, 20):
            outcome = store.ingest([sender.admitted(sender.batch(first, first + 19, line=line))])
            assert outcome.rejected == []
            assert outcome.receipts[0].stored == [(1, min(first + 19, len(line.entries)))]
            assert "unstorable" not in {one.reason for one in outcome.receipts[0].refused}
    roll(store.database)
    assert Metrics(store.database, Live(), silent_after_s=90).text()
    with store.database.read() as connection:
        assert connection.execute(select(schema.rejected)).all() == []


def test_numbers_beyond_the_last_are_no_batch(store: Store, sender: Sender) -> None:
    batch = Batch(sender.device, sender.record.epoch, "record", 1, 1, [msgspec.Raw(b"{}")] * 2, "", [], LAST)
    result = admit(sender.topic, sender.seal(batch), roster_of(sender))
    assert isinstance(result, Rejected)
    assert result.reason is Reason.UNREADABLE
    last = b'{"seq":%d,"kind":"a.b","at":{"boot":"b","mono_ns":1,"wall_ms":1,"quality":"held"},"data":{}}' % LAST
    unsaid = msgspec.structs.replace(batch, first=0, entries=[msgspec.Raw(last), msgspec.Raw(b"{}")])
    outcome = store.ingest([sender.admitted(unsaid)])
    assert outcome.receipts[0].stored == [(LAST, LAST)]


def test_whatever_one_batch_raises_the_others_are_stored(
    store: Store, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Intake.take
    bad = Sender("s0002", "s0002-agent")
    store.sync_roster(roster_of(sender, bad))

    def broken(self: Intake, admitted: Any, items: Any) -> Any:
        if admitted.batch.device == bad.device:
            raise OverflowError("Python int too large")
        return take(self, admitted, items)

    monkeypatch.setattr(Intake, "take", broken)
    for one in (sender, bad):
        one.add(EventNoted("e"))
    outcome = store.ingest([bad.admitted(bad.batch()), sender.admitted(sender.batch())])
    assert [receipt.device for receipt in outcome.receipts] == [sender.device]
    assert [one.reason for one in outcome.rejected] == [Reason.UNSTORABLE]
    with store.database.read() as connection:
        (kept,) = connection.execute(select(schema.quarantine)).all()
        (counted,) = connection.execute(select(schema.rejected)).all()
    assert (kept.verdict, kept.reason, counted.reason) == ("batch", "unstorable", "unstorable")


def test_an_hour_that_cannot_be_summed_keeps_no_other_back(store: Store, sender: Sender) -> None:
    sender.add(LinkMinute(START_MS, {}, {"fibre": LineMinute(60, 6, "VNPT")}))
    store.ingest([sender.admitted(sender.batch())])
    with store.database.write() as connection:  # as earlier versions stored them
        for hour in (LAST // 3_600_000, -5):
            connection.execute(schema.line_touched.insert().values(site_id=sender.site, hour=hour))
    assert roll(store.database) == 3
    with store.database.read() as connection:
        assert [row.down_s for row in connection.execute(select(schema.line_hour))] == [6]
        assert connection.execute(select(schema.line_touched)).all() == []


def test_a_pool_without_a_free_connection_keeps_no_device_waiting(
    cluster: Cluster, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(cluster.new_store())  # SQLite has one writer, and readers that never keep it waiting
    store = Store(database)
    store.open(roster_of(sender))
    engine = database.engine
    monkeypatch.setattr(engine.pool, "_timeout", 0.1)
    held = [engine.connect() for _ in range(12)]
    run = store.run()
    sender.add(EventNoted("e"))
    with pytest.raises(UnavailableError, match="free"), database.read():
        pass
    assert store.ingest([sender.admitted(sender.batch())]).entries == 1
    assert store.beacon()[0] == run  # nothing was lost, so the run goes on
    store.reject([Rejected(sender.device, Reason.UNREADABLE, "x", b"raw")])
    for connection in held:
        connection.close()
    database.close()


def test_who_is_to_blame_is_read_from_the_state(store: Store) -> None:
    with pytest.raises((DataError, OverflowError)), store.database.write() as connection:
        connection.execute(schema.hub.update().values(run_at_ms=2**70))
    generation = store.database.generation
    assert is_ours(OverflowError())
    with pytest.raises(UnavailableError), store.database.write() as connection:
        connection.execute(text("SELECT 1 FROM no_such_table"))  # an older hub beside a newer store: nobody's value
    assert not is_ours(UnavailableError())
    if not store.database.is_sqlite:
        with pytest.raises(UnavailableError), store.database.write() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert store.database.generation > generation


def test_a_scrape_bears_more_journals_than_a_statement_has_parameters(database: Database, sender: Sender) -> None:
    store = Store(database)
    store.open(roster_of(sender))
    many = 70_000
    series = (
        "generate_series(1, :many) AS g"
        if not database.is_sqlite
        else "(WITH RECURSIVE c(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM c WHERE g < :many) SELECT g FROM c)"
    )
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO journal (device_id, epoch, class, ordinal, first_held, head, chain_breaks, first_seen_ms,"
                f" last_seen_ms) SELECT :device, CAST(g AS TEXT), 'record', g, 1, 10, 0, 1, 1 FROM {series}"
            ),
            {"many": many, "device": sender.device},
        )
        connection.execute(text("INSERT INTO stored_range (journal_id, first, last) SELECT id, 1, 9 FROM journal"))
        connection.execute(
            text("INSERT INTO lost_range (journal_id, first, last, reason) SELECT min(id), 8, 10, 'shed' FROM journal")
        )
    shown = Metrics(database, Live(), silent_after_s=90).text().decode()
    said = [line for line in shown.splitlines() if line.startswith("commune_journal_")]
    values = {line.split("{")[0]: float(line.split()[-1]) for line in said}
    assert values["commune_journal_stored_entries"] == many * 9
    assert values["commune_journal_missing_entries"] == many - 1
    assert values["commune_journal_lost_entries_total"] == 1
