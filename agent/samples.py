"""Measurements for the journal: every few seconds one block with all series, named as `/metrics` names them. Pure.

What is probed each second is summed up over the step (mean loss, mean round trip, share of successes); all else is as
it stands at the end of the step. A series without a value in a step is left out; what is no number (a sensor's NaN or
infinity) is none.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.minutes import Tally
from bus.entries import SampleBlock

_SUMMED = frozenset(
    {
        "commune_probe_success",
        "commune_probe_rtt_seconds",
        "commune_probe_jitter_seconds",
        "commune_probe_loss_ratio",
    }
)
# Of use to who looks at the box now, not a week later.
_LEFT_OUT = frozenset(
    {
        "commune_probe_duration_seconds",
        "commune_probe_age_seconds",
        "commune_probe_bursts_total",
        "commune_probe_failures_total",
        "commune_process_memory_bytes",
        "commune_process_cpu_ratio",
    }
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    name: str
    labels: Mapping[str, str]
    value: float


def block(start_ms: int, step_ms: int, tallies: Mapping[str, Tally], standing: Iterable[Sample]) -> SampleBlock:
    """One step: the probes' sums, and what stands beside them."""
    series: dict[str, list[float | None]] = {}
    for target, tally in tallies.items():
        for name, value in _of_tally(tally):
            series[series_name(name, {"target": target})] = [value]
    for sample in standing:
        kept = sample.name not in _SUMMED and sample.name not in _LEFT_OUT and not sample.name.endswith("_created")
        if kept and math.isfinite(sample.value):
            series[series_name(sample.name, sample.labels)] = [_short(sample.value)]
    return SampleBlock(start_ms, step_ms, series)


def series_name(name: str, labels: Mapping[str, str]) -> str:
    """As Prometheus writes it, labels in order."""
    if not labels:
        return name
    inner = ",".join(f'{key}="{_escape(value)}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inner}}}"


def _of_tally(tally: Tally) -> Iterable[tuple[str, float]]:
    yield "commune_probe_success", _short((tally.tried - tally.failed) / tally.tried)
    yield "commune_probe_loss_ratio", _short(tally.loss_sum_pct / tally.tried / 100)
    if tally.rtts:
        yield "commune_probe_rtt_seconds", _short(tally.rtt_sum_ms / tally.rtts / 1000)
    if tally.jitters:
        yield "commune_probe_jitter_seconds", _short(tally.jitter_sum_ms / tally.jitters / 1000)


def _short(value: float) -> float:
    """Four significant digits for fractions: more is noise, and bytes on the line. Whole numbers stay whole."""
    return float(value) if value == int(value) else float(f"{value:.4g}")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
