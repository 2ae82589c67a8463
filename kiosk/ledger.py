"""Which presses are known: a press is recorded once, however often it is heard.

A press is `<panel>/<boot>/<seq>`. Sequence numbers of one power-up come almost in order, so what is remembered of each
(panel, boot) are the spans of numbers that are on disk. A gap between two spans stays open: a touch page may hold a
press that was refused for a month, while hundreds after it are stored. Rebuilt from the journal at start.
"""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from kiosk.panel.session import Known

# Power-ups remembered, panels and touch pages together: far more than can still repeat a press.
_BOOTS: Final = 512
# Gaps of one power-up: more than a page keeps of presses that were refused. Then the lowest is taken for stored.
_GAPS: Final = 4096


@dataclass(slots=True)
class _Boot:
    """`firsts` and `lasts` are of the spans, ascending and apart; the first begins below all numbers."""

    firsts: list[int] = field(default_factory=lambda: [-1])
    lasts: list[int] = field(default_factory=lambda: [-1])
    pending: set[int] = field(default_factory=set)

    def holds(self, seq: int) -> bool:
        return seq <= self.lasts[bisect_right(self.firsts, seq) - 1]

    def add(self, seq: int) -> None:
        self.pending.discard(seq)
        if self.holds(seq):
            return
        at = bisect_right(self.firsts, seq)
        self.firsts.insert(at, seq)
        self.lasts.insert(at, seq)
        if at + 1 < len(self.firsts) and self.firsts[at + 1] == seq + 1:
            self._join(at + 1)
        if self.lasts[at - 1] == seq - 1:
            self._join(at)
        if len(self.firsts) > _GAPS + 1:
            self._join(1)

    def _join(self, at: int) -> None:
        """Make one of the span `at` and the one before it."""
        del self.firsts[at], self.lasts[at - 1]


class PressLedger:
    """The presses of the last power-ups. Not thread-safe: it lives on the event loop."""

    def __init__(self) -> None:
        self._boots: OrderedDict[tuple[str, str], _Boot] = OrderedDict()

    def known(self, press: str) -> Known:
        """New, being written, or on disk."""
        panel, boot, seq = split_press(press)
        entry = self._boots.get((panel, boot))
        if entry is None:
            return Known.NEW
        if seq in entry.pending:
            return Known.PENDING
        return Known.DURABLE if entry.holds(seq) else Known.NEW

    def begin(self, press: str) -> None:
        """It is being written."""
        panel, boot, seq = split_press(press)
        self._boot(panel, boot).pending.add(seq)

    def keep(self, press: str) -> None:
        """It is on disk."""
        panel, boot, seq = split_press(press)
        self._boot(panel, boot).add(seq)

    def give_up(self, press: str) -> None:
        """It could not be written: the next repetition is new again."""
        panel, boot, seq = split_press(press)
        self._boot(panel, boot).pending.discard(seq)

    def _boot(self, panel: str, boot: str) -> _Boot:
        entry = self._boots.setdefault((panel, boot), _Boot())
        self._boots.move_to_end((panel, boot))
        while len(self._boots) > _BOOTS:
            self._boots.popitem(last=False)
        return entry


def split_press(press: str) -> tuple[str, str, int]:
    """Panel, boot and seq of a press's name; `ValueError` where it is none."""
    panel, boot, seq = press.rsplit("/", 2)
    return panel, boot, int(seq)
