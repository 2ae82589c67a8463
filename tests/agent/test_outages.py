"""Outages: opened when proved and named, closed when over; unseen time is unknown, and never the provider's."""

from dataclasses import replace

from agent import outages
from agent.judgement import State
from agent.outages import Book, Moment, Outage
from bus.entries import OutageClosed, OutageOpened
from tests.agent.world import WALL_MS, World, network


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


def test_a_clock_that_is_set_dates_anew_what_began_in_this_run_alone() -> None:
    old = Outage("s0001-agent-tslcd-5", "tslcd", "tslcd-down", 5, 6)
    new = Outage("s0001-agent-vnpt-100", "vnpt", "main-line-down", 100, 200)
    book = Book("s0001-agent", open={"tslcd": old, "vnpt": new}, seen_ns={"vnpt": 1})
    shifted = outages.shift(book, 1_000_000)
    assert shifted.open["tslcd"] == old
    assert (shifted.open["vnpt"].started_ms, shifted.open["vnpt"].seen_ms) == (1_000_100, 1_000_200)


def test_moment_ties_both_clocks() -> None:
    assert Moment(5_000_000_000, WALL_MS).wall_of(3_000_000_000) == WALL_MS - 2_000
