"""Which local day a record belongs to, and the totals of all days that are not over.

A day is never taken from a clock that nobody vouches for. A record stamped on one is dated by its boot, as the hub
does (`hub.intake`): by the monotonic clock, from a moment of the same boot at which time was known, before or after it.
Until there is such a moment it waits here. A boot that ends without one leaves its presses in no day's totals; the hub
shows them as of an unknown clock. A pure fold: live and at start the same records give the same totals.
"""

import logging
from collections import deque
from datetime import datetime
from typing import Final

from bus.clock import Quality, Stamp
from bus.entries import EntryData, RatingDay, RatingFlagged, RatingPressed
from bus.logs import fields
from kiosk.day import DayTally
from kiosk.settings import KioskSettings, local_time

log = logging.getLogger("kiosk.days")

# Years of presses at a counter; only a stuck button on a box without any time comes here.
_MOST_UNDATED: Final = 10_000


class Days:
    """Totals by day and counter. `undated` records wait for their boot's time, `never_dated` were left behind."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], DayTally] = {}
        self._known: Stamp | None = None
        self._undated: deque[tuple[EntryData, Stamp]] = deque()
        self.never_dated = 0

    @property
    def undated(self) -> int:
        """How many records wait for time to be known."""
        return len(self._undated)

    def take(self, data: EntryData, at: Stamp) -> None:
        """Fold one record in, of any kind: each may be the first that knows what time it is."""
        local = self.local(at)
        if local is None:
            self._hold(data, at)
            return
        match data:
            case RatingPressed():
                key = local.date().isoformat(), data.counter
                self._tallies.setdefault(key, DayTally(*key)).take(data)
            case RatingFlagged():
                for tally in self._tallies.values():
                    tally.take(data)
            case RatingDay():
                if (told := self._tallies.get((data.day, data.counter))) is not None:
                    # A press may have come while the totals were being written: then they are due again. Fewer presses
                    # than were told: the day's first have left the journal, and what is left is nobody's totals.
                    told.changed = sum(told.pressed) >= sum(data.pressed) and told.closed() != data
            case _:
                pass

    def local(self, at: Stamp) -> datetime | None:
        """The local time of a stamp; None while its boot has none."""
        if at.quality is not Quality.UNKNOWN:
            self._learn(at)
            return local_time(at.wall_ms)
        known = self._known
        if known is None or known.boot != at.boot:
            return None
        return local_time(known.wall_ms + (at.mono_ns - known.mono_ns) // 1_000_000)

    def due(self, settings: KioskSettings, at: Stamp) -> list[RatingDay]:
        """Totals to journal now: of counters that have closed for today, and of days that are over."""
        now = self.local(at)
        if now is None:
            return []
        today, records = now.date().isoformat(), []
        for key, tally in list(self._tallies.items()):
            over = tally.day != today
            if tally.changed and (over or _closed_for_today(settings, now)):
                records.append(tally.closed())
            elif over and not tally.changed:
                del self._tallies[key]
        return records

    def _hold(self, data: EntryData, at: Stamp) -> None:
        if isinstance(data, RatingPressed | RatingFlagged):
            self._undated.append((data, at))
        if len(self._undated) > _MOST_UNDATED:
            self._undated.popleft()
            self._leave(1)

    def _learn(self, at: Stamp) -> None:
        """Time is known in this boot: what it had recorded before has its day now, in the order of recording."""
        if self._known is not None and self._known.boot == at.boot:
            return
        self._known = at
        waiting, self._undated = self._undated, deque()
        for data, stamp in waiting:
            if stamp.boot == at.boot:
                self.take(data, stamp)
            else:
                self._leave(1)

    def _leave(self, count: int) -> None:
        self.never_dated += count
        if self.never_dated == count:
            log.warning("a boot never learned the time %s", fields(effect="its presses are in no day's totals"))


def _closed_for_today(settings: KioskSettings, now: datetime) -> bool:
    """No hours are left today. A counter without hours closes at midnight only."""
    today = [hours for hours in settings.hours if now.isoweekday() in hours.days]
    return bool(settings.hours) and all(hours.closes <= now.strftime("%H:%M") for hours in today)
