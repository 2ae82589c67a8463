"""Minutes: only observed time counts."""

from agent import judgement, minutes
from agent.minutes import LineNow
from agent.observations import ProbeResult
from bus.entries import LineMinute, LinkMinute
from tests.agent.world import WALL_MS, World

MINUTE = 60_000


def result(*, success: bool = True, rtt_ms: float | None = 10.0, loss_pct: float = 0.0) -> ProbeResult:
    return ProbeResult("vnpt/1", 0, success, 100.0, loss_pct, rtt_ms=rtt_ms, jitter_ms=1.0 if success else None)


def test_a_minute_sums_up_its_bursts() -> None:
    minute = minutes.begin(90_123)
    for one in (result(), result(rtt_ms=20.0, loss_pct=50.0), result(success=False, rtt_ms=None, loss_pct=100.0)):
        minute = minutes.add(minute, one)
    for down in (False, True, None):
        minute = minutes.second(minute, [LineNow("vnpt", "VNPT", down)])
    record = minutes.close(minute, {"vnpt": "VNPT"})
    assert record is not None
    assert record.start_ms == MINUTE
    target = record.targets["vnpt/1"]
    assert (target.tried, target.failed, target.loss_pct, target.rtt_ms) == (3, 1, 50.0, 15.0)
    assert record.lines == {"vnpt": LineMinute(2, 1, "VNPT")}


def test_a_minute_in_which_nothing_was_probed_leaves_no_record() -> None:
    minute = minutes.second(minutes.begin(0), [LineNow("vnpt", "", None)])
    assert minutes.close(minute, {}) is None


def test_a_minute_is_over_when_the_clock_leaves_it_either_way() -> None:
    minute = minutes.begin(10 * MINUTE)
    assert not minutes.is_over(minute, 10 * MINUTE + 59_999)
    assert minutes.is_over(minute, 11 * MINUTE)
    assert minutes.is_over(minute, 9 * MINUTE)


def test_the_world_counts_seconds_behind_a_dead_router_as_unobserved() -> None:
    world = World()
    world.run(8)
    world.broken = {"vnpt"}
    world.run(120)
    world.broken = {"vnpt", "router"}
    world.run(120)
    records = [record for record in world.of(LinkMinute) if isinstance(record, LinkMinute)]
    down = [record.lines["vnpt"] for record in records]
    assert any(line.observed_s >= 59 and line.down_s >= 59 for line in down)
    assert down[-1].observed_s == 0
    assert all(record.lines["viettel"].down_s == 0 for record in records)


def test_a_clock_that_is_set_takes_the_minute_under_way_with_it() -> None:
    """What was watched before is on record under the time at which it truly was, beside what comes after."""
    world = World()
    world.run(90)
    watched_s = sum(record.lines["vnpt"].observed_s for record in minutes_of(world))
    step_ms = 2 * 3_600_000 + 35_000
    world.wall_ms += step_ms
    world.run(120)
    records = minutes_of(world)
    starts = [record.start_ms for record in records]
    assert watched_s
    assert starts == sorted(set(starts)), "no minute twice, none before the one that was over"
    assert all(start % MINUTE == 0 for start in starts)
    assert [start > WALL_MS + step_ms for start in starts] == [False] + [True] * (len(starts) - 1)
    seconds = sum(record.lines["vnpt"].observed_s for record in records)
    assert 205 - 60 <= seconds <= 210
    assert all(record.lines["vnpt"].observed_s <= 60 for record in records)


def test_the_minute_under_way_is_on_record_at_the_end_as_far_as_it_was_seen() -> None:
    world = World()
    world.run(95)
    state, records = judgement.end(world.state, world.moment)
    (record,) = records
    before = minutes_of(world)
    assert isinstance(record, LinkMinute)
    assert record.start_ms == before[-1].start_ms + MINUTE
    assert 89 <= sum(one.lines["vnpt"].observed_s for one in [*before, record]) <= 95
    assert judgement.end(state, world.moment)[1] == []


def minutes_of(world: World) -> list[LinkMinute]:
    return [record for record in world.of(LinkMinute) if isinstance(record, LinkMinute)]
