"""Ratings for dashboards: only what does not move with a single vote.

Gauges, not counters: they stand for a window of closed days that moves on. They are computed anew every few minutes and
no more often, since they only change when days close or entries come late.
"""

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection

from hub import queries
from hub.config import RatingsConfig
from hub.ratings import days, reads
from hub.ratings.figures import share_of
from hub.ratings.periods import date_of
from hub.ratings.summary import Cut, communes

WINDOW_DAYS: Final = 30
_FRESH_S: Final = 300.0
_SITE: Final = ("commune", "site")


class RatingMetrics:
    """One for a hub. `families` gives the last computed ones while they are fresh."""

    def __init__(self, rules: RatingsConfig, now_s: Callable[[], float]) -> None:
        self._rules = rules
        self._now_s = now_s
        self._lock = Lock()
        self._made: list[Metric] = []
        self._made_s = float("-inf")

    def families(self, connection: Connection) -> Iterator[Metric]:
        """Every family, once."""
        with self._lock:
            now_s = self._now_s()
            if not 0 <= now_s - self._made_s < _FRESH_S:
                self._made = list(_compute(connection, self._rules, int(now_s * 1000)))
                self._made_s = now_s
            made = self._made
        yield from made


def _compute(connection: Connection, rules: RatingsConfig, now_ms: int) -> Iterator[Metric]:
    closing = reads.closing(connection, now_ms)
    cut = Cut(closing.today - WINDOW_DAYS, closing.today)
    codes = {name.site: name.code for name in queries.site_names(connection)}
    window = f"of closed days, the last {WINDOW_DAYS}"
    pressed = GaugeMetricFamily("commune_ratings_pressed", f"Presses {window}.", labels=_SITE)
    counted = GaugeMetricFamily(
        "commune_ratings_counted",
        f"Votes that stand, {window}; the filtered figure only where none of them bears a flag.",
        labels=[*_SITE, "figure"],
    )
    ratio = GaugeMetricFamily(
        "commune_ratings_satisfied_ratio", f"Satisfied votes, {window}.", labels=[*_SITE, "figure"]
    )
    low = GaugeMetricFamily(
        "commune_ratings_satisfied_ratio_low", "Lower end of its 95 % interval.", labels=[*_SITE, "figure"]
    )
    high = GaugeMetricFamily(
        "commune_ratings_satisfied_ratio_high", "Upper end of its 95 % interval.", labels=[*_SITE, "figure"]
    )
    for line in communes(reads.votes(connection, cut, []), cut, closing, least=rules.least_n):
        site, tally = line.cell[0], line.tally
        if tally is None or site not in codes:
            continue
        pressed.add_metric([codes[site], site], tally.pressed)
        figures = {"raw": tally.counted, "filtered": tally.filtered if line.filtered else {}}
        for figure, scales in figures.items():
            share = share_of(scales)
            if share is None:
                continue
            of = [codes[site], site, figure]
            counted.add_metric(of, share.n)
            ratio.add_metric(of, share.share)
            low.add_metric(of, share.low)
            high.add_metric(of, share.high)
    yield from (pressed, counted, ratio, low, high)
    yield from _days(connection, cut, codes)


def _days(connection: Connection, cut: Cut, codes: dict[str, str]) -> Iterator[Metric]:
    """How many days agree with the kiosks' own totals; a day, not a vote, moves these."""
    differ = GaugeMetricFamily(
        "commune_ratings_disagreeing_days", "Days of a counter whose own totals differ from the hub's.", labels=_SITE
    )
    told = GaugeMetricFamily("commune_ratings_closed_days", "Days of a counter that kiosks have closed.", labels=_SITE)
    first, last = date_of(cut.first).isoformat(), date_of(cut.last - 1).isoformat()
    counts: dict[str, list[int]] = {}
    for one in days.check(connection, days.told(connection, sites=None, first=first, last=last)):
        count = counts.setdefault(one.told.site, [0, 0])
        count[0] += 1
        count[1] += one.agrees is False
    for site, (all_of_them, wrong) in sorted(counts.items()):
        if site in codes:
            told.add_metric([codes[site], site], all_of_them)
            differ.add_metric([codes[site], site], wrong)
    yield from (told, differ)
