"""Availability: every second accounted for, and unknown time nobody's downtime."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from bus.clock import Quality
from bus.entries import ClockAnchor, JournalOpened
from bus.errors import WrongInputError
from hub import schema
from hub.availability import Month, Observed, by_provider, line_months, read_month
from hub.database import Database
from hub.projections.minutes import HOUR_MS
from hub.rollup import roll
from tests.hub.web import province

NOVEMBER = Month.of("2026-11")
DAY_S = 86_400


def test_months_are_local() -> None:
    assert NOVEMBER.start_ms == 1_793_466_000_000  # 2026-10-31T17:00:00Z
    assert Month.at(NOVEMBER.start_ms) == NOVEMBER
    assert Month.at(NOVEMBER.start_ms - 1).name == "2026-10"
    assert Month.of("2026-12").end_ms == Month.of("2027-01").start_ms
    assert Month.of("2027-01").before().name == "2026-12"
    for wrong in ("2026-13", "2026", "x", "2026-11-01", ""):
        with pytest.raises(WrongInputError):
            Month.of(wrong)


def test_a_whole_month_observed_and_a_month_half_observed() -> None:
    seconds = 30 * DAY_S
    began = {"s1": 0, "s2": 0}
    rows = [
        Observed("s1", "internet", "VNPT", seconds, 86, NOVEMBER.start_ms),
        Observed("s2", "internet", "VNPT", seconds // 2, 0, NOVEMBER.start_ms),
    ]
    one, two = line_months(rows, NOVEMBER, began, now_ms=NOVEMBER.end_ms + 1)
    assert (one.unknown_s, round(one.availability_pct or 0, 4)) == (0, 99.9967)
    assert (two.unknown_s, two.availability_pct, two.observed_pct) == (seconds // 2, 100.0, 50.0)
    (provider,) = by_provider([one, two])
    assert (provider.lines, provider.unknown_s, provider.down_s) == (2, seconds // 2, 86)


def test_time_before_a_site_began_and_after_now_does_not_count() -> None:
    began_ms = NOVEMBER.start_ms + 10 * DAY_S * 1000
    rows = [Observed("s1", "internet", "VNPT", 3600, 0, began_ms)]
    (line,) = line_months(rows, NOVEMBER, {"s1": began_ms}, now_ms=began_ms + 2 * 3600 * 1000)
    assert line.unknown_s == 3600


def test_a_provider_answers_only_for_its_own_part_of_the_month() -> None:
    change_ms = NOVEMBER.start_ms + 10 * DAY_S * 1000
    rows = [
        Observed("s1", "internet", "Viettel", 20 * DAY_S, 0, change_ms),
        Observed("s1", "internet", "VNPT", 9 * DAY_S, 60, NOVEMBER.start_ms),
    ]
    old, new = line_months(rows, NOVEMBER, {}, now_ms=NOVEMBER.end_ms)
    assert (old.provider, old.unknown_s) == ("VNPT", DAY_S)
    assert (new.provider, new.unknown_s, new.down_s) == ("Viettel", 0, 0)


@given(
    st.lists(
        st.builds(
            Observed,
            st.sampled_from(["s1", "s2"]),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["VNPT", "Viettel", "FPT"]),
            st.integers(0, 40 * DAY_S),
            st.integers(0, 40 * DAY_S),
            st.integers(NOVEMBER.start_ms, NOVEMBER.end_ms - 1),
        ),
        max_size=8,
    ),
    st.integers(NOVEMBER.start_ms - 10**9, NOVEMBER.end_ms + 10**9),
)
def test_no_figure_is_ever_impossible(rows: list[Observed], now_ms: int) -> None:
    for line in line_months(rows, NOVEMBER, {}, now_ms=now_ms):
        assert line.unknown_s >= 0
        assert 0 <= line.down_s <= line.observed_s
        assert line.availability_pct is None or 0 <= line.availability_pct <= 100
        assert 0 <= line.observed_pct <= 100


def test_a_minute_told_twice_counts_once(store_url: str) -> None:
    database = Database(store_url)
    try:
        province.seed(database, now_ms=NOVEMBER.start_ms + 86_400_000, minutes=10, names=("Mường Lát",))
        with database.write() as connection:
            first = connection.execute(schema.line_minute.select().limit(1)).mappings().one()
            before = {line.line: line for line in read_month(connection, NOVEMBER, now_ms=NOVEMBER.end_ms)}
            connection.execute(insert(schema.line_minute), {**first, "seq": 9999})
            touched = {"site_id": first["site_id"], "hour": first["start_ms"] // HOUR_MS}
            connection.execute(insert(schema.line_touched), touched)
            after = {line.line: line for line in read_month(connection, NOVEMBER, now_ms=NOVEMBER.end_ms)}
        assert before == after
        assert before["internet"].observed_s == 600
    finally:
        database.close()


def test_summed_by_the_hour_the_figures_are_the_same(store_url: str) -> None:
    now_ms = NOVEMBER.start_ms + 5 * 86_400_000 + 1_234_567
    database = Database(store_url)
    try:
        store = province.seed(database, now_ms=now_ms, minutes=200, names=province.NAMES[:6])
        with database.read() as connection:
            from_minutes = read_month(connection, NOVEMBER, now_ms=now_ms)
        assert roll(database) >= 5 * 4
        assert roll(database) == 0
        with database.read() as connection:
            assert read_month(connection, NOVEMBER, now_ms=now_ms) == from_minutes
            only = read_month(connection, NOVEMBER, sites=["s0005"], now_ms=now_ms)
            assert only == [line for line in from_minutes if line.site == "s0005"]
            assert read_month(connection, NOVEMBER.before(), now_ms=now_ms) == []
        box = province.Box(province.roster(), "s0004-agent", "a" * 16)  # never heard until now, and it has a backlog
        box.write(JournalOpened("new"), now_ms)
        for minute in range(90):
            box.write(province.minute(3, minute, now_ms - 7_200_000 + minute * 60_000, down=minute < 9), now_ms)
        store.ingest([box.batch()])
        with database.read() as connection:
            touched = {
                (line.line, line.observed_s, line.down_s)
                for line in read_month(connection, NOVEMBER, sites=["s0004"], now_ms=now_ms)
            }
        assert touched == {("internet", 5400, 540 + 9), ("tslcd", 5400, 0)}
        assert roll(database) == 2
        with database.read() as connection:
            summed = read_month(connection, NOVEMBER, now_ms=now_ms)
        assert {(line.line, line.observed_s, line.down_s) for line in summed if line.site == "s0004"} == touched
        assert [line for line in summed if line.site != "s0004"] == from_minutes
    finally:
        database.close()


def test_a_minute_that_an_anchor_moves_is_counted_where_it_belongs(store_url: str) -> None:
    now_ms = NOVEMBER.start_ms + 5 * 86_400_000
    wrong_ms = Month.of("2026-10").start_ms + 3_600_000
    database = Database(store_url)
    try:
        store = province.seed(database, now_ms=now_ms, minutes=0, names=("Mường Lát",))
        box = province.Box(province.roster(), "s0001-agent", "a" * 16)
        box.write(JournalOpened("start"), wrong_ms, quality=Quality.UNKNOWN, boot="c" * 32, mono_ms=1_000)
        moved = province.minute(0, 1, wrong_ms, down=False)
        box.write(moved, wrong_ms, quality=Quality.UNKNOWN, boot="c" * 32, mono_ms=61_000)
        store.ingest([box.batch()])
        roll(database)
        with database.read() as connection:
            assert len(read_month(connection, NOVEMBER.before(), now_ms=now_ms)) == 2
        box.write(ClockAnchor(), now_ms, boot="c" * 32, mono_ms=91_000)
        store.ingest([box.batch()])
        for rolled in (False, True):
            if rolled:
                roll(database)
            with database.read() as connection:
                assert read_month(connection, NOVEMBER.before(), now_ms=now_ms) == []
                assert {line.observed_s for line in read_month(connection, NOVEMBER, now_ms=now_ms)} == {60}
    finally:
        database.close()
