"""What of a kiosk's journal may be seen by those who may not read single presses (docs/ratings.md).

A kiosk's journal grows by the votes: a low touch vote with its reason by two entries, any other by one. So its numbers
and the moment at which entries came stand for single votes. Of a kiosk these tell only the day on which it was heard,
and that nothing is missing, or something.
"""

from typing import Final

from hub.ratings.periods import day_at, start_ms

KIOSK: Final = "kiosk"

DAY_MS: Final = 86_400_000


def tells_votes(part: str, *, raw: bool) -> bool:
    """Whether the journal of a device of this part is to be coarse for somebody; `raw`: he may read single presses."""
    return part == KIOSK and not raw


def day_ms(at_ms: int) -> int:
    """The moment at which the local day of `at_ms` began."""
    return start_ms(day_at(at_ms))


def is_unheard(seen_day_ms: int, now_ms: int, silent_after_s: int) -> bool:
    """Whether even the end of that day is longer ago than `silent_after_s`: it tells no more than the day does.

    A last will is told at the commune's broker: a province that does not reach that one never hears it.
    """
    return seen_day_ms + DAY_MS < now_ms - silent_after_s * 1000
