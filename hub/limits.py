"""What the tables can hold of an entry. Pure.

An entry that says more is set aside with its reason, whole and by itself, when it comes: a value that no column or no
index can take would otherwise stop the batch that it stands in. Numbers beyond 64 bits are cut to size where a wrong
figure harms nobody (`hub.ledger`); here are those by which rows are found or added up.
"""

from collections.abc import Iterator
from typing import Final

from bus.entries import (
    DesiredReached,
    DiagnosisChanged,
    EntryData,
    LinkMinute,
    OutageClosed,
    OutageOpened,
    PresenceChanged,
    RatingDay,
    RatingFlagged,
    RatingPressed,
    RatingReason,
    WatchGap,
)

NAME_MAX: Final = (
    200  # characters: three of them, four bytes each, fit into one row of a PostgreSQL index (2,704 bytes)
)
LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999: no calendar here goes further
# A clock that begins at 1970 may date what it has seen of the time before its own start.
_FIRST_MS: Final = -86_400_000
_INT32_MAX: Final = 2**31 - 1


def problem(data: EntryData | None) -> str:
    """Why the tables cannot hold it; empty where they can."""
    for name, text in _names(data):
        if len(text) > NAME_MAX:
            return f"{name} has {len(text)} characters, {NAME_MAX} at most"
    for name, at_ms in _times(data):
        if not _FIRST_MS <= at_ms <= LAST_MS:
            return f"{name} {_short(at_ms)} is before 1970 or after 9999"
    for name, number in _counts(data):
        if not 0 <= number <= _INT32_MAX:
            return f"{name} {_short(number)} is out of range"
    return ""


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**30 else "of more than 30 digits"


def _names(data: EntryData | None) -> Iterator[tuple[str, str]]:
    match data:
        case OutageOpened() | OutageClosed():
            yield "outage", data.outage
        case LinkMinute():
            for line, minute in data.lines.items():
                yield "line", line
                yield "provider", minute.provider
        case PresenceChanged():
            yield "device", data.device
        case DesiredReached():
            yield from (("device", data.device), ("issuer", data.issuer), ("name", data.name))
        case RatingPressed():
            yield from (("press", data.press), ("replaces", data.replaces))
            yield from (("flag", flag) for flag in data.flags)
        case RatingReason():
            yield "press", data.press
        case RatingFlagged():
            yield "flag", data.flag
            yield from (("press", press) for press in data.presses)
        case RatingDay():
            yield "day", data.day
        case _:
            pass


def _times(data: EntryData | None) -> Iterator[tuple[str, int]]:
    match data:
        case DiagnosisChanged():
            yield "since_ms", data.since_ms
        case OutageOpened():
            yield "started_ms", data.started_ms
        case OutageClosed():
            yield from (("started_ms", data.started_ms), ("ended_ms", data.ended_ms))
        case LinkMinute():
            yield "start_ms", data.start_ms
        case WatchGap():
            yield from (("from_ms", data.from_ms), ("to_ms", data.to_ms))
        case _:
            pass


def _counts(data: EntryData | None) -> Iterator[tuple[str, int]]:
    if isinstance(data, RatingPressed):
        yield from (("level", data.level), ("levels", data.levels))
