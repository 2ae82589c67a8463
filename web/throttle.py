"""How long somebody who gets a password wrong must wait: pure, over an injected clock.

Two budgets, so that neither one guesser with many names nor many guessers of one name gets far: by (address, name) and
by address. Each has a few free tries, then the wait doubles up to a cap; a right password clears its own budget. A name
alone is never locked: else anybody could keep an officer out (OWASP, Authentication Cheat Sheet). What is remembered is
bounded; the budgets idle longest go first.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

FREE_BY_NAME: Final = 5
FREE_BY_ADDRESS: Final = 30
FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 15 * 60.0
FORGET_S: Final = 60 * 60.0
MAX_REMEMBERED: Final = 10_000

Key = tuple[str, str]


@dataclass(slots=True)
class _Budget:
    wrong: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


@dataclass(slots=True)
class Throttle:
    """Wrong tries remembered. Times are monotonic seconds, given by the caller."""

    _budgets: OrderedDict[Key, _Budget] = field(default_factory=OrderedDict)
    refused: int = 0

    def wait_s(self, *, address: str, name: str, now_s: float) -> float:
        """Seconds until the next try is heard; 0 when it is heard now. Asking costs nothing."""
        waits = [
            budget.until_s - now_s for key in _keys(address, name) if (budget := self._budgets.get(key)) is not None
        ]
        wait = max([0.0, *waits])
        if wait > 0:
            self.refused += 1
        return wait

    def wrong(self, *, address: str, name: str, now_s: float) -> None:
        """A wrong password was given."""
        for key, free in zip(_keys(address, name), (FREE_BY_NAME, FREE_BY_ADDRESS), strict=True):
            budget = self._budgets.pop(key, None)
            if budget is None or now_s - budget.last_s > FORGET_S:
                budget = _Budget()
            budget.wrong += 1
            budget.last_s = now_s
            over = budget.wrong - free
            if over >= 0:
                budget.until_s = now_s + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(over, 20))
            self._budgets[key] = budget
        while len(self._budgets) > MAX_REMEMBERED:
            self._budgets.popitem(last=False)

    def right(self, *, address: str, name: str) -> None:
        """The right password was given: this name at this address starts afresh, the address does not."""
        self._budgets.pop(_keys(address, name)[0], None)


def _keys(address: str, name: str) -> tuple[Key, Key]:
    return (address, name[:64]), (address, "")
