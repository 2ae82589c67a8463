"""Presses in the store, on both engines: what stands and what is flagged, however the records come in."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.clock import Quality
from bus.entries import ClockAnchor, RatingDay, RatingFlagged, RatingPressed
from hub.database import Database
from hub.ratings import reads
from hub.ratings.periods import DAY_MS, date_of, day_at, start_ms
from hub.ratings.summary import DIMENSIONS, Cut, everything
from hub.store import Store
from tests.hub.sender import Sender, roster_of

DAY = 20_700
AT_MS = start_ms(DAY) + 9 * 3_600_000
NUMBERS = itertools.count()

FLAGS = st.sampled_from(["burst", "mashing", "stuck", "out-of-hours", "superseded", "age-unsure"])
PRESS = st.tuples(
    st.integers(0, 3),  # days after the first
    st.integers(0, 23),
    st.integers(1, 5),  # level
    st.sampled_from(["1", "2"]),
    st.sampled_from(["", "CB-01"]),
    st.sampled_from(["overall", "attitude"]),
    st.sets(FLAGS, max_size=2),
    st.integers(-1, 6),  # replaces the one that many before it
)
SCENES = st.tuples(
    st.lists(PRESS, max_size=25),
    st.lists(st.tuples(st.integers(0, 24), FLAGS.filter(lambda flag: flag != "superseded")), max_size=6),
    st.randoms(use_true_random=False),
)


def kiosk() -> Sender:
    return Sender(device="s0001-kiosk-1", part="kiosk")


def opened(url: str, *senders: Sender) -> tuple[Database, Store]:
    database = Database(url)
    store = Store(database, now_ms=lambda: AT_MS)
    store.open(roster_of(*senders))
    return database, store


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=SCENES)
def test_the_store_counts_as_a_plain_reading_of_the_rules_does(scene: Any, tmp_path: Path) -> None:
    _against_a_model(scene, f"sqlite:///{tmp_path}/{next(NUMBERS)}.db")


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=SCENES)
def test_postgresql_counts_the_same(scene: Any, cluster: Any) -> None:
    _against_a_model(scene, cluster.new_store())


def _against_a_model(scene: Any, url: str) -> None:
    given_presses, given_flags, rng = scene
    sender = kiosk()
    presses: list[RatingPressed] = []
    when: dict[str, int] = {}
    flags: dict[str, set[str]] = {}
    records: list[tuple[Any, int]] = []
    for number, (day, hour, level, counter, officer, question, own_flags, back) in enumerate(given_presses):
        name = f"P-1/0000000A/{number + 1}"
        replaces = presses[number - back].press if 0 < back <= number else ""
        press = RatingPressed(
            name, "panel", level, 5, 200, counter, officer, question, replaces=replaces, flags=sorted(own_flags)
        )
        presses.append(press)
        when[name] = start_ms(DAY + day) + hour * 3_600_000 + 60_000
        flags[name] = set(own_flags)
        records.append((press, when[name] + 200))
    for at, flag in given_flags:
        if at < len(presses):
            flags[presses[at].press].add(flag)
            records.append((RatingFlagged([presses[at].press], flag), AT_MS + 9 * DAY_MS))
    for data, at_ms in records:
        sender.add(data, sender.stamp(wall_ms=at_ms))
    database, store = opened(url, sender)
    order = list(range(1, len(records) + 1))
    rng.shuffle(order)
    store.ingest([sender.admitted(sender.batch(seq, seq)) for seq in order])

    replaced = {press.replaces for press in presses}
    expected: Counter[tuple[Any, ...]] = Counter()
    for press in presses:
        stands = press.press not in replaced and "superseded" not in flags[press.press]
        counts = (1, int(stands), int(stands and not flags[press.press] - {"age-unsure"}))
        cell = ("s0001", sender.device, press.counter, press.officer, f"{_hour(when[press.press]):02}")
        for index, count in enumerate(counts):
            expected[cell, day_at(when[press.press]), press.question, press.level, index] += count
    with database.read() as connection:
        found = reads.votes(connection, Cut(DAY, DAY + 4), DIMENSIONS)
        only = reads.votes(connection, Cut(DAY, DAY + 4), [], sites=["s0001"])
        nobody = reads.votes(connection, Cut(DAY, DAY + 4), [], sites=["s0002"])
    got: Counter[tuple[Any, ...]] = Counter()
    for row in found:
        for index, count in enumerate((row.pressed, row.counted, row.filtered)):
            got[row.cell, row.day, row.question, row.level, index] += count
    assert +got == +expected
    assert sum(row.pressed for row in only) == len(presses)
    assert nobody == []
    database.close()


def _hour(wall_ms: int) -> int:
    return (wall_ms - start_ms(0)) // 3_600_000 % 24


def test_what_is_no_vote_is_not_counted(store_url: str) -> None:
    sender = kiosk()
    for level, levels in ((0, 5), (6, 5), (-1, 5), (1, 1), (2, 1000), (1, 0), (3, 3)):
        press = RatingPressed(f"P/0/{level}{levels}", "panel", level, levels, 0, "1")
        sender.add(press, sender.stamp(wall_ms=AT_MS))
    database, store = opened(store_url, sender)
    store.ingest([sender.admitted(sender.batch())])
    with database.read() as connection:
        (row,) = reads.votes(connection, Cut(DAY, DAY), [])
    assert (row.level, row.levels, row.pressed) == (3, 3, 1)
    database.close()


def test_a_press_of_an_unknown_clock_is_counted_on_its_own_day_once_that_is_known(store_url: str) -> None:
    sender = kiosk()
    early = sender.stamp(wall_ms=5_000, quality=Quality.UNKNOWN)
    sender.add(RatingPressed("P/0/1", "panel", 1, 5, 0, "1"), early)
    database, store = opened(store_url, sender)
    store.ingest([sender.admitted(sender.batch())])
    with database.read() as connection:
        assert reads.votes(connection, Cut(DAY, DAY), []) == []
    sender.add(ClockAnchor(), sender.stamp(wall_ms=AT_MS))
    store.ingest([sender.admitted(sender.batch(2))])
    with database.read() as connection:
        (row,) = reads.votes(connection, Cut(DAY, DAY), [])
    assert row.pressed == 1
    database.close()


def test_today_is_closed_once_every_counter_said_so_after_its_last_press(store_url: str) -> None:
    one, other = kiosk(), Sender(device="s0001-kiosk-2", part="kiosk")
    elsewhere = Sender("s0002", "s0002-kiosk-1", "kiosk")
    database, store = opened(store_url, one, other, elsewhere)
    day = date_of(DAY).isoformat()
    done = {sender.device: 0 for sender in (one, other, elsewhere)}

    def give(sender: Sender, data: Any, at_ms: int) -> frozenset[str]:
        sender.add(data, sender.stamp(wall_ms=at_ms))
        done[sender.device] += 1
        store.ingest([sender.admitted(sender.batch(done[sender.device]))])
        with database.read() as connection:
            return reads.closing(connection, AT_MS + 8 * 3_600_000).closed_sites

    def press(number: int) -> RatingPressed:
        return RatingPressed(f"P/0/{number}", "panel", 1, 5, 0, "1")

    closed = RatingDay(day, "1", [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], "")
    assert give(one, press(1), AT_MS) == frozenset()
    assert give(other, press(2), AT_MS) == frozenset()
    assert give(elsewhere, press(3), AT_MS) == frozenset()
    assert give(one, closed, AT_MS + 3_600_000) == frozenset()
    assert give(other, closed, AT_MS + 3_600_000) == frozenset({"s0001"})
    assert give(other, press(4), AT_MS + 3_700_000) == frozenset()  # after closing
    assert give(other, closed, AT_MS + 3_800_000) == frozenset({"s0001"})
    database.close()


def test_a_press_that_two_epochs_tell_of_counts_once(store_url: str) -> None:
    sender = kiosk()
    press = RatingPressed("P/0/1", "panel", 1, 5, 0, "1")
    sender.add(press, sender.stamp(wall_ms=AT_MS))
    again = sender.new_line("record")
    sender.add(press, sender.stamp(wall_ms=AT_MS), line=again)
    database, store = opened(store_url, sender)
    store.ingest([sender.admitted(sender.batch()), sender.admitted(sender.batch(line=again))])
    with database.read() as connection:
        (line,) = everything(reads.votes(connection, Cut(DAY, DAY), []), Cut(DAY, DAY))
    assert line.tally is not None
    assert line.tally.pressed == 1
    database.close()
