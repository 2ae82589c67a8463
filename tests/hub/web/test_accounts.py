"""Accounts of journals: every number is stored, lost or missing, and none of them twice."""

from hypothesis import given
from hypothesis import strategies as st

from hub.accounts import Account, account

RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=8)


def test_an_empty_journal() -> None:
    assert account([], [], head=0) == Account(None, None, 0, 0)
    assert account([], [], head=5) == Account(None, None, 0, 5)


def test_lost_counts_only_what_is_not_stored() -> None:
    assert account([(1, 5)], [(4, 8, "shed"), (8, 9, "damaged")], head=12) == Account(
        1, 5, 5, 3, {"damaged": 2, "shed": 2}
    )


@given(RANGES, st.lists(st.tuples(st.sampled_from(["shed", "damaged"]), RANGES), max_size=3), st.integers(0, 80))
def test_it_balances_as_counting_one_by_one_does(
    stored: list[tuple[int, int]], told: list[tuple[str, list[tuple[int, int]]]], head: int
) -> None:
    lost = [(first, last, reason) for reason, ranges in told for first, last in ranges]
    held = {number for first, last in stored for number in range(first, last + 1)}
    whole = set(range(1, max([head, *held]) + 1))
    gone = {number for first, last, _ in lost for number in range(first, last + 1)} & (whole - held)
    found = account(stored, lost, head=head)
    assert found.stored == len(held)
    assert sum(found.lost.values()) == len(gone)
    assert found.missing == len(whole - held - gone)
    assert (found.first, found.last) == ((min(held), max(held)) if held else (None, None))
