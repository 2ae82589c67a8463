"""Votes counted, merged into periods and summed: pure cores against models written another way."""

import itertools
import math
from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.ratings.figures import Tally, VoteCount, share_of, sum_of, wilson
from hub.ratings.periods import DAY_MS, Period, date_of, day_at, day_of, periods, quarter_of, start_for, start_ms
from hub.ratings.summary import Closing, Cut, everything, summarise

LEAST = 5
TODAY = day_of(date(2026, 11, 24))
CLOSING = Closing(TODAY)

DAYS = st.dictionaries(st.integers(TODAY - 200, TODAY + 2), st.integers(0, 9), max_size=60)


@st.composite
def rows(draw: st.DrawFn) -> list[VoteCount]:
    """Votes of a few counters and officers over a quarter or so."""
    found = []
    for _ in range(draw(st.integers(0, 60))):
        levels = draw(st.sampled_from([3, 4, 5]))
        pressed = draw(st.integers(1, 4))
        counted = draw(st.integers(0, pressed))
        cell = ("s0001", draw(st.sampled_from(["1", "2"])), draw(st.sampled_from(["a", "b", "c"])))
        found.append(
            VoteCount(
                cell,
                draw(st.integers(TODAY - 100, TODAY)),
                draw(st.sampled_from(["overall", "attitude"])),
                levels,
                draw(st.integers(1, levels)),
                pressed,
                counted,
                draw(st.integers(0, counted)),
            )
        )
    return found


def cut_to(found: list[VoteCount], size: int) -> list[VoteCount]:
    """The same votes, by fewer dimensions."""
    return [
        VoteCount(one.cell[:size], one.day, one.question, one.levels, one.level, one.pressed, one.counted, one.filtered)
        for one in found
    ]


def numbers(tally: Tally) -> tuple[int, int, int]:
    return tally.pressed, tally.n_counted, tally.n_filtered


@given(DAYS)
def test_periods_partition_days_and_each_holds_enough(counts: dict[int, int]) -> None:
    found = periods(counts, through=TODAY, least=LEAST)
    given_days = sorted(day for day, n in counts.items() if n and day <= TODAY)
    for one, after in itertools.pairwise(found):
        assert one.last < after.first
    for one in found:
        inside = [day for day in given_days if one.first <= day <= one.last]
        assert sum(counts[day] for day in inside) >= LEAST
        assert (inside[0], inside[-1]) == (one.first, one.last)
        # No period is longer than it must be, but for what a quarter left over.
        own = [day for day in inside if quarter_of(day) == quarter_of(one.last)]
        assert sum(counts[day] for day in own[:-1]) < LEAST
        assert quarter_of(one.last) - quarter_of(one.first) <= 1
    covered = {day for day in given_days if any(one.first <= day <= one.last for one in found)}
    for quarter in {quarter_of(day) for day in given_days}:
        left = [day for day in given_days if quarter_of(day) == quarter and day not in covered]
        assert sum(counts[day] for day in left) < LEAST


@given(DAYS, st.integers(TODAY - 200, TODAY), st.integers(0, 9))
def test_a_period_once_shown_never_changes_as_days_go_by(counts: dict[int, int], until: int, later: int) -> None:
    before = periods(counts, through=until, least=LEAST)
    after = periods({**counts, TODAY + 1: later}, through=TODAY + 1, least=LEAST)
    assert after[: len(before)] == before


@given(DAYS, st.integers(TODAY - 200, TODAY))
def test_what_was_read_from_the_quarter_before_on_gives_the_same_periods(counts: dict[int, int], first: int) -> None:
    whole = [one for one in periods(counts, through=TODAY, least=LEAST) if one.last >= first]
    read = {day: n for day, n in counts.items() if day >= start_for(first)}
    assert [one for one in periods(read, through=TODAY, least=LEAST) if one.last >= first] == whole


def test_the_rest_of_a_quarter_goes_into_the_next_ones_first_period() -> None:
    september, october = day_of(date(2026, 9, 29)), day_of(date(2026, 10, 2))
    counts = {september - 1: 6, september: 2, october: 5, october + 1: 5}
    assert periods(counts, through=TODAY, least=5) == [
        Period(september - 1, september - 1),
        Period(september, october),
        Period(october + 1, october + 1),
    ]
    april = day_of(date(2026, 4, 1))
    assert periods({april: 4, october: 5}, through=TODAY, least=5) == [Period(october, october)]


@given(st.integers(-(10**6), 10**6))
def test_days_are_local_days(number: int) -> None:
    begin = start_ms(number)
    assert day_at(begin) == day_at(begin + DAY_MS - 1) == number
    assert day_at(begin - 1) == number - 1
    if abs(number) < 700_000:
        assert date_of(number) == date(1970, 1, 1) + timedelta(days=number)


@given(rows(), st.integers(TODAY - 100, TODAY), st.integers(0, 60), st.sampled_from(["", "day", "month"]))
def test_the_parts_of_everything_are_the_whole(found: list[VoteCount], first: int, length: int, split: str) -> None:
    cut = Cut(first, first + length, split=split)
    inside = [one for one in found if first <= one.day <= first + length]
    whole = (
        sum(one.pressed for one in inside),
        sum(one.counted for one in inside),
        sum(one.filtered for one in inside),
    )
    for size in (1, 2, 3):
        lines = everything(cut_to(found, size), cut)
        assert numbers(sum_of(line.tally for line in lines if line.tally is not None)) == whole


