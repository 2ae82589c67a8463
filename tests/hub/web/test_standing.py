"""How a commune stands: tables over facts, no store."""

from dataclasses import replace

import pytest

from agent.causes import Cause
from bus.entries import Sentence
from hub.pages import words
from hub.standing import (
    FINE_CAUSE,
    MINOR_CAUSES,
    NO_DATA_CAUSE,
    Absent,
    Diagnosed,
    Facts,
    State,
    by_urgency,
    stand,
)

NOW = 1_795_514_700_000
FINE = Diagnosed("fine", Sentence("ổn", "fine"), Sentence("", ""), NOW - 9_000_000, NOW - 9_000_000)
BROKEN = Diagnosed("fibre-down", Sentence("đứt", "broken"), Sentence("gọi", "call"), NOW - 60_000, NOW - 58_000)

UNSEEN = replace(BROKEN, cause="no-data")
PRINTER = replace(BROKEN, cause="lan-host-down")


def test_every_cause_of_the_agent_has_its_word_and_its_look() -> None:
    assert set(Cause) == set(words.CAUSES)
    assert set(Cause) >= MINOR_CAUSES | {FINE_CAUSE, NO_DATA_CAUSE}
    assert {words.look_of(cause) for cause in Cause} == {"fine", "silent", "attention", "fault"}


def _stand(**facts: object) -> tuple[State, int | None]:
    standing = stand(Facts("s1", "1", "Xã", **facts), now_ms=NOW, silent_after_s=90)  # type: ignore[arg-type]
    return standing.state, standing.since_ms


@pytest.mark.parametrize(
    ("facts", "state", "since_ms"),
    [
        ({}, State.SILENT, None),
        ({"seen_ms": NOW - 91_000, "diagnosed": FINE}, State.SILENT, NOW - 91_000),
        ({"seen_ms": NOW - 90_000, "diagnosed": FINE}, State.FINE, NOW - 9_000_000),
        ({"seen_ms": NOW, "diagnosed": None}, State.SILENT, None),
        ({"seen_ms": NOW, "diagnosed": BROKEN}, State.FAULT, NOW - 60_000),
        ({"seen_ms": NOW, "diagnosed": UNSEEN}, State.SILENT, NOW - 60_000),
        ({"seen_ms": NOW, "diagnosed": PRINTER}, State.ATTENTION, NOW - 60_000),
        ({"seen_ms": NOW, "diagnosed": FINE, "absent": (Absent("k", "kiosk", NOW - 5),)}, State.ATTENTION, NOW - 5),
        ({"seen_ms": NOW, "diagnosed": BROKEN, "absent": (Absent("k", "kiosk", 5),)}, State.FAULT, NOW - 60_000),
    ],
)
def test_states(facts: dict[str, object], state: State, since_ms: int | None) -> None:
    assert _stand(**facts) == (state, since_ms)


@pytest.mark.parametrize("since_ms", [0, 86_400_000, NOW + 3_600_000, 10**17, -5])
def test_a_date_from_a_wrong_clock_is_not_shown(since_ms: int) -> None:
    wrong = Diagnosed("fibre-down", BROKEN.says, BROKEN.do, since_ms, NOW)
    assert _stand(seen_ms=NOW, diagnosed=wrong) == (State.FAULT, None)


def test_a_silent_commune_tells_what_was_wrong_before() -> None:
    standing = stand(Facts("s1", "1", "Xã", seen_ms=1, diagnosed=BROKEN), now_ms=NOW, silent_after_s=90)
    assert standing.before == BROKEN.says
    assert standing.says != BROKEN.says


def test_an_agent_alone_in_its_silence_is_told_from_a_commune_cut_off() -> None:
    cut = stand(Facts("s1", "1", "Xã", seen_ms=1), now_ms=NOW, silent_after_s=90)
    alone = stand(Facts("s1", "1", "Xã", seen_ms=1, others_seen_ms=NOW), now_ms=NOW, silent_after_s=90)
    assert cut.says != alone.says


def test_every_sentence_is_in_both_languages() -> None:
    for facts in (
        Facts("s1", "1", "Xã"),
        Facts("s1", "1", "Xã", seen_ms=1),
        Facts("s1", "1", "Xã", seen_ms=1, others_seen_ms=NOW),
        Facts("s1", "1", "Xã", seen_ms=NOW),
        Facts("s1", "1", "Xã", seen_ms=NOW, diagnosed=FINE, absent=(Absent("k", "kiosk", NOW),) * 3),
    ):
        standing = stand(facts, now_ms=NOW, silent_after_s=90)
        assert standing.says.vi
        assert standing.says.vi != standing.says.en
        assert standing.do.vi != standing.do.en


def test_the_one_that_needs_people_most_comes_first() -> None:
    facts = [
        Facts("fine", "1", "A", seen_ms=NOW, diagnosed=FINE),
        Facts("fault", "2", "B", seen_ms=NOW, diagnosed=BROKEN),
        Facts("gone", "3", "C", seen_ms=NOW - 200_000, diagnosed=FINE),
        Facts("long-gone", "4", "D", seen_ms=5),
        Facts("never", "5", "E"),
    ]
    standings = sorted((stand(one, now_ms=NOW, silent_after_s=90) for one in facts), key=by_urgency)
    assert [one.facts.site for one in standings] == ["never", "long-gone", "gone", "fault", "fine"]
