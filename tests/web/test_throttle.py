"""Wrong passwords cost time, and only those who give them."""

from hypothesis import given
from hypothesis import strategies as st

from web.throttle import FREE_BY_ADDRESS, FREE_BY_NAME, LONGEST_WAIT_S, MAX_REMEMBERED, Throttle


def test_a_few_tries_are_free_then_the_wait_doubles() -> None:
    throttle, now = Throttle(), 0.0
    waits = []
    for _ in range(FREE_BY_NAME + 4):
        waits.append(throttle.wait_s(address="a", name="an", now_s=now))
        now += waits[-1]
        throttle.wrong(address="a", name="an", now_s=now)
    assert waits == [0.0] * FREE_BY_NAME + [2.0, 4.0, 8.0, 16.0]


def test_another_address_is_not_held_back_for_it() -> None:
    throttle = Throttle()
    for _ in range(20):
        throttle.wrong(address="a", name="an", now_s=0.0)
    assert throttle.wait_s(address="a", name="an", now_s=0.0) > 0
    assert throttle.wait_s(address="b", name="an", now_s=0.0) == 0


def test_many_names_from_one_address_are_held_back() -> None:
    throttle = Throttle()
    for number in range(FREE_BY_ADDRESS):
        throttle.wrong(address="a", name=f"n{number}", now_s=0.0)
    assert throttle.wait_s(address="a", name="fresh", now_s=0.0) > 0


def test_the_right_password_clears_the_name_but_not_the_address() -> None:
    throttle = Throttle()
    for number in range(FREE_BY_ADDRESS - FREE_BY_NAME):
        throttle.wrong(address="a", name=f"n{number}", now_s=0.0)
    for _ in range(FREE_BY_NAME):
        throttle.wrong(address="a", name="an", now_s=0.0)
    throttle.right(address="a", name="an")
    assert throttle.wait_s(address="a", name="an", now_s=0.0) > 0
    assert throttle.wait_s(address="a", name="an", now_s=60.0) == 0


def test_it_is_forgotten_after_an_hour() -> None:
    throttle = Throttle()
    for _ in range(12):
        throttle.wrong(address="a", name="an", now_s=0.0)
    throttle.wrong(address="a", name="an", now_s=2 * 3600.0)
    assert throttle.wait_s(address="a", name="an", now_s=2 * 3600.0) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y"]), st.floats(0, 10_000)), max_size=60))
def test_no_wait_is_ever_longer_than_the_cap(tries: list[tuple[str, str, float]]) -> None:
    throttle, now = Throttle(), 0.0
    for address, name, step in tries:
        now += step
        throttle.wrong(address=address, name=name, now_s=now)
        assert 0 <= throttle.wait_s(address=address, name=name, now_s=now) <= LONGEST_WAIT_S


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for number in range(MAX_REMEMBERED + 50):
        throttle.wrong(address=str(number), name="an", now_s=float(number))
    assert len(throttle._budgets) <= MAX_REMEMBERED
