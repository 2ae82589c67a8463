"""Minutes: only observed time counts."""

from agent import minutes
from agent.minutes import LineNow
from agent.observations import ProbeResult
from bus.entries import LineMinute, LinkMinute
from tests.agent.world import World

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
