"""Which press replaces which, and what is flagged: the rules of docs/ratings.md as a table, then as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.votes import BURST, MASHING, OUT_OF_HOURS, STUCK, SUPERSEDED, Judged, Pressed, Recent, judge


def play(*presses: tuple[int, int], counter_open: bool = True) -> list[Judged]:
    """Judge presses given as (pressed_ms, level), in the order heard; press i is named `p/b/i`."""
    recent: Recent = ()
    judged = []
    for number, (pressed_ms, level) in enumerate(presses):
        recent, result = judge(recent, Pressed(f"p/b/{number}", pressed_ms, level, "1"), counter_open=counter_open)
        judged.append(result)
    return judged


def test_one_press_is_one_vote() -> None:
    assert play((0, 1)) == [Judged("", [], {})]


@pytest.mark.parametrize(("gap_ms", "replaces"), [(1, "p/b/0"), (5_000, "p/b/0"), (5_001, "")])
def test_another_button_within_5_s_replaces_the_vote(gap_ms: int, replaces: str) -> None:
    assert play((0, 5), (gap_ms, 1))[1].replaces == replaces


def test_a_press_heard_late_does_not_replace_the_vote_made_after_it() -> None:
    late = play((10_000, 1), (8_000, 5))[1]
    assert (late.replaces, late.flags) == ("", [SUPERSEDED])


def test_three_buttons_within_5_s_are_mashing_and_the_first_two_are_flagged_too() -> None:
    last = play((0, 1), (1_000, 2), (2_000, 3))[2]
    assert last.flags == [MASHING]
    assert last.flagged_earlier == {MASHING: ["p/b/0", "p/b/1"]}


def test_flagged_once_is_not_flagged_again() -> None:
    last = play((0, 1), (1_000, 2), (2_000, 3), (3_000, 4))[3]
    assert last.flags == [MASHING]
    assert last.flagged_earlier == {}


def test_eight_presses_of_one_button_without_pause_are_a_stuck_button() -> None:
    judged = play(*((second * 2_000, 1) for second in range(8)))
    assert judged[6].flags == []
    assert judged[7].flags == [STUCK]
    assert judged[7].flagged_earlier == {STUCK: [f"p/b/{number}" for number in range(7)]}


def test_five_standing_votes_in_a_minute_are_a_burst() -> None:
    judged = play(*((second * 10_000, 1) for second in range(5)))
    assert [result.flags for result in judged] == [[], [], [], [], [BURST]]
    assert judged[4].flagged_earlier == {BURST: [f"p/b/{number}" for number in range(4)]}


def test_a_busy_but_honest_counter_is_not_flagged() -> None:
    assert all(result == Judged("", [], {}) for result in play(*((minute * 20_000, 1) for minute in range(30))))


def test_out_of_hours_is_flagged_and_kept() -> None:
    assert play((0, 1), counter_open=False)[0].flags == [OUT_OF_HOURS]


def test_counters_do_not_mix() -> None:
    recent, _ = judge((), Pressed("p/b/0", 0, 1, "1"), counter_open=True)
    _, other = judge(recent, Pressed("q/b/0", 1_000, 5, "2"), counter_open=True)
    assert other == Judged("", [], {})


@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 5)), max_size=80))
def test_every_press_is_replaced_at_most_once_and_memory_is_bounded(script: list[tuple[int, int]]) -> None:
    recent: Recent = ()
    now_ms, replaced = 0, []
    for number, (gap_ms, level) in enumerate(script):
        now_ms += gap_ms
        recent, result = judge(recent, Pressed(f"p/b/{number}", now_ms, level, "1"), counter_open=True)
        replaced += [result.replaces] if result.replaces else []
        assert len(recent) <= 64
        assert recent[-1].flags == frozenset(result.flags)
    assert len(replaced) == len(set(replaced))
