"""Judgement as a whole, on a simulated commune: each fault is told as itself, once, whatever the probes' phases."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.diagnosis import PowerView
from agent.ladder import Pace
from agent.observations import Duplex
from bus.entries import DiagnosisChanged, EventNoted, LinkMinute, OutageOpened
from tests.agent.world import S, World, network, without

FAULTS = [
    ({"lan"}, "switch-dead", "switch"),
    ({"router"}, "router-dead", "router"),
    ({"vnpt", "viettel", "tslcd"}, "fibre-down", "vnpt"),
    ({"vnpt", "viettel"}, "internet-down", "vnpt"),
    ({"vnpt"}, "main-line-down", "vnpt"),
    ({"viettel"}, "spare-line-down", "viettel"),
    ({"tslcd"}, "tslcd-down", "tslcd"),
    ({"dns/1"}, "dns-dead", "dns"),
    ({"vnpt-web"}, "web-broken", "vnpt-web"),
    ({"hub"}, "hub-unreachable", "hub"),
    ({"mot-cua"}, "service-down", "mot-cua"),
    ({"may-in"}, "lan-host-down", "may-in"),
]
FINE = ("fine", "")


def started(seed: int = 0, **how: object) -> World:
    world = World(seed, **how)  # type: ignore[arg-type]
    world.run(8)
    assert world.told() == [FINE]
    return world


@pytest.mark.parametrize(("broken", "cause", "subject"), FAULTS, ids=[cause for _, cause, _ in FAULTS])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), phase=st.floats(0, 1), lasts=st.floats(6, 20))
def test_a_fault_and_its_end_are_one_change_each(
    broken: set[str], cause: str, subject: str, seed: int, phase: float, lasts: float
) -> None:
    world = started(seed)
    world.run(phase)
    world.broken = broken
    world.run(lasts)
    world.broken = set()
    world.run(15)
    assert world.told() == [FINE, (cause, subject), FINE]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), phase=st.floats(0, 1), line=st.sampled_from(["vnpt", "tslcd", "viettel"]))
def test_silent_upstream_loss_is_told_within_three_seconds(seed: int, phase: float, line: str) -> None:
    world = started(seed)
    world.run(phase)
    world.broken = {line}
    world.run(3)
    assert len(world.told()) == 2


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_five_percent_random_loss_is_never_down(seed: int) -> None:
    world = started(seed)
    world.loss_pct = {"vnpt": 5.0, "tslcd": 5.0, "lan": 2.0}
    world.run(300)
    assert {cause for cause, _ in world.told()} <= {"fine", "line-degraded", "lan-loss"}


def test_loss_of_a_line_and_loss_of_the_lan_are_told_apart() -> None:
    for part, wanted in (("vnpt", ("line-degraded", "vnpt")), ("lan", ("lan-loss", "lan"))):
        for seed in range(5):
            world = started(seed)
            world.loss_pct = {part: 25.0}
            world.run(20)
            world.loss_pct = {}
            world.run(20)
            assert world.told() == [FINE, wanted, FINE], f"{part}, seed {seed}"


def test_without_a_spare_or_tslcd_a_cut_line_is_the_fibre() -> None:
    world = started(rungs=tuple(without("viettel", "tslcd")))
    world.broken = {"vnpt", "tslcd"}
    world.run(8)
    assert world.told()[1:] == [("fibre-down", "vnpt")]


def test_where_no_router_is_watched_it_is_not_said_to_work() -> None:
    for rungs, known in ((without("viettel", "tslcd"), True), (without("viettel", "tslcd", "router"), False)):
        world = started(rungs=tuple(rungs))
        world.state = replace(
            world.state,
            layout=replace(
                world.state.layout,
                lines=tuple(replace(line, router="router" if known else "") for line in world.state.layout.lines),
            ),
        )
        world.broken = {"vnpt", "tslcd"}
        world.run(8)
        record = world.of(DiagnosisChanged)[-1]
        assert isinstance(record, DiagnosisChanged)
        assert record.cause == "fibre-down"
        assert ("the router works" in record.says.en) == known


def test_without_neighbours_a_silent_lan_is_laid_at_the_router_with_less_confidence() -> None:
    world = started(rungs=tuple(without("switch", "may-in")))
    world.broken = {"lan"}
    world.run(8)
    record = world.of(DiagnosisChanged)[-1]
    assert isinstance(record, DiagnosisChanged)
    assert (record.cause, record.confidence) == ("router-dead", 0.6)
    assert "not known" in record.says.en, "nobody has told how the office network is"


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), off=st.floats(5, 90))
def test_a_printer_that_was_off_before_does_not_make_a_dead_router_a_dead_switch(seed: int, off: float) -> None:
    world = started(seed, rungs=tuple(without("switch")))
    world.broken = {"may-in"}
    world.run(off)
    assert world.told()[1:] == [("lan-host-down", "may-in")]
    world.broken = {"may-in", "router"}
    world.run(10)
    assert world.told()[2:] == [("router-dead", "router")]
    world.broken = {"router"}
    world.run(5)
    assert world.told()[2:] == [("router-dead", "router")]


def test_a_host_that_may_be_off_at_night_only_speaks_for_the_switch() -> None:
    for broken, cause in (({"lan"}, "router-dead"), ({"router"}, "router-dead")):
        world = started(rungs=tuple(without("switch")))
        world.state = replace(world.state, layout=replace(world.state.layout, part_time=frozenset({"may-in"})))
        world.broken = broken
        world.run(8)
        record = world.of(DiagnosisChanged)[-1]
        assert isinstance(record, DiagnosisChanged)
        assert record.cause == cause
        assert ("not known" in record.says.en) == (broken == {"lan"})


def test_without_a_switch_address_a_printer_that_falls_silent_with_the_router_means_the_switch() -> None:
    for seed in range(5):
        world = started(seed, rungs=tuple(without("switch")))
        world.broken = {"lan"}
        world.run(8)
        assert world.told()[1:] == [("switch-dead", "switch")]


def test_a_switch_whose_address_never_answers_does_not_speak_for_a_dead_router() -> None:
    world = World(rungs=tuple(without("may-in")))
    world.broken = {"switch"}
    world.run(20)
    world.broken = {"switch", "router"}
    world.run(8)
    assert world.told()[-1] == ("router-dead", "router")


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), phase=st.floats(0, 1))
def test_what_the_box_could_not_ask_is_no_fault_of_what_was_asked(seed: int, phase: float) -> None:
    world = started(seed)
    world.run(phase)
    world.unasked = {"all"}
    world.run(30)
    assert world.told() == [FINE, ("cannot-probe", "")]
    assert world.of(OutageOpened) == []
    world.unasked = set()
    world.run(15)
    assert world.told() == [FINE, ("cannot-probe", ""), FINE]
    minutes = [record for record in world.of(LinkMinute) if isinstance(record, LinkMinute)]
    assert all(target.failed == 0 for minute in minutes for target in minute.targets.values())


def test_without_the_right_to_ping_the_lines_are_not_known_and_nothing_beyond_is_blamed() -> None:
    world = World()
    world.unasked = {target for rung in world.rungs if rung.pings for target in rung.targets}
    world.run(10)
    assert world.told() == [("cannot-probe", "")]
    world.broken = {"tslcd", "hub"}
    world.run(20)
    assert world.told() == [("cannot-probe", "")]
    assert world.of(OutageOpened) == []


def test_one_probe_that_could_not_be_made_is_nothing() -> None:
    world = started()
    for _ in range(5):
        world.unasked = {"router"}
        world.run(1)
        world.unasked = set()
        world.run(3)
    assert world.told() == [FINE]


def test_a_pulled_cable_is_told_at_once_and_the_rest_is_silent() -> None:
    world = started()
    world.broken = {"lan"}
    world.take(network(world.now_ns, carrier=False))
    assert world.told()[-1] == ("cable-unplugged", "lan0")
    world.run(20)
    world.broken = set()
    world.take(network(world.now_ns))
    world.run(8)
    assert world.told() == [FINE, ("cable-unplugged", "lan0"), FINE]
    events = [record.event for record in world.of(EventNoted) if isinstance(record, EventNoted)]
    assert events == ["carrier-lost", "carrier-back"]


def test_port_that_is_gone() -> None:
    world = started()
    world.take(replace(network(world.now_ns), ports={}))
    assert world.told()[-1] == ("port-missing", "lan0")


def test_flapping_port_then_plainly_out() -> None:
    world = started()
    for _ in range(3):
        world.take(network(world.now_ns, carrier=False))
        world.run(0.3)
        world.take(network(world.now_ns, carrier=True))
        world.run(0.3)
    assert world.told()[1:] == [("cable-unplugged", "lan0"), ("port-flapping", "lan0")]
    world.broken = {"lan"}
    world.take(network(world.now_ns, carrier=False))
    world.run(40)
    assert world.told()[-1] == ("cable-unplugged", "lan0")


def test_a_cable_that_loses_contact_each_quarter_of_an_hour_flaps_where_an_hour_is_judged() -> None:
    world = started(pace=Pace(8 * S, 3_600 * S))
    for _ in range(3):
        world.now_ns += 900 * S
        world.take(network(world.now_ns, carrier=False))
        world.now_ns += S
        world.take(network(world.now_ns))
    assert world.told()[-1] == ("port-flapping", "lan0")


def test_flapping_line() -> None:
    world = started()
    for _ in range(3):
        world.broken = {"vnpt"}
        world.run(5)
        world.broken = set()
        world.run(5)
    assert world.told()[-1] == ("line-flapping", "vnpt")
    world.run(70)
    assert world.told()[-1] == FINE


def test_no_address_no_route_and_a_wrong_one() -> None:
    world = started()
    world.broken = {"lan"}
    world.take(network(world.now_ns, addresses=()))
    world.run(8)
    world.broken = set()
    world.take(network(world.now_ns))
    world.run(8)
    world.broken = {"vnpt", "viettel", "tslcd"}
    world.take(network(world.now_ns, gateway=None))
    world.run(8)
    world.take(network(world.now_ns, gateway="10.0.0.99"))
    world.run(8)
    assert world.told()[1:] == [("no-address", "lan0"), FINE, ("no-route", "lan0"), ("wrong-route", "lan0")]


def test_another_router_that_works_is_no_fault() -> None:
    world = started()
    world.take(network(world.now_ns, gateway="10.0.0.99"))
    world.run(10)
    assert world.told() == [FINE]


def test_reasons_of_a_service() -> None:
    for reason, cause in (("expired-certificate", "certificate-expired"), ("bad-certificate", "certificate-bad")):
        world = started()
        world.broken, world.reasons = {"ky-so"}, {"ky-so": reason}
        world.run(8)
        assert world.told()[1:] == [(cause, "ky-so")]


def test_speed_fell_and_half_duplex() -> None:
    world = started()
    world.take(network(world.now_ns, speed_mbit=100))
    world.run(12)
    assert world.told()[1:] == [("speed-fell", "lan0")]
    world.take(network(world.now_ns, duplex=Duplex.HALF))
    world.run(1)
    world.take(network(world.now_ns))
    world.run(8)
    assert world.told()[1:] == [("speed-fell", "lan0"), FINE]


def test_mains_come_first_whatever_else_is_down() -> None:
    world = started()
    world.state = replace(world.state, power=PowerView(on_battery=True, minutes_left=20))
    world.broken = {"router"}
    world.run(8)
    assert world.told()[1:] == [("on-battery", "")]


def test_warnings_are_told_only_when_nothing_is_wrong() -> None:
    world = started()
    world.state = replace(world.state, light_low={"vnpt": 12.5}, ending={"ky-so": 5.0}, recording=False)
    world.run(6)
    assert world.told()[-1] == ("light-falling", "vnpt")
    world.state = replace(world.state, light_low={"vnpt": 12.5, "viettel": 0.0})
    world.run(6)
    assert world.told()[-1] == ("light-low", "viettel")
    world.state = replace(world.state, light_low={})
    world.run(6)
    assert world.told()[-1] == ("recording-broken", "")
    world.state = replace(world.state, recording=True)
    world.run(6)
    assert world.told()[-1] == ("certificate-ending", "ky-so")


@pytest.mark.parametrize("first", ["vnpt", "viettel"])
def test_two_lines_that_come_back_a_moment_apart_are_one_mending(first: str) -> None:
    lines = {"vnpt", "viettel"}
    world = started()
    world.broken = set(lines)
    world.run(8)
    world.broken = lines - {first}
    world.run(1.2)
    world.broken = set()
    world.run(8)
    assert world.told()[1:] == [("internet-down", "vnpt"), FINE]


def test_of_two_lines_the_one_that_stays_down_is_told() -> None:
    world = started()
    world.broken = {"vnpt", "viettel"}
    world.run(8)
    world.broken = {"viettel"}
    world.run(8)
    assert world.told()[1:] == [("internet-down", "vnpt"), ("spare-line-down", "viettel")]


def test_what_is_still_to_come_is_told_again_when_less_time_is_left_not_each_day() -> None:
    world = started()
    for days in (29.0, 25.0, 14.5, 14.0, 9.0, 6.9, 0.4):
        world.state = replace(world.state, light_low={"vnpt": days})
        world.run(6)
    told = [record for record in world.records if isinstance(record, DiagnosisChanged)]
    assert [record.says.en.rpartition("within ")[2] for record in told if record.cause == "light-falling"] == [
        "30 days.",
        "14 days.",
        "7 days.",
        "2 days.",
    ]


def test_a_certificate_is_never_told_to_end_sooner_than_it_does() -> None:
    world = started()
    for days in (364.0, 200.0, 170.0, 61.0, 45.0, 30.0):
        world.state = replace(world.state, ending={"ky-so": days})
        world.run(6)
    told = [record for record in world.records if isinstance(record, DiagnosisChanged)]
    within = [record.says.en.rpartition("within ")[2] for record in told if record.cause == "certificate-ending"]
    assert within == ["365 days.", "180 days.", "90 days.", "60 days.", "30 days."]


def test_no_probe_ends_is_no_data_and_never_fine() -> None:
    world = started()
    world.due.clear()
    world.run(25)
    assert world.told()[-1] == ("no-data", "")


def test_hosts_that_are_off_at_night_are_no_fault() -> None:
    world = started()
    world.state = replace(world.state, layout=replace(world.state.layout, part_time=frozenset({"may-in"})))
    world.broken = {"may-in"}
    world.run(10)
    assert world.told() == [FINE]


def test_a_dead_anchor_is_not_a_dead_line_nor_a_lossy_one() -> None:
    world = started()
    world.broken = {"vnpt/2"}
    world.run(150)
    assert world.told() == [FINE]
    world.broken = {"vnpt/2", "vnpt"}
    world.run(5)
    assert world.told()[-1] == ("main-line-down", "vnpt")


def test_uplink_in_use_follows_what_works() -> None:
    world = started()
    world.broken = {"vnpt"}
    world.run(6)
    record = world.of(DiagnosisChanged)[-1]
    assert isinstance(record, DiagnosisChanged)
    assert record.uplink == "viettel"
    assert any(line.startswith("vnpt down timeout") for line in record.evidence)
