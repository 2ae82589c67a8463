"""Which presses are known: a press is recorded once, however often it is heard.

A press is `<panel>/<boot>/<seq>`. Sequence numbers of one power-up come almost in order, so what is remembered is, for
each (panel, boot), a floor under which all are known and the few above it. Rebuilt from the journal at start.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from kiosk.panel.session import Known

# Power-ups remembered, panels and touch pages together: far more than can still repeat a press.
_BOOTS: Final = 512
# A panel holds at most 32 presses back; a number this far below the newest can never come again.
_ABOVE: Final = 256


@dataclass(slots=True)
class _Boot:
    floor: int = -1
    above: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)

    def add(self, seq: int) -> None:
        self.pending.discard(seq)
        if seq > self.floor:
            self.above.add(seq)
        if len(self.above) > _ABOVE:
            self.floor = min(self.above) - 1
        while self.floor + 1 in self.above:
            self.floor += 1
            self.above.discard(self.floor)
        self.above.discard(self.floor)


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
        return Known.DURABLE if seq <= entry.floor or seq in entry.above else Known.NEW

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
