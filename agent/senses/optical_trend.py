"""How fast received light falls, and in how many days it will be too little. Pure.

Daily medians are fitted by the Theil-Sen slope, which a day of cleaning, rain or measuring faults does not bend. A fall
is only told when it is one: over a week's days, half a decibel at least, four of five pairs of days agreeing. It may
have begun lately, after months that would hide it: so several windows are judged, and the soonest end is told.
"""

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LEAST_DAYS: Final = 7
LEAST_FALL_DB: Final = 0.5
AGREEING: Final = 0.8
WINDOWS_DAYS: Final = (14, 30, 60)  # beside all that is kept


@dataclass(frozen=True, slots=True)
class Trend:
    """Change of received power in dB a day, over how many measured days; days until the threshold while it falls."""

    db_per_day: float
    days: int
    days_left: float | None = None


def trend(daily_dbm: Mapping[int, float], threshold_dbm: float) -> Trend | None:
    """The trend of daily medians by day number: the one that ends soonest, else that of all days; None with too few."""
    whole = _fit(daily_dbm, threshold_dbm)
    if whole is None:
        return None
    newest = max(daily_dbm)
    lately = [{day: dbm for day, dbm in daily_dbm.items() if day > newest - window} for window in WINDOWS_DAYS]
    ends = [
        (found.days_left, found)
        for found in (whole, *(_fit(days, threshold_dbm) for days in lately))
        if found is not None and found.days_left is not None
    ]
    return min(ends, key=lambda end: end[0])[1] if ends else whole


def _fit(daily_dbm: Mapping[int, float], threshold_dbm: float) -> Trend | None:
    days = sorted(daily_dbm)
    if len(days) < LEAST_DAYS:
        return None
    slopes = [
        (daily_dbm[later] - daily_dbm[earlier]) / (later - earlier)
        for earlier, later in itertools.combinations(days, 2)
    ]
    slope = statistics.median(slopes)
    falling = sum(one < 0 for one in slopes) / len(slopes)
    fallen_db = -slope * (days[-1] - days[0])
    if falling < AGREEING or fallen_db < LEAST_FALL_DB:
        return Trend(slope, len(days))
    # Where the line through the medians stands today: the last day alone may be an odd one.
    now_dbm = statistics.median(daily_dbm[day] + slope * (days[-1] - day) for day in days)
    return Trend(slope, len(days), max((threshold_dbm - now_dbm) / slope, 0.0))
