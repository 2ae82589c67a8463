"""Ranges against plain sets of numbers: the same answers, and always in canonical form."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bus.ranges import Ranges, clip, count, covers, intersect, subtract, union

numbers = st.sets(st.integers(1, 40))
spans = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=8)


def ranges_of(held: set[int]) -> Ranges:
    return union((number, number) for number in held)


def numbers_in(ranges: Ranges) -> set[int]:
    listed = [number for first, last in ranges for number in range(first, last + 1)]
    assert sorted(set(listed)) == listed, "ascending, nothing twice"
    assert all(after[0] > before[1] + 1 for before, after in itertools.pairwise(ranges)), "none touch"
    return set(listed)


@given(spans)
def test_whatever_comes_from_outside_is_brought_into_form(given_spans: list[tuple[int, int]]) -> None:
    wanted = {number for first, last in given_spans for number in range(first, last + 1)}
    assert numbers_in(union(given_spans)) == wanted


@given(numbers, numbers, st.integers(1, 40), st.integers(1, 40))
def test_they_are_sets(one: set[int], other: set[int], first: int, last: int) -> None:
    a, b = ranges_of(one), ranges_of(other)
    within = set(range(first, last + 1))
    assert numbers_in(union(a, b)) == one | other
    assert numbers_in(subtract(a, b)) == one - other
    assert numbers_in(intersect(a, b)) == one & other
    assert numbers_in(clip(a, first, last) if first <= last else ()) == one & within
    assert covers(a, first, last) == (within <= one)
    assert count(a) == len(one)
