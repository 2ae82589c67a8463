"""What this hub process counts beside the store: messages, batches, waits. Read by `hub.metrics`, kept nowhere else.

How communes stand is not here: it is in the store, for several hubs share one and any of them may be asked.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

# Seconds; a batch that waits longer than the device's resend interval has been sent twice.
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Histogram:
    """Seconds, as Prometheus counts them."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.sum_s += seconds
        at = next((index for index, bound in enumerate(BUCKETS_S) if seconds <= bound), len(BUCKETS_S))
        self.counts[at] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, `+Inf` last."""
        total, rows = 0, []
        for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


@dataclass(slots=True)
class Live:
    """Counters since the process started. Only the event loop writes them."""

    messages: int = 0
    batches: int = 0
    entries: int = 0
    repeats: int = 0
    transactions: int = 0
    receipts: int = 0
    receipts_unsent: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # batches, by reason; the devices send them again
    rejected: Counter[str] = field(default_factory=Counter)  # not counted in the store, which did not answer
    answer: Histogram = field(default_factory=Histogram)  # from the message's arrival to its receipt's PUBACK
    commit: Histogram = field(default_factory=Histogram)
    store_failures: int = 0
    beacons: int = 0
    statuses_refused: int = 0
    roster_failures: int = 0
    exported_blocks: int = 0
    exported_samples: int = 0
    export_failures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # rounds of a task that broke, by its name
