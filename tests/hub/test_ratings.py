"""Votes counted, merged into periods and summed: pure cores against models written another way."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.ratings.figures import Tally, VoteCount, share_of, sum_of, wilson
from hub.ratings.periods import DAY_MS, Period, date_of, day_at, day_of, periods, quarter_of, start_for, start_ms
from hub.ratings.secrecy import shown_values
from hub.ratings.summary import DIMENSIONS, PARTS, QUESTION, Closing, Cut, Summed, communes, everything, parts

LEAST = 5
TODAY = day_of(date(2026, 11, 24))
CLOSING = Closing(TODAY)

DAYS = st.dictionaries(st.integers(TODAY - 200, TODAY + 2), st.integers(0, 9), max_size=60)


@st.composite
def rows(draw: st.DrawFn) -> list[VoteCount]:
    """Votes of a few counters, officers and hours, most of them on few days."""
    found = []
    days = draw(st.lists(st.integers(TODAY - 100, TODAY), min_size=1, max_size=6)) if draw(st.booleans()) else None
    for _ in range(draw(st.integers(0, 60))):
        levels = draw(st.sampled_from([3, 4, 5]))
        pressed = draw(st.integers(1, 7))
        counted = draw(st.integers(0, pressed))
        counter, officer = draw(st.sampled_from(["1", "2"])), draw(st.sampled_from(["a", "b", "c"]))
        kiosk, hour = draw(st.sampled_from([f"k{counter}", "k1"])), draw(st.sampled_from(["07", "08", "09"]))
        found.append(
            VoteCount(
                ("s0001", kiosk, counter, officer, hour),
                draw(st.sampled_from(days) if days else st.integers(TODAY - 100, TODAY)),
                draw(st.sampled_from(["overall", "attitude"])),
                levels,
                draw(st.integers(1, levels)),
                pressed,
                counted,
                draw(st.sampled_from([counted, draw(st.integers(0, counted))])),
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
    for size in (1, 2, 3, 4, 5):
        lines = everything(cut_to(found, size), cut)
        assert numbers(sum_of(line.tally for line in lines if line.tally is not None)) == whole


@given(rows())
def test_days_and_months_of_a_commune_add_up_to_its_figure(found: list[VoteCount]) -> None:
    sums = []
    for split in ("", "day", "month"):
        lines = communes(found, Cut(TODAY - 100, TODAY, split=split), CLOSING, least=LEAST)
        sums.append(numbers(sum_of(line.tally for line in lines if line.tally is not None)))
    assert sums[0] == sums[1] == sums[2]


# A vote is told apart by its row, its number in it and whether it is flagged: what a table shows is a set of these.
Vote = tuple[int, int]


def votes_of(found: list[VoteCount], line: Summed, part: str, value: str, *, clean: bool) -> frozenset[Vote]:
    """The votes that a line sums, by a plain reading of what it says of itself."""

    def of(row: VoteCount) -> str:
        if part in DIMENSIONS:
            return row.cell[1 + DIMENSIONS.index(part)]
        return row.question if part == QUESTION else ""

    return frozenset(
        (at, number)
        for at, row in enumerate(found)
        if row.day < TODAY and line.first <= row.day <= line.last and of(row) == value
        for number in range(row.filtered if clean else row.counted)
    )


def tables(found: list[VoteCount], first: int, last: int) -> list[list[frozenset[Vote]]]:
    """All that the scope `read` can be told of these days: of each answer the votes behind each figure."""
    answers: list[tuple[str, list[tuple[Summed, str]]]] = []
    for split in ("", "day", "month"):
        lines = communes(found, Cut(first, last, split=split), CLOSING, least=LEAST)
        answers.append(("", [(line, "") for line in lines]))
    for part in PARTS[:-1]:
        lines = parts(found, Cut(first, last), CLOSING, part, least=LEAST)
        answers.append((part, [(line, line.cell[1]) for line in lines]))
    asked = [
        (line, question)
        for question in sorted({row.question for row in found})
        for line in parts(found, Cut(first, last, question), CLOSING, QUESTION, least=LEAST)
    ]
    answers.append((QUESTION, asked))
    seen = []
    for part, lines_of in answers:
        raw, clean = [], []
        for line, value in lines_of:
            if line.tally is None:
                continue
            raw.append(votes_of(found, line, part, value, clean=False))
            assert len(raw[-1]) == line.tally.n_counted
            if line.filtered:
                clean.append(votes_of(found, line, part, value, clean=True))
                assert len(clean[-1]) == line.tally.n_filtered
        seen += [raw, clean]
    return seen


def assert_no_difference_is_few(one: list[frozenset[Vote]], other: list[frozenset[Vote]]) -> None:
    """Whatever lines of one table are added up: less lines of another that hold no more, a few votes are never left."""
    for size in range(1, min(len(one), 12) + 1):
        for some in itertools.combinations(one[:12], size):
            whole = frozenset[Vote]().union(*some)
            within = frozenset[Vote]().union(*(part for part in other if part <= whole))
            assert not 0 < len(whole - within) < LEAST


@settings(max_examples=80, deadline=None)
@given(rows(), st.integers(TODAY - 100, TODAY), st.integers(0, 60))
def test_the_parts_shown_never_leave_few_of_the_whole(found: list[VoteCount], first: int, length: int) -> None:
    """An attacker with every table of all days and of some of them, who takes differences."""
    seen = tables(found, TODAY - 100, TODAY) + tables(found, first, first + length)
    seen += tables(found, first + 1, first + length) if length else []
    seen = [list(table) for table in {tuple(sorted(set(table), key=sorted)) for table in seen}]
    for one, other in itertools.product(seen, repeat=2):
        assert_no_difference_is_few(one, other)


@given(rows(), st.integers(TODAY - 60, TODAY))
def test_what_was_shown_of_closed_days_stays_as_days_go_by(found: list[VoteCount], until: int) -> None:
    cut = Cut(TODAY - 100, TODAY, split="day")
    for part in ("", *PARTS[:-1]):
        before, after = (
            [
                (line.cell, line.first, line.last, numbers(line.tally), line.filtered)
                for line in (
                    parts(found, cut, Closing(today), part, least=LEAST)
                    if part
                    else communes(found, cut, Closing(today), least=LEAST)
                )
                if line.tally is not None
            ]
            for today in (until, TODAY + 1)
        )
        # A filtered figure may come when its month is over, but none goes or changes.
        raw_before, raw_after = ({line[:4] for line in lines} for lines in (before, after))
        assert raw_before <= raw_after
        assert {line for line in before if line[4]} <= set(after)


def vote(day: date, n: int, *, counter: str = "1", officer: str = "", question: str = "", clean: int = -1) -> VoteCount:
    cell = ("s0001", "k", counter, officer, "08")
    return VoteCount(cell, day_of(day), question, 5, 1, n, n, n if clean < 0 else clean)


def shown(lines: list[Summed]) -> dict[tuple[str, ...], int | None]:
    return {line.cell[1:]: None if line.tally is None else line.tally.n_counted for line in lines}


OCTOBER = Cut(day_of(date(2026, 10, 1)), day_of(date(2026, 10, 31)))


def test_a_counter_of_the_same_days_does_not_give_the_other_away() -> None:
    """8 votes of two days, 5 of them at counter 1: the 3 of counter 2 would be known, however long the month is."""
    two = [vote(date(2026, 10, 5), 5), vote(date(2026, 10, 5), 3, counter="2")]
    later = [vote(date(2026, 10, 12), 40, counter="2")]
    lines = parts(two + later, OCTOBER, CLOSING, "counter", least=LEAST)
    assert shown(lines) == {("1",): None, ("2",): None}
    (whole,) = communes(two + later, OCTOBER, CLOSING, least=LEAST)
    assert whole.tally is not None
    assert whole.tally.n_counted == 48
    mixed = [vote(date(2026, 10, 6), 9), vote(date(2026, 10, 6), 9, counter="2")]
    assert shown(parts(two + mixed, OCTOBER, CLOSING, "counter", least=LEAST)) == {("1",): 14, ("2",): 12}


def test_a_question_left_over_takes_another_with_it() -> None:
    """14 votes; a and b of 6 each shown would leave 2 of c."""
    asked = [vote(date(2026, 10, 5), n, question=name) for name, n in (("a", 6), ("b", 7), ("c", 2))]
    told = {
        name: [
            line.tally and line.tally.n_counted
            for line in parts(asked, replace(OCTOBER, question=name), CLOSING, QUESTION, least=LEAST)
        ]
        for name in "abc"
    }
    assert told == {"a": [None], "b": [7], "c": [None]}


def test_a_few_flagged_votes_keep_the_filtered_figure_back() -> None:
    """Counted [5,0,0,0,1], filtered [5,0,0,0,0] side by side: the one flagged citizen pressed 5."""
    one = [vote(date(2026, 10, 5), 6, clean=5)]
    (line,) = communes(one, OCTOBER, CLOSING, least=LEAST)
    assert (line.tally is not None, line.filtered) == (True, False)
    five = [*one, vote(date(2026, 10, 6), 9, clean=5)]
    (line,) = communes(five, OCTOBER, CLOSING, least=LEAST)
    assert line.filtered
    assert [line.filtered for line in communes(five, replace(OCTOBER, split="day"), CLOSING, least=LEAST)] == [
        False,
        False,
    ]
    (line,) = communes(five, OCTOBER, Closing(OCTOBER.last), least=LEAST)
    assert not line.filtered, "the month is not over: one flagged vote more would be the difference"
    (line,) = communes([vote(date(2026, 10, 5), 6)], OCTOBER, Closing(OCTOBER.last), least=LEAST)
    assert line.filtered, "where nothing is flagged it is the raw figure"


def test_parts_are_of_months_that_are_over() -> None:
    some = [vote(date(2026, 10, 5), 9), vote(date(2026, 11, 5), 9)]
    lines = parts(some, Cut(OCTOBER.first, TODAY), CLOSING, "counter", least=LEAST)
    assert [(line.first, line.tally is None) for line in lines] == [(day_of(date(2026, 10, 5)), False)]
    assert parts(some, Cut(OCTOBER.first, OCTOBER.last - 1), CLOSING, "counter", least=LEAST) == []


@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz")), st.integers(0, 30)))
def test_the_search_for_few_finds_what_trying_all_finds(counts: dict[tuple[str, str], int]) -> None:
    """Rows of enough votes are shown whole; of the columns shown, no union may leave few of the rows it touches."""
    rows_of = Counter[str]()
    for (row, _), n in counts.items():
        rows_of[row] += n
    counts = {key: n for key, n in counts.items() if rows_of[key[0]] >= LEAST and n}
    kept = shown_values({tuple(key): n for key, n in counts.items()}, least=LEAST)[1] if counts else frozenset[str]()

    def few(columns: frozenset[str]) -> bool:
        part = {key: key[1] if key[1] in columns else "" for key in counts}
        for size in range(1, len(set(part.values())) + 1):
            for some in itertools.combinations(sorted(set(part.values())), size):
                touched = {key[0] for key in counts if part[key] in some}
                if 0 < sum(n for key, n in counts.items() if key[0] in touched and part[key] not in some) < LEAST:
                    return True
        return False

    assert not few(kept)
    # Withheld are the smallest, and no more of them than must be.
    columns = Counter[str]()
    for (_, column), n in counts.items():
        columns[column] += n
    larger = sorted((n, column) for column, n in columns.items() if n >= LEAST and column not in kept)
    assert not larger or few(kept | {larger[-1][1]})


def test_what_has_votes_and_no_period_is_withheld_and_an_open_day_is_not_there() -> None:
    few = [VoteCount(("s0001",), TODAY - 3, "", 5, 1, 4, 4, 4)]
    (line,) = communes(few, Cut(TODAY - 30, TODAY), CLOSING, least=LEAST)
    assert line.tally is None
    many = [VoteCount(("s0001",), TODAY, "", 5, 1, 40, 40, 40)]
    assert communes(many, Cut(TODAY - 30, TODAY), CLOSING, least=LEAST) == []
    closed = Closing(TODAY, frozenset({"s0001"}))
    (line,) = communes(many, Cut(TODAY - 30, TODAY), closed, least=LEAST)
    assert line.tally is not None
    assert line.tally.n_counted == 40


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