@given(rows(), st.integers(1, 3))
def test_days_and_months_of_a_cell_add_up_to_its_figure(found: list[VoteCount], size: int) -> None:
    cells: dict[str, dict[tuple[str, ...], tuple[int, int, int]]] = {}
    for split in ("", "day", "month"):
        sums: dict[tuple[str, ...], Tally] = {}
        for line in summarise(cut_to(found, size), Cut(TODAY - 100, TODAY, split=split), CLOSING, least=LEAST):
            if line.tally is not None:
                sums.setdefault(line.cell, Tally()).merge(line.tally)
        cells[split] = {cell: numbers(tally) for cell, tally in sums.items()}
    assert cells[""] == cells["day"] == cells["month"]


@given(rows(), st.integers(1, 3), st.integers(TODAY - 100, TODAY), st.integers(0, 40))
def test_no_figure_and_no_difference_of_figures_stands_for_few(
    found: list[VoteCount], size: int, first: int, length: int
) -> None:
    mine = cut_to(found, size)
    closed = [one for one in mine if one.day < TODAY]
    by_day = summarise(mine, Cut(first, first + length, split="day"), CLOSING, least=LEAST)
    longer = summarise(mine, Cut(first, first + length + 1, split=""), CLOSING, least=LEAST)
    shorter = {
        line.cell: line
        for line in summarise(mine, Cut(first, first + length, split=""), CLOSING, least=LEAST)
        if line.tally is not None
    }
    for line in by_day:
        if line.tally is None:
            continue
        assert line.tally.n_counted >= LEAST
        inside = [one for one in closed if one.cell == line.cell and line.first <= one.day <= line.last]
        assert line.tally.n_counted == sum(one.counted for one in inside)
        assert line.last < TODAY
    if size == 1:  # parts may be withheld whole when the day asked for moves
        for line in longer:
            if line.tally is not None and line.cell in shorter:
                before = shorter[line.cell].tally
                assert before is not None
                difference = line.tally.n_counted - before.n_counted
                assert difference == 0 or difference >= LEAST


@given(rows(), st.integers(2, 3))
def test_the_parts_shown_never_leave_few_of_the_whole(found: list[VoteCount], size: int) -> None:
    cut = Cut(TODAY - 60, TODAY)
    whole = summarise(cut_to(found, 1), cut, CLOSING, least=LEAST)
    parts = summarise(cut_to(found, size), Cut(cut.first, cut.last, split="day"), CLOSING, least=LEAST)
    days = Counter[int]()
    for one in found:
        days[one.day] += one.counted
    shown = periods(days, through=TODAY - 1, least=LEAST)
    covered = {day for day in days if any(p.first <= day <= p.last for p in shown if cut.first <= p.last <= cut.last)}
    left = sum(line.tally.n_counted for line in whole if line.tally is not None)
    for line in parts:
        if line.tally is not None:
            left -= sum(
                one.counted
                for one in cut_to(found, size)
                if one.cell == line.cell and line.first <= one.day <= line.last and one.day in covered
            )
    assert left == 0 or left >= LEAST


def test_what_has_votes_and_no_period_is_withheld_and_an_open_day_is_not_there() -> None:
    few = [VoteCount(("s0001",), TODAY - 3, "", 5, 1, 4, 4, 4)]
    (line,) = summarise(few, Cut(TODAY - 30, TODAY), CLOSING, least=LEAST)
    assert line.tally is None
    many = [VoteCount(("s0001",), TODAY, "", 5, 1, 40, 40, 40)]
    assert summarise(many, Cut(TODAY - 30, TODAY), CLOSING, least=LEAST) == []
    closed = Closing(TODAY, frozenset({"s0001"}))
    (line,) = summarise(many, Cut(TODAY - 30, TODAY), closed, least=LEAST)
    assert line.tally is not None
    assert line.tally.n_counted == 40


def test_one_question_of_two_is_shown_only_where_the_other_is_not_given_away() -> None:
    def vote(question: str, n: int, ago: int) -> VoteCount:
        return VoteCount(("s0001",), TODAY - ago, question, 5, 1, n, n, n)

    mixed = [vote("overall", 6, 9), vote("overall", 6, 5), vote("attitude", 2, 5)]
    (line,) = summarise(mixed, Cut(TODAY - 30, TODAY, "overall"), CLOSING, least=LEAST)
    assert line.tally is not None
    assert line.tally.n_counted == 6  # the newest period would leave the two others
    alone = [vote("overall", 6, 9), vote("overall", 6, 5)]
    (line,) = summarise(alone, Cut(TODAY - 30, TODAY, "overall"), CLOSING, least=LEAST)
    assert line.tally is not None
    assert line.tally.n_counted == 12


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, table I, method 3 (Wilson's score without continuity correction)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@example((500, 500))
def test_the_interval_holds_the_share_and_mirrors(pair: tuple[int, int]) -> None:
    successes, n = pair
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    other_low, other_high = wilson(n - successes, n)
    assert math.isclose(low, 1 - other_high, abs_tol=1e-12)
    assert math.isclose(high, 1 - other_low, abs_tol=1e-12)


def test_satisfied_are_two_of_five_and_of_four_and_one_of_three() -> None:
    share = share_of({5: [1, 1, 1, 1, 1], 4: [1, 1, 1, 1], 3: [1, 1, 1]})
    assert share is not None
    assert (share.n, share.satisfied) == (12, 5)
    assert share_of({}) is None
    assert share_of({5: [0] * 5}) is None
