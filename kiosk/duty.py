"""Who was on duty when a press was made: a short history on the monotonic clock of stamps. A pure core.

A press that was long under way belongs to whoever served its citizen, not to whoever is there when it comes. Where the
history does not reach (before this boot, or further back than it is remembered) nobody is named.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

# A touch page keeps a press for 31 days at most: eight changes of officer on each of them.
_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Turn:
    """From `since_ms` on this officer (a code; "": nobody), until the next turn."""

    since_ms: int
    officer: str


Duty = tuple[Turn, ...]
"""In order of time; the last turn is who is on duty now."""


def come(duty: Duty, since_ms: int, officer: str) -> Duty:
    """From `since_ms` until the next turn it was this officer."""
    at = bisect_right(duty, since_ms, key=lambda turn: turn.since_ms)
    return (*duty[:at], Turn(since_ms, officer), *duty[at:])[-_REMEMBERED:]


def on_duty(duty: Duty, at_ms: int) -> str:
    """The officer at that moment; "" for nobody, or where it is not known."""
    at = bisect_right(duty, at_ms, key=lambda turn: turn.since_ms)
    return duty[at - 1].officer if at else ""


def rebooted(duty: Duty) -> Duty:
    """In a new boot, whose clock begins at 0: whoever was on duty last is until another comes."""
    return tuple(Turn(0, turn.officer) for turn in duty[-1:])
