"""How long to wait before trying again: full jitter, so that a province does not come back in one second.

The delay is drawn evenly from nothing up to a ceiling that doubles with each failure ("Exponential Backoff And Jitter",
Marc Brooker, 2015: full jitter does the least work of the variants compared there). The first ceiling is what spreads
those that lose the same broker in the same instant: at 5 s, 166 of them return at about 33 a second, and half of them
within 2.5 s. Pure: the draw is an input.
"""

from dataclasses import dataclass

_DOUBLINGS = 16  # beyond it every cap in use has long been reached


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s` is the ceiling of the first delay, `cap_s` of the last."""

    first_s: float = 5.0
    cap_s: float = 60.0

    def delay_s(self, failures: int, draw: float) -> float:
        """Seconds to wait after `failures` failures in a row (0: the first). `draw` is even in [0, 1)."""
        return draw * min(self.cap_s, self.first_s * 2.0 ** min(failures, _DOUBLINGS))
