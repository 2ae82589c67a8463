"""A province's broker goes, and all 166 communes lose it in one instant: they must not come back in one second."""

import bisect
import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from bus.backoff import Backoff
from provisioning.mosquitto import RECONNECT_LAST_S, Bridge, Listener, broker_conf, reconnect_first_s

CLIENTS = 166
# Evenly over five or six seconds they would be 28 to 33 a second; after an outage of some seconds, two draws overlap.
MOST_A_SECOND = 75


def direct(draw: random.Random, _: int) -> Iterator[float]:
    """When a direct client tries, in seconds after the loss: as `bus.mqtt` does."""
    at = 0.0
    for failures in itertools.count():
        at += Backoff().delay_s(failures, draw.random())
        yield at


def bridge(draw: random.Random, number: int) -> Iterator[float]:
    """When a bridge tries: as Mosquitto 2.0 does (bridge.c, bridge_check and bridge__backoff_step).

    It looks once a second, by its own clock; waits the base at first, and draws anew before each attempt.
    """
    wait = base = reconnect_first_s(f"s{number:04}")
    at = draw.random()
    while True:
        at += wait + 1
        yield at
        wait = min(RECONNECT_LAST_S, draw.randrange(base, wait * 3))


def most_in_a_second(times: list[float]) -> int:
    times = sorted(times)
    return max(bisect.bisect_left(times, at + 1) - index for index, at in enumerate(times))


@pytest.mark.parametrize("tries", [direct, bridge])
@pytest.mark.parametrize("away_s", [0, 1, 2, 3, 4, 6, 20, 300])
def test_a_province_does_not_return_in_one_second(
    tries: Callable[[random.Random, int], Iterator[float]], away_s: int
) -> None:
    for seed in range(40):
        draw = random.Random(seed)
        returns = [next(at for at in tries(draw, number) if at >= away_s) for number in range(1, CLIENTS + 1)]
        assert most_in_a_second(returns) <= MOST_A_SECOND


@pytest.mark.parametrize(("tries", "median_s"), [(direct, 3.0), (bridge, 6.0)])
def test_a_single_box_is_back_within_seconds(
    tries: Callable[[random.Random, int], Iterator[float]], median_s: float
) -> None:
    draw = random.Random(1)
    waits = sorted(next(tries(draw, number)) for number in range(1, 1_001))
    assert waits[500] <= median_s
    assert waits[-1] <= 8


def test_each_bridge_has_its_sites_base() -> None:
    for number in range(1, 7):
        site = f"s{number:04}"
        conf = broker_conf(Listener("127.0.0.1", 1), bridge=Bridge(site, "127.0.0.1", 2))
        assert f"restart_timeout {reconnect_first_s(site)} {RECONNECT_LAST_S}\n" in conf
