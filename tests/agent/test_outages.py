"""Outages: opened when proved and named, closed when over; unseen time is unknown, and never the provider's."""

from dataclasses import replace

import pytest

from agent import outages
from agent.judgement import State
from agent.outages import Book, Moment, Outage
from bus.entries import OutageClosed, OutageOpened
from hub.projections import outages as hub_outages
from hub.projections.rows import Source
from tests.agent.world import WALL_MS, World, network, without


def broken(*parts: str, seconds: float = 10) -> World:
    world = World()
    world.run(8)
    world.broken = set(parts)
    world.run(seconds)
    return world


def test_line_down_is_an_outage_with_provider_cause_and_evidence() -> None:
    world = broken("vnpt", seconds=60)
    world.broken = set()
    world.run(5)
    opened, closed = world.of(OutageOpened, OutageClosed)
    assert isinstance(opened, OutageOpened)
    assert isinstance(closed, OutageClosed)
    assert (opened.subject, opened.cause, opened.provider) == ("vnpt", "main-line-down", "VNPT")
    assert opened.evidence[0].startswith("vnpt/")
    assert closed.outage == opened.outage == f"s0001-agent-vnpt-{opened.started_ms}"
    assert 58_000 <= closed.ended_ms - closed.started_ms <= 62_000
    assert closed.unwatched_ms == 0


def test_a_dead_router_is_no_outage_of_the_lines_behind_it() -> None:
    world = broken("router", seconds=30)
    assert [(event.subject, event.cause) for event in world.of(OutageOpened) if isinstance(event, OutageOpened)] == [
        ("router", "router-dead")
    ]


def test_a_pulled_cable_opens_nothing() -> None:
    world = World()
    world.run(8)
    world.broken = {"lan"}
    world.take(network(world.now_ns, carrier=False))
    world.run(30)
    assert world.of(OutageOpened) == []


def test_time_behind_a_dead_router_is_unwatched() -> None:
    world = broken("vnpt", seconds=20)
    world.broken = {"vnpt", "router"}
    world.run(40)
    world.broken = {"vnpt"}
    world.run(20)
    world.broken = set()
    world.run(5)
    closed = next(e for e in world.of(OutageClosed) if isinstance(e, OutageClosed) and e.subject == "vnpt")
    assert 36_000 <= closed.unwatched_ms <= 46_000
    assert 78_000 <= closed.ended_ms - closed.started_ms <= 84_000


def test_an_outage_outlives_a_restart_and_the_time_between_is_unwatched() -> None:
    world = broken("vnpt", seconds=20)
    held = world.state.book.open["vnpt"]
    later = World()
    later.state = outages_in(later, held)
    later.now_ns += 3_600 * 1_000_000_000
    later.broken = {"vnpt"}
    later.due = [(later.now_ns, target) for _, target in later.due]
    later.run(20)
    later.broken = set()
    later.run(6)
    (closed,) = later.of(OutageOpened, OutageClosed)
    assert isinstance(closed, OutageClosed)
    assert closed.outage == held.outage
    assert closed.started_ms == held.started_ms
    assert 3_550_000 <= closed.unwatched_ms <= 3_610_000


def outages_in(world: World, held: Outage) -> State:
    return replace(world.state, book=replace(world.state.book, open={held.subject: held}))


def test_a_clock_that_is_set_dates_anew_what_began_in_this_boot_alone() -> None:
    def held(subject: str, boot: str) -> Outage:
        return Outage(f"s0001-agent-{subject}-100", subject, "line-down", 100, 200, 7, boot=boot)

    old, unseen, new = held("tslcd", "boot-1"), held("viettel", "boot-1"), held("vnpt", "boot-2")
    known = {outage.subject: outage for outage in (old, unseen, new)}
    book = Book("s0001-agent", open=known, seen_ns={"vnpt": 1, "tslcd": 1}, boot="boot-2")
    shifted = outages.shift(book, 1_000_000).open
    assert (shifted["vnpt"].started_ms, shifted["vnpt"].seen_ms, shifted["vnpt"].unwatched_ms) == (
        1_000_100,
        1_000_200,
        7,
    )
    assert (shifted["tslcd"].started_ms, shifted["tslcd"].seen_ms) == (100, 1_000_200)
    assert shifted["tslcd"].unwatched_ms == 1_000_007
    assert shifted["viettel"] == unseen


CUT_MS = 3 * 3_600_000


def after_the_cut(behind_ms: int) -> tuple[Outage, World]:
    """The line breaks, 20 s later the power goes for three hours, and the clock comes back behind where it was."""
    world = broken("vnpt", seconds=20)
    held = world.state.book.open["vnpt"]
    later = World(boot="boot-2")
    later.wall_ms = held.seen_ms - behind_ms - later.now_ns // 1_000_000
    later.state = outages_in(later, held)
    later.broken = {"vnpt"}
    later.run(30)
    return held, later


def set_the_clock(world: World, behind_ms: int) -> int:
    """What NTP moves it by: it says how long the power was away."""
    world.wall_ms += behind_ms + CUT_MS
    return behind_ms + CUT_MS


@pytest.mark.parametrize("behind_ms", [0, 420_000])
def test_a_power_cut_without_a_clock_is_not_charged_to_the_provider(behind_ms: int) -> None:
    held, world = after_the_cut(behind_ms)
    set_the_clock(world, behind_ms)
    world.run(20)
    world.broken = set()
    world.run(6)
    (closed,) = world.of(OutageOpened, OutageClosed)
    assert isinstance(closed, OutageClosed)
    assert closed.started_ms == held.started_ms
    assert closed.carried
    assert CUT_MS - 1_000 <= closed.unwatched_ms <= CUT_MS + 12_000
    assert 60_000 <= closed.ended_ms - closed.started_ms - closed.unwatched_ms <= 75_000


@pytest.mark.parametrize("behind_ms", [0, 420_000])
def test_an_outage_that_ends_before_the_clock_is_set_is_put_right_by_the_anchor_alone(behind_ms: int) -> None:
    """NTP comes over the very line that was down, so its closing record bears a clock that is not yet known."""
    held, world = after_the_cut(behind_ms)
    world.broken = set()
    world.run(6)
    (closed,) = world.of(OutageOpened, OutageClosed)
    assert isinstance(closed, OutageClosed)
    moved = Source(1, 1, "s0001", "s0001-agent", 0, set_the_clock(world, behind_ms))
    row = hub_outages.closed(moved, closed).writes[0].values
    assert row["started_ms"] == held.started_ms
    assert CUT_MS - 1_000 <= row["unwatched_ms"] <= CUT_MS + 12_000
    assert 40_000 <= row["ended_ms"] - row["started_ms"] - row["unwatched_ms"] <= 55_000


def test_an_outage_of_a_line_that_was_taken_out_ends_with_the_last_moment_in_which_it_was_seen() -> None:
    held = broken("vnpt", seconds=20).state.book.open["vnpt"]
    later = World(rungs=tuple(without("vnpt")))
    later.state = outages_in(later, held)
    later.now_ns += 3_600 * 1_000_000_000
    later.conclude()
    (closed,) = later.of(OutageOpened, OutageClosed)
    assert isinstance(closed, OutageClosed)
    assert closed.ended_ms - closed.unwatched_ms == held.seen_ms
    assert closed.unwatched_ms > 3_500_000
    assert later.state.book.open == {}


def test_moment_ties_both_clocks() -> None:
    assert Moment(5_000_000_000, WALL_MS).wall_of(3_000_000_000) == WALL_MS - 2_000
