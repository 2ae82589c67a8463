"""Communes whose citizens vote for weeks: records as a kiosk writes them, judged and totalled by its own rules."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.entries import EntryData, JournalOpened, RatingFlagged, RatingPressed, RatingReason
from hub.database import Database
from hub.ratings.periods import DAY_MS, date_of, day_at, start_ms
from hub.roster import Roster
from hub.store import Store
from kiosk.day import DayTally
from kiosk.votes import Pressed, Recent, judge
from tests.hub.web import province
from tests.hub.web.province import Box

BOOT = 0xB007
OFFICERS = ("CB-01", "CB-02", "")
MORNING_MS = 7 * 3_600_000


@dataclass
class Kiosk:
    """One kiosk at one counter: what is pressed becomes entries of its box."""

    box: Box
    counter: str = "1"
    levels: int = 5
    presses: list[RatingPressed] = field(default_factory=list)
    _recent: Recent = ()
    _tally: DayTally | None = None
    _seq: int = 0

    def press(self, at_ms: int, level: int, *, officer: str = "", counter_open: bool = True, age_ms: int = 120) -> str:
        """A citizen presses; recorded `age_ms` later. Returns the press's name."""
        self._seq += 1
        name = f"P-{self.box.device}/{BOOT:08X}/{self._seq}"
        pressed = Pressed(name, at_ms, level, self.counter)
        self._recent, judged = judge(self._recent, pressed, counter_open=counter_open)
        record = RatingPressed(
            name,
            "panel",
            level,
            self.levels,
            age_ms,
            self.counter,
            officer,
            "overall",
            replaces=judged.replaces,
            flags=judged.flags,
        )
        self.presses.append(record)
        self.write(record, at_ms + age_ms)
        for flag, earlier in judged.flagged_earlier.items():
            self.write(RatingFlagged(earlier, flag), at_ms + age_ms + 1)
        return name

    def write(self, data: EntryData, at_ms: int) -> None:
        """Append one record, and count it into its day."""
        day = date_of(day_at(at_ms)).isoformat()
        if self._tally is None or self._tally.day != day:
            self._tally = DayTally(day, self.counter)
        self._tally.take(data)
        self.box.write(data, at_ms)

    def close(self, at_ms: int) -> None:
        """Journal the day's totals."""
        if self._tally is not None and self._tally.changed:
            self.box.write(self._tally.closed(), at_ms)


def kiosk(roster: Roster, site: str, *, counter: str = "1", levels: int = 5, suffix: str = "kiosk-1") -> Kiosk:
    """A kiosk with a new journal."""
    box = Box(roster, f"{site}-{suffix}", f"{site:0>8}{suffix.encode().hex()[-8:]:0>8}"[-16:].replace("s", "5"))
    return Kiosk(box, counter, levels)


def a_day(at: Kiosk, day: int, visits: int, rng: random.Random, *, good: float, closes: bool = True) -> None:
    """One working day: visits with a change of mind now and then, a child at the buttons, and closing at 17:00."""
    begin_ms = start_ms(day) + MORNING_MS
    times = sorted(rng.randrange(0, 9 * 3_600_000) for _ in range(visits))
    for offset_ms in times:
        at_ms = begin_ms + offset_ms
        level = _level(rng, at.levels, good)
        officer = OFFICERS[0] if offset_ms < 5 * 3_600_000 else OFFICERS[1]
        name = at.press(at_ms, level, officer=officer)
        if rng.random() < 0.06:
            name = at.press(at_ms + 2_500, _level(rng, at.levels, good), officer=officer)
        if level >= 4 and rng.random() < 0.5:
            at.write(RatingReason(name, "waiting", at.counter), at_ms + 5_000)
    if rng.random() < 0.05:
        for number in range(6):
            at.press(begin_ms + 9 * 3_600_000 + 1_800_000 + number * 1_200, 1 + number % 3)
    if closes:
        at.close(start_ms(day) + 17 * 3_600_000)


def _level(rng: random.Random, levels: int, good: float) -> int:
    return 1 + min(levels - 1, int(rng.expovariate(1.0) * (1.3 - good) * levels * 0.55))


def seed(
    database: Database, *, now_ms: int, days: int = 75, names: Sequence[str] = province.NAMES, own_seed: int = 7
) -> tuple[Store, dict[str, Kiosk]]:
    """Fill an empty store. The last commune has no kiosk in use, the one before a handful of votes."""
    known = province.roster(names)
    store = Store(database, now_ms=lambda: now_ms)
    store.open(known)
    today, kiosks = day_at(now_ms), {}
    for index in range(len(names) - 1):
        rng = random.Random(own_seed * 1000 + index)
        site = f"s{index + 1:04}"
        at = kiosk(known, site, counter="1" if index % 2 else "mot-cua", levels=(5, 5, 4, 3)[index % 4])
        at.box.write(JournalOpened("new"), now_ms - days * DAY_MS)
        rare = index == len(names) - 2
        for day in range(today - days, today + 1):
            if date_of(day).isoweekday() <= 5 and (not rare or day % 17 == 0):
                visits = 2 if rare else rng.randrange(2, 10) + 4 * (index % 3)
                a_day(at, day, visits, rng, good=0.95 - 0.06 * (index % 7), closes=day < today)
        store.ingest([at.box.batch()])
        kiosks[site] = at
    return store, kiosks
