"""Which presses are known, against a set that forgets nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.ledger import PressLedger
from kiosk.panel.session import Known


def name(seq: int) -> str:
    return f"touch-abcd/0000000A/{seq}"


@given(st.lists(st.tuples(st.sampled_from(["begin", "keep", "give up"]), st.integers(0, 40))))
def test_known_is_what_was_kept_in_whatever_order(calls: list[tuple[str, int]]) -> None:
    ledger, pending, kept = PressLedger(), set[int](), set[int]()
    for call, seq in calls:
        match call:
            case "begin" if seq not in kept:
                ledger.begin(name(seq))
                pending.add(seq)
            case "keep":
                ledger.keep(name(seq))
                pending.discard(seq)
                kept.add(seq)
            case "give up":
                ledger.give_up(name(seq))
                pending.discard(seq)
        for number in range(42):
            wanted = Known.PENDING if number in pending else Known.DURABLE if number in kept else Known.NEW
            assert ledger.known(name(number)) is wanted


def test_a_press_that_was_refused_stays_new_whatever_is_stored_after_it() -> None:
    """A page hands it in again, perhaps weeks later: "stored" would then be the loss of a vote."""
    ledger = PressLedger()
    for seq in [1, *range(3, 5_000)]:
        ledger.keep(name(seq))
    assert ledger.known(name(2)) is Known.NEW
    assert ledger.known(name(1)) is ledger.known(name(4_999)) is Known.DURABLE


def test_memory_is_bounded_and_what_is_stored_is_never_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.ledger._GAPS", 10)
    ledger = PressLedger()
    for seq in range(0, 100, 2):
        ledger.keep(name(seq))
    assert all(ledger.known(name(seq)) is Known.DURABLE for seq in range(0, 100, 2))
    assert [seq for seq in range(100) if ledger.known(name(seq)) is Known.NEW] == list(range(79, 100, 2))
