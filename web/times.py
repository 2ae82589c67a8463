"""Times and stretches of time as people read them: Vietnamese local time, 24 hours.

Vietnam has kept UTC+7 without summer time since 1975, so the offset stands here and no zone file is needed on a bare
box. Machines get RFC 3339 UTC (`bus.clock.rfc3339`), people get this.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from bus.texts import msgid, translate

VIETNAM: Final = timezone(timedelta(hours=7), "+07")
_LATEST_MS: Final = 253_370_764_800_000  # 9999-01-01: a zone may still be added to it
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def local(wall_ms: int) -> datetime:
    """Unix milliseconds as Vietnamese local time; what a broken clock gave is moved into the years 1970 to 9998."""
    return datetime.fromtimestamp(min(max(wall_ms, 0), _LATEST_MS) / 1000, UTC).astimezone(VIETNAM)


def date_text(language: str, wall_ms: int) -> str:
    """`24/11/2026`, or `24 Nov 2026` in English, where 3/4 would be read two ways."""
    when = local(wall_ms)
    if language == "en":
        return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"
    return f"{when.day:02}/{when.month:02}/{when.year}"


def moment_text(language: str, wall_ms: int, *, now_ms: int) -> str:
    """Hour and minute, with the date where it is not today's."""
    when, now = local(wall_ms), local(now_ms)
    clock = f"{when.hour:02}:{when.minute:02}"
    if when.date() == now.date():
        return clock
    if when.year == now.year and language != "en":
        return f"{clock} {when.day:02}/{when.month:02}"
    if when.year == now.year:
        return f"{clock}, {when.day} {_MONTHS[when.month - 1]}"
    return f"{clock}, {date_text(language, wall_ms)}"


def month_text(language: str, month: str) -> str:
    """`2026-11` as `11/2026` or `Nov 2026`."""
    year, number = month.split("-")
    return f"{_MONTHS[int(number) - 1]} {year}" if language == "en" else f"{number}/{year}"


def length_text(language: str, seconds: float) -> str:
    """A stretch of time by its two largest units; under a minute in seconds. Never negative."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        parts = [(msgid("{n} d"), days), (msgid("{n} h"), hours)]
    elif hours:
        parts = [(msgid("{n} h"), hours), (msgid("{n} min"), minutes)]
    elif minutes:
        parts = [(msgid("{n} min"), minutes)]
    else:
        parts = [(msgid("{n} s"), whole)]
    shown = [translate(language, text, n=count) for text, count in parts if count or len(parts) == 1]
    return " ".join(shown)
