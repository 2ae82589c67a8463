"""What is shown when: the state machine as a table, and what holds for any script."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.flow import (
    Conditions,
    Flow,
    Input,
    KeepReason,
    LanguageChosen,
    Now,
    Prompt,
    ReasonGiven,
    Skipped,
    View,
    Voted,
    step,
)
from kiosk.settings import LOCAL, Hours, KioskSettings, Reason, Volume, is_open, volume_pct

SETTINGS = KioskSettings()


def run(*script: tuple[int, Input], settings: KioskSettings = SETTINGS) -> tuple[Flow, list[object]]:
    flow, effects = Flow(), list[object]()
    for now_ms, happened in script:
        flow, new = step(flow, happened, settings, now_ms=now_ms)
        effects += new
    return flow, effects


def test_a_vote_is_thanked_and_then_it_is_idle_again() -> None:
    flow, effects = run((0, Voted("p/b/1", 1, touch=True)))
    assert (flow.view, flow.until_ms, effects) == (View.THANKS, 4_000, [Prompt("thanks", "vi")])
    assert run((0, Voted("p/b/1", 1, touch=True)), (4_000, Now(Conditions())))[0].view is View.IDLE


@pytest.mark.parametrize(
    ("level", "touch", "then"),
    [(5, True, View.REASONS), (4, True, View.REASONS), (3, True, View.IDLE), (5, False, View.IDLE)],
)
def test_only_low_ratings_by_touch_are_asked_for_a_reason(level: int, touch: bool, then: View) -> None:
    assert run((0, Voted("p/b/1", level, touch=touch)), (4_000, Now(Conditions())))[0].view is then


@pytest.mark.parametrize(
    ("level", "levels", "then"),
    [(2, 3, View.IDLE), (3, 3, View.REASONS), (2, 4, View.IDLE), (3, 4, View.REASONS), (4, 4, View.REASONS)],
)
def test_the_face_tells_whether_a_reason_is_asked_whatever_the_number_of_levels(
    level: int, levels: int, then: View
) -> None:
    assert run((0, Voted("p/b/1", level, touch=True, levels=levels)), (4_000, Now(Conditions())))[0].view is then


def test_a_reason_is_kept_for_its_press_and_asked_once() -> None:
    asked: list[tuple[int, Input]] = [(0, Voted("p/b/1", 5, touch=True)), (4_000, Now(Conditions()))]
    asked.append((5_000, ReasonGiven("waiting")))
    flow, effects = run(*asked, (9_000, Now(Conditions())))
    assert KeepReason("p/b/1", "waiting") in effects
    assert flow.view is View.IDLE


def test_what_follows_a_low_rating_is_aside_and_without_a_sound() -> None:
    script: list[tuple[int, Input]] = [(0, Voted("p/b/1", 5, touch=True)), (4_000, Now(Conditions()))]
    flow, effects = run(*script)
    assert (flow.view, flow.aside, effects) == (View.REASONS, True, [Prompt("thanks", "vi")])
    flow, effects = run(*script, (5_000, ReasonGiven("waiting")))
    assert (flow.view, flow.aside, [one for one in effects if isinstance(one, Prompt)]) == (
        View.THANKS,
        True,
        [Prompt("thanks", "vi")],
    )
    assert not run(*script, (5_000, Voted("p/b/2", 1, touch=False)))[0].aside


@pytest.mark.parametrize("given_reason", ["", "no-such-reason"])
def test_a_reason_that_is_not_offered_is_not_kept(given_reason: str) -> None:
    _, effects = run((0, Voted("p/b/1", 5, touch=True)), (4_000, Now(Conditions())), (5_000, ReasonGiven(given_reason)))
    assert not any(isinstance(effect, KeepReason) for effect in effects)


def test_reasons_can_be_skipped_and_time_out() -> None:
    start: list[tuple[int, Input]] = [(0, Voted("p/b/1", 5, touch=True)), (4_000, Now(Conditions()))]
    assert run(*start, (5_000, Skipped()))[0].view is View.IDLE
    assert run(*start, (15_999, Now(Conditions())))[0].view is View.REASONS
    assert run(*start, (16_000, Now(Conditions())))[0].view is View.IDLE


@pytest.mark.parametrize(
    ("conditions", "view"),
    [
        (Conditions(counter_open=False), View.CLOSED),
        (Conditions(panel=False), View.NO_PANEL),
        (Conditions(counter_open=False, panel=False), View.CLOSED),
        (Conditions(network_up=False), View.IDLE),
    ],
)
def test_each_condition_has_its_picture_but_thanks_come_first(conditions: Conditions, view: View) -> None:
    assert run((0, Now(conditions)))[0].view is view
    assert run((0, Voted("p/b/1", 1, touch=False)), (1, Now(conditions)))[0].view is View.THANKS


def test_the_language_goes_back_when_the_citizen_walks_away() -> None:
    flow, effects = run((0, LanguageChosen("en")), (1_000, LanguageChosen("xx")))
    assert (flow.language, effects) == ("en", [Prompt("question", "en")])
    assert run((0, LanguageChosen("en")), (30_000, Now(Conditions())))[0].language == "en"
    assert run((0, LanguageChosen("en")), (30_001, Now(Conditions())))[0].language == "vi"


happenings = st.one_of(
    st.builds(Voted, st.just("p/b/1"), st.integers(1, 5), touch=st.booleans()),
    st.builds(ReasonGiven, st.sampled_from(["waiting", "other"])),
    st.builds(Skipped),
    st.builds(LanguageChosen, st.sampled_from(["vi", "en", "xx"])),
    st.builds(Now, st.builds(Conditions, st.booleans(), st.booleans(), st.sampled_from([None, True, False]))),
)


@given(st.lists(st.tuples(st.integers(0, 20_000), happenings), max_size=40))
def test_no_script_gets_stuck_and_thanks_never_tell_the_level(script: list[tuple[int, Input]]) -> None:
    flow, now_ms = Flow(), 0
    for wait_ms, happened in script:
        now_ms += wait_ms
        before = flow
        flow, effects = step(flow, happened, SETTINGS, now_ms=now_ms)
        if isinstance(happened, Voted):
            other, same = step(before, Voted("p/b/1", 6 - happened.level, touch=False), SETTINGS, now_ms=now_ms)
            assert (other.view, other.until_ms, same) == (flow.view, flow.until_ms, effects)
    for _ in range(3):
        now_ms += 31_000
        flow, _ = step(flow, Now(Conditions()), SETTINGS, now_ms=now_ms)
    assert (flow.view, flow.language) == (View.IDLE, "vi")


@pytest.mark.parametrize(
    ("local", "is_it_open", "loudness"),
    [
        ("2026-11-24 06:59", False, 70),
        ("2026-11-24 07:00", True, 70),
        ("2026-11-24 11:30", False, 70),
        ("2026-11-24 16:59", True, 70),
        ("2026-11-22 09:00", False, 70),  # a Sunday
        ("2026-11-24 03:15", False, 0),
        ("2026-11-24 18:00", False, 0),
    ],
)
def test_hours_and_volume(local: str, is_it_open: bool, loudness: int) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=LOCAL)
    assert (is_open(SETTINGS, at), volume_pct(SETTINGS, at)) == (is_it_open, loudness)


def test_a_rule_from_the_evening_holds_until_the_first_of_the_morning() -> None:
    settings = KioskSettings(volumes=[Volume("07:00", 80), Volume("19:00", 0)])
    assert volume_pct(settings, datetime(2026, 11, 24, 3, 15, tzinfo=LOCAL)) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"languages": ["en"]}, "languages must hold vi"),
        ({"reasons_from": 1}, "most satisfied"),
        ({"reasons": [Reason("a", "clock", {"en": "x"})]}, "vi form"),
        ({"reasons": [Reason(str(number), "clock", {"vi": "x"}) for number in range(5)]}, "4 at most"),
        ({"reasons": [Reason("a", "clock", {"vi": "x"})] * 2}, "same code"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_reason(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        KioskSettings(**change)  # type: ignore[arg-type] # the table holds any setting


def test_hours_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(ValueError, match="split them at midnight"):
        Hours(days=[1], opens="17:00", closes="07:00")
