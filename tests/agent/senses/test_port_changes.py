from dataclasses import replace

from agent.observations import Duplex, NetworkState, PortState
from agent.senses.port_changes import PortFindings, PortHistory, findings, follow, follow_all

SECOND = 1_000_000_000
WINDOW_NS = 600 * SECOND
GOOD = PortState("eth0", present=True, carrier=True, speed_mbit=1000, duplex=Duplex.FULL)


def port(**values: object) -> PortState:
    return replace(GOOD, **values)  # type: ignore[arg-type]


def history_of(*ports: PortState, step_ns: int = SECOND) -> PortHistory:
    history = PortHistory()
    for index, state in enumerate(ports):
        history = follow(history, state, mono_ns=index * step_ns, window_ns=WINDOW_NS)
    return history


def test_a_steady_port_has_nothing_odd() -> None:
    assert findings(history_of(GOOD, GOOD, GOOD)) == PortFindings(flaps=0, slow_from_mbit=None, half_duplex=False)


def test_each_loss_of_carrier_is_a_flap_and_old_ones_are_forgotten() -> None:
    down = port(carrier=False, speed_mbit=None)
    history = history_of(GOOD, down, GOOD, down, GOOD)
    assert findings(history).flaps == 2
    assert findings(follow(history, GOOD, mono_ns=700 * SECOND, window_ns=WINDOW_NS)).flaps == 0
    assert findings(follow(history, GOOD, mono_ns=700 * SECOND, window_ns=2 * WINDOW_NS)).flaps == 2


def test_flaps_too_short_to_be_seen_are_taken_from_the_kernels_count() -> None:
    assert findings(history_of(port(carrier_changes=2), port(carrier_changes=6))).flaps == 2
    down = port(carrier=False, carrier_changes=3, speed_mbit=None)
    assert findings(history_of(port(carrier_changes=2), down)).flaps == 1
    assert findings(history_of(down, port(carrier_changes=4))).flaps == 0


def test_a_port_that_comes_back_slower_is_told_with_what_it_had() -> None:
    assert findings(history_of(GOOD, port(speed_mbit=100))).slow_from_mbit == 1000
    assert findings(history_of(port(speed_mbit=100))).slow_from_mbit is None
    assert findings(history_of(port(speed_mbit=100)), expected_mbit=1000).slow_from_mbit == 1000
    assert findings(history_of(GOOD, port(speed_mbit=100)), expected_mbit=100).slow_from_mbit is None
    assert findings(history_of(GOOD, port(speed_mbit=None, carrier=False))).slow_from_mbit is None


def test_half_duplex_is_told_only_with_carrier() -> None:
    assert findings(history_of(port(duplex=Duplex.HALF))).half_duplex
    assert not findings(history_of(port(duplex=Duplex.HALF, carrier=False))).half_duplex


def test_a_port_that_vanishes_has_lost_its_carrier() -> None:
    histories = follow_all({}, NetworkState(0, {"eth0": GOOD}), window_ns=WINDOW_NS)
    histories = follow_all(histories, NetworkState(SECOND, {}), window_ns=WINDOW_NS)
    last = histories["eth0"].last
    assert last is not None
    assert (last.present, last.carrier, last.speed_mbit) == (False, False, None)
    assert findings(histories["eth0"]).flaps == 1
