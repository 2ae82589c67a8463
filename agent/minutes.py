"""Verdicts by the minute, which the province sums up to availability by month and provider. Pure.

A minute in which the agent did not watch has no record: it is unknown. Within a minute each line counts the seconds in
which it could be seen, and those of them in which it was down: what is hidden behind a dead switch is not observed, and
not charged to the provider.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent.observations import ProbeResult
from bus.entries import LineMinute, LinkMinute, TargetMinute

MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Tally:
    """One target so far in this minute."""

    tried: int = 0
    failed: int = 0
    loss_sum_pct: float = 0.0
    rtt_sum_ms: float = 0.0
    rtts: int = 0
    jitter_sum_ms: float = 0.0
    jitters: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """The minute under way, watched from `begun_ms` on."""

    begun_ms: int
    targets: Mapping[str, Tally] = field(default_factory=dict)
    observed_s: Mapping[str, int] = field(default_factory=dict)
    down_s: Mapping[str, int] = field(default_factory=dict)

    @property
    def start_ms(self) -> int:
        """Its first wall millisecond."""
        return self.begun_ms - self.begun_ms % MINUTE_MS


@dataclass(frozen=True, slots=True)
class LineNow:
    """A line in this second: `down` is None while it cannot be seen."""

    id: str
    provider: str
    down: bool | None


def begin(wall_ms: int) -> Minute:
    """An empty minute that holds this moment."""
    return Minute(wall_ms)


def shift(minute: Minute, step_ms: int) -> Minute:
    """The wall clock was set by `step_ms`: what was watched so far belongs to another minute than it was thought."""
    return replace(minute, begun_ms=minute.begun_ms + step_ms)


def add(minute: Minute, result: ProbeResult) -> Minute:
    """Count one burst; one that could not be made is none."""
    if not result.asked:
        return minute
    was = minute.targets.get(result.target, Tally())
    tally = Tally(
        tried=was.tried + 1,
        failed=was.failed + (not result.success),
        loss_sum_pct=was.loss_sum_pct + result.loss_pct,
        rtt_sum_ms=was.rtt_sum_ms + (result.rtt_ms or 0.0),
        rtts=was.rtts + (result.rtt_ms is not None),
        jitter_sum_ms=was.jitter_sum_ms + (result.jitter_ms or 0.0),
        jitters=was.jitters + (result.jitter_ms is not None),
    )
    return replace(minute, targets={**minute.targets, result.target: tally})


def second(minute: Minute, lines: Iterable[LineNow]) -> Minute:
    """Count one second of each line."""
    observed_s, down_s = dict(minute.observed_s), dict(minute.down_s)
    for line in lines:
        observed_s[line.id] = observed_s.get(line.id, 0) + (line.down is not None)
        down_s[line.id] = down_s.get(line.id, 0) + (line.down is True)
    return replace(minute, observed_s=observed_s, down_s=down_s)


def is_over(minute: Minute, wall_ms: int) -> bool:
    """Whether this moment belongs to another minute; also when the clock goes backwards."""
    return not minute.start_ms <= wall_ms < minute.start_ms + MINUTE_MS


def close(minute: Minute, providers: Mapping[str, str]) -> LinkMinute | None:
    """The record of a minute that is over; None where nothing was observed in it."""
    if not minute.targets:
        return None
    lines = {
        name: LineMinute(min(seconds, 60), min(minute.down_s.get(name, 0), 60), providers.get(name, ""))
        for name, seconds in minute.observed_s.items()
    }
    return LinkMinute(minute.start_ms, {name: _close(tally) for name, tally in minute.targets.items()}, lines)


def _close(tally: Tally) -> TargetMinute:
    return TargetMinute(
        tried=tally.tried,
        failed=tally.failed,
        loss_pct=round(tally.loss_sum_pct / tally.tried, 2),
        rtt_ms=round(tally.rtt_sum_ms / tally.rtts, 3) if tally.rtts else None,
        jitter_ms=round(tally.jitter_sum_ms / tally.jitters, 3) if tally.jitters else None,
    )
