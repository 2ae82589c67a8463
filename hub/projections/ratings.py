"""Presses of citizens, what they were flagged with, reasons, and the kiosks' own daily totals."""

import msgspec

from bus.entries import RatingDay, RatingFlagged, RatingPressed, RatingReason
from hub import schema
from hub.projections.rows import Projected, Source, Write

_BY_PRESS = ("site_id", "press")


def pressed(source: Source, data: RatingPressed) -> Projected:
    """`rating.pressed`."""
    row = source.key() | {
        "press": data.press,
        "source": data.source,
        "level": data.level,
        "levels": data.levels,
        "counter": data.counter,
        "officer": data.officer,
        "question": data.question,
        "language": data.language,
        "replaces": data.replaces,
        "pressed_ms": source.wall_ms - data.age_ms,
    }
    writes = [Write(schema.rating, row, _BY_PRESS, ("pressed_ms",))]
    return Projected([*writes, *(_flag(source, data.press, flag) for flag in data.flags)])


def reason(source: Source, data: RatingReason) -> Projected:
    """`rating.reason`."""
    row = {"site_id": source.site, "press": data.press, "reason": data.reason}
    return Projected([Write(schema.rating_reason, row, _BY_PRESS)])


def flagged(source: Source, data: RatingFlagged) -> Projected:
    """`rating.flagged`."""
    return Projected([_flag(source, press, data.flag) for press in data.presses])


def day(source: Source, data: RatingDay) -> Projected:
    """`rating.day`."""
    row = source.key() | {
        "day": data.day,
        "counter": data.counter,
        "pressed": _list(data.pressed),
        "counted": _list(data.counted),
        "filtered": _list(data.filtered),
        "digest": data.digest,
        "at_ms": source.wall_ms,
    }
    return Projected([Write(schema.rating_day, row, update=("at_ms",))])


def _flag(source: Source, press: str, flag: str) -> Write:
    row = {"site_id": source.site, "press": press, "flag": flag}
    return Write(schema.rating_flag, row, ("site_id", "press", "flag"))


def _list(counts: list[int]) -> str:
    return msgspec.json.encode(counts).decode()
