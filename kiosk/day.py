"""The day's totals and their digest: a fold over the kiosk's own records.

Live and at start the same records are folded, so a restart changes no total. A press belongs to the local day in which
it was recorded. Levels are counted apart; what is published is compared with these figures at the hub.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from bus.entries import AGE_UNSURE, EntryData, RatingDay, RatingFlagged, RatingPressed
from kiosk.votes import SUPERSEDED

LEVELS: Final = 5
# Only presses of the last minute can still be replaced or flagged (`kiosk.votes`), 64 at most.
_CHANGEABLE: Final = 128


@dataclass(slots=True)
class _Standing:
    level: int
    stands: bool
    flagged: bool


@dataclass(slots=True)
class DayTally:
    """Totals of one counter on one local day. `changed` says that something has come since they were journaled."""

    day: str
    counter: str
    pressed: list[int] = field(default_factory=lambda: [0] * LEVELS)
    counted: list[int] = field(default_factory=lambda: [0] * LEVELS)
    filtered: list[int] = field(default_factory=lambda: [0] * LEVELS)
    changed: bool = False
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _last: OrderedDict[str, _Standing] = field(default_factory=OrderedDict)

    def take(self, data: EntryData) -> None:
        """Fold one record in; kinds that are no rating change nothing."""
        match data:
            case RatingPressed():
                self._press(data)
                self.changed = True
            case RatingFlagged(presses):
                for press in presses:
                    self._flag(press)
            case _:
                pass

    def closed(self) -> RatingDay:
        """The record of the day as it stands; `changed` until that record is on disk."""
        return RatingDay(
            day=self.day,
            counter=self.counter,
            pressed=list(self.pressed),
            counted=list(self.counted),
            filtered=list(self.filtered),
            digest=self._digest.hexdigest(),
        )

    def _press(self, data: RatingPressed) -> None:
        press, level = data.press, data.level
        if not 1 <= level <= LEVELS or press in self._last:
            return
        self._digest.update(f"{press},{level}\n".encode())
        self.pressed[level - 1] += 1
        if data.replaces:
            self._unstand(data.replaces)
        standing = _Standing(level, stands=SUPERSEDED not in data.flags, flagged=bool(set(data.flags) - {AGE_UNSURE}))
        self._last[press] = standing
        if standing.stands:
            self.counted[level - 1] += 1
            self.filtered[level - 1] += not standing.flagged
        if len(self._last) > _CHANGEABLE:
            self._last.popitem(last=False)

    def _unstand(self, press: str) -> None:
        earlier = self._last.get(press)
        if earlier is None or not earlier.stands:
            return
        earlier.stands = False
        self.counted[earlier.level - 1] -= 1
        self.filtered[earlier.level - 1] -= not earlier.flagged

    def _flag(self, press: str) -> None:
        earlier = self._last.get(press)
        if earlier is None or earlier.flagged:
            return
        earlier.flagged = self.changed = True
        self.filtered[earlier.level - 1] -= earlier.stands
