"""How fast presses may come from touch pages: a token bucket, pure."""

from typing import Final


class Pace:
    """`at_once` may come together, then `each_s` a second."""

    def __init__(self, each_s: float, at_once: int) -> None:
        self._each_s: Final = each_s
        self._at_once: Final = at_once
        self._left = float(at_once)
        self._at_ms: int | None = None

    def take(self, now_ms: int) -> float:
        """Take one: 0.0 where it may come now, else the seconds to wait before it may; then nothing is taken."""
        gone_ms = 0 if self._at_ms is None else max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        self._left = min(self._at_once, self._left + gone_ms / 1000 * self._each_s)
        if self._left < 1:
            return (1 - self._left) / self._each_s
        self._left -= 1
        return 0.0
