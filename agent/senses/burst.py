"""The rule that one lost packet is no failure, and the figures of a burst. Pure.

A burst sends `packets`; only when none of them was answered by half its time-out it sends `again` more. It succeeds
when `needed` answers came. At 5 % loss each way a packet's round trip fails with p = 0.0975, so six lost in a row is
p^6 = 9e-7: with one packet a probe (blackbox_exporter) it is 12 false failures in 300. How bad a line is that still
answers is told by its loss, not by its success.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from agent.observations import ProbeResult


@dataclass(frozen=True, slots=True)
class BurstRule:
    """How many packets, how many more when all were lost, how many answers make a success, ms between packets."""

    packets: int = 3
    again: int = 3
    needed: int = 1
    spacing_ms: float = 40.0

    def __post_init__(self) -> None:
        if self.packets < 1 or self.again < 0 or not 1 <= self.needed <= self.packets:
            raise ValueError(f"BUG: a burst of {self.packets}+{self.again} cannot need {self.needed} answers")


def jitter_ms(rtts_ms: Sequence[float]) -> float | None:
    """Mean difference between successive round trips (RFC 3550, section 6.4.1, unsmoothed); None below two."""
    if len(rtts_ms) < 2:
        return None
    steps = [abs(after - before) for before, after in itertools.pairwise(rtts_ms)]
    return sum(steps) / len(steps)


def judge(
    target: str,
    *,
    mono_ns: int,
    duration_ms: float,
    sent: int,
    rtts_ms: Sequence[float],
    needed: int = 1,
    fault: tuple[str, str] | None = None,
) -> ProbeResult:
    """The verdict on a burst of `sent` packets with these answers. `fault` is (reason, detail) where one was told."""
    answered = len(rtts_ms)
    success = answered >= needed
    reason, detail = ("", "") if success else fault or ("timeout", f"{answered} of {sent} packets answered")
    return ProbeResult(
        target=target,
        mono_ns=mono_ns,
        success=success,
        duration_ms=duration_ms,
        loss_pct=100.0 * (sent - answered) / sent if sent else 100.0,
        rtt_ms=sum(rtts_ms) / answered if answered else None,
        jitter_ms=jitter_ms(rtts_ms),
        reason=reason,
        detail=detail,
    )
