"""The kiosks' own daily totals, held against what the hub has stored of the same day.

A kiosk journals, at closing, how many were pressed, how many stand and how many of those bear no flag, by level, and
the SHA-256 over the lines `press,level` in order of recording (`bus.entries.RatingDay`). Here the same is computed anew
from the entries before that record: a press belongs to the local day in which it was recorded, by the device's clock
or, where that was unknown, by its boot's anchor, and to no day where there is none; a press that two entries tell of
counts once; what replaces it must be of the same day and counter.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from bus import ranges
from bus.clock import Quality
from bus.entries import AGE_UNSURE, RatingFlagged, RatingPressed, read_data
from bus.errors import WrongInputError
from hub.ratings.periods import day_at, day_of, start_ms
from hub.ratings.reads import SUPERSEDED
from hub.schema import entry, journal, rating, rating_day, stored_range

LEVELS: Final = 5
_KINDS: Final = ("rating.pressed", "rating.flagged")


class Place(NamedTuple):
    """Where an entry stands in all that a device has written."""

    ordinal: int
    seq: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one counter on one day; lists begin with level 1."""

    pressed: tuple[int, ...]
    counted: tuple[int, ...]
    filtered: tuple[int, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Told:
    """A kiosk's record of a day, the last one of it."""

    site: str
    device: str
    counter: str
    day: str
    at_ms: int
    place: Place
    totals: Totals


@dataclass(frozen=True, slots=True)
class Checked:
    """A record, what the hub counts, and whether they agree; None while entries of that day may be missing."""

    told: Told
    found: Totals
    missing: int
    agrees: bool | None


@dataclass(slots=True)
class _Device:
    """What is stored of a kiosk's records: rating entries of the days asked for, and every stored range."""

    entries: list[tuple[Place, int, RatingPressed | RatingFlagged]] = field(default_factory=list)
    undated: list[tuple[Place, str]] = field(default_factory=list)  # presses that no day is known of, by counter
    stored: dict[int, tuple[int, list[tuple[int, int]], int]] = field(default_factory=dict)  # ordinal: id, ranges, head


def told(connection: Connection, *, sites: Sequence[str] | None, first: str, last: str) -> list[Told]:
    """The last record of each kiosk, counter and day from `first` to `last`, both included."""
    query = (
        select(rating_day, journal.c.ordinal)
        .join(journal, journal.c.id == rating_day.c.journal_id)
        .where(rating_day.c.day >= first, rating_day.c.day <= last)
        .order_by(journal.c.ordinal, rating_day.c.seq)
    )
    if sites is not None:
        query = query.where(rating_day.c.site_id.in_(sites))
    found = {}
    for row in connection.execute(query):
        totals = Totals(_counts(row.pressed), _counts(row.counted), _counts(row.filtered), row.digest)
        place = Place(row.ordinal, row.seq)
        one = Told(row.site_id, row.device_id, row.counter, row.day, row.at_ms, place, totals)
        found[one.device, one.counter, one.day] = one
    return sorted(found.values(), key=lambda one: (one.day, one.site, one.device, one.counter))


def check(connection: Connection, records: Sequence[Told]) -> list[Checked]:
    """Each record beside what the hub counts."""
    by_device: dict[str, list[Told]] = defaultdict(list)
    for one in records:
        by_device[one.device].append(one)
    checked = {}
    for name, of_device in by_device.items():
        device = _read(connection, name, of_device)
        for one in of_device:
            checked[id(one)] = _check(connection, device, one)
    return [checked[id(one)] for one in records]


def recount(entries: Iterable[RatingPressed | RatingFlagged]) -> Totals:
    """The totals of one day and counter, from its presses and from flags, in order of recording."""
    presses: dict[str, RatingPressed] = {}
    flagged: set[str] = set()
    replaced: set[str] = set()
    digest = hashlib.sha256()
    for one in entries:
        match one:
            case RatingFlagged():
                flagged.update(one.presses)
            case RatingPressed() if one.press not in presses and 1 <= one.level <= LEVELS:
                digest.update(f"{one.press},{one.level}\n".encode())
                if one.replaces in presses:
                    replaced.add(one.replaces)
                if set(one.flags) - {AGE_UNSURE}:
                    flagged.add(one.press)
                presses[one.press] = one
            case RatingPressed():
                pass
    standing = [one for one in presses.values() if one.press not in replaced and SUPERSEDED not in one.flags]
    clean = [one for one in standing if one.press not in flagged]
    return Totals(_by_level(presses.values()), _by_level(standing), _by_level(clean), digest.hexdigest())


def _check(connection: Connection, device: _Device, one: Told) -> Checked:
    day = _day_of(one.day)
    mine = [
        data
        for place, wall_ms, data in device.entries
        if place < one.place
        and (isinstance(data, RatingFlagged) or (data.counter == one.counter and day_at(wall_ms) == day))
    ]
    found = recount(mine)
    missing = _missing(connection, device, one, day)
    if found == one.totals and not missing:
        return Checked(one, found, 0, agrees=True)
    # The kiosk may know the day of a press by a moment that the hub has not heard of yet.
    undated = any(place < one.place and counter == one.counter for place, counter in device.undated)
    return Checked(one, found, missing, None if missing or undated else False)


def _missing(connection: Connection, device: _Device, one: Told, day: int | None) -> int:
    """How many entries before the record are not stored and may be of its day.

    From the newest hole backwards, until an entry beside one was recorded before that day: what is older is not of it.
    """
    missing = 0
    for ordinal in sorted((at for at in device.stored if at <= one.place.ordinal), reverse=True):
        journal_id, stored, head = device.stored[ordinal]
        end = one.place.seq - 1 if ordinal == one.place.ordinal else head
        holes = ranges.subtract([(1, end)], stored) if end else ()
        for first, last in reversed(holes):
            if _before(connection, journal_id, last + 1, day):
                return missing
            missing += last - first + 1
            if _before(connection, journal_id, first - 1, day):
                return missing
        if _before(connection, journal_id, 1, day):
            return missing
    return missing


def _before(connection: Connection, journal_id: int, seq: int, day: int | None) -> bool:
    """Whether an entry was recorded on a day before `day`."""
    query = select(entry.c.wall_ms).where(entry.c.journal_id == journal_id, entry.c.seq == seq, _dated())
    wall_ms = connection.execute(query).scalar()
    return wall_ms is not None and day is not None and day_at(wall_ms) < day


def _dated() -> ColumnElement[bool]:
    """Its time is known: by the clock, or by the boot's anchor. A kiosk counts no other press into a day."""
    return or_(entry.c.quality != Quality.UNKNOWN, entry.c.anchored)


def _read(connection: Connection, name: str, records: Sequence[Told]) -> _Device:
    days = [day for one in records if (day := _day_of(one.day)) is not None]
    device = _Device()
    journals = connection.execute(
        select(journal.c.id, journal.c.ordinal, journal.c.head).where(
            journal.c.device_id == name, journal.c.klass == "record"
        )
    ).all()
    for row in journals:
        device.stored[row.ordinal] = (row.id, [], row.head)
    at = {row.id: row.ordinal for row in journals}
    kept = select(stored_range).where(stored_range.c.journal_id.in_(at)).order_by(stored_range.c.first)
    for row in connection.execute(kept):
        device.stored[at[row.journal_id]][1].append((row.first, row.last))
    if days:
        presses = (
            select(entry.c.journal_id, entry.c.seq, entry.c.wall_ms, entry.c.kind, entry.c.data)
            .where(entry.c.journal_id.in_(at), entry.c.kind.in_(_KINDS), _dated())
            # Flags of a day's last presses may be recorded after midnight.
            .where(entry.c.wall_ms >= start_ms(min(days)), entry.c.wall_ms < start_ms(max(days) + 2))
        )
        for journal_id, seq, wall_ms, kind, text in connection.execute(presses):
            data = _data(kind, text)
            if data is not None:
                device.entries.append((Place(at[journal_id], seq), wall_ms, data))
        device.entries.sort(key=lambda one: one[0])
    lost = (
        select(rating.c.journal_id, rating.c.seq, rating.c.counter)
        .join(entry, and_(entry.c.journal_id == rating.c.journal_id, entry.c.seq == rating.c.seq))
        .where(rating.c.journal_id.in_(at), ~_dated())
    )
    for journal_id, seq, counter in connection.execute(lost):
        device.undated.append((Place(at[journal_id], seq), counter))
    return device


def _data(kind: str, text: str) -> RatingPressed | RatingFlagged | None:
    try:
        data = read_data(kind, msgspec.Raw(text.encode()))
    except WrongInputError:
        return None
    return data if isinstance(data, RatingPressed | RatingFlagged) else None


def _day_of(name: str) -> int | None:
    try:
        return day_of(date.fromisoformat(name))
    except ValueError:
        return None


def _by_level(presses: Iterable[RatingPressed]) -> tuple[int, ...]:
    counts = [0] * LEVELS
    for one in presses:
        counts[one.level - 1] += 1
    return tuple(counts)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(msgspec.json.decode(text, type=list[int]))
