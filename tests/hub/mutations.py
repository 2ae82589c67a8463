"""Entries that are good but for one value: numbers no column holds, texts no index takes, nesting no reader follows."""

import random
from typing import Any, Final

import msgspec

from bus.entries import (
    ClockAnchor,
    DesiredReached,
    DiagnosisChanged,
    EntryData,
    EventNoted,
    JournalOpened,
    LineMinute,
    LinkMinute,
    OfficerOnDuty,
    OutageClosed,
    OutageOpened,
    PresenceChanged,
    RatingDay,
    RatingFlagged,
    RatingPressed,
    RatingReason,
    SampleBlock,
    Sentence,
    TargetMinute,
    WatchGap,
    kind_of,
)
from bus.messages import encode

_AT: Final = 1_790_000_000_000
_SAYS: Final = Sentence("đứt", "cut")
GOOD: Final[tuple[EntryData, ...]] = (
    JournalOpened("new", "a" * 16, 3, "ab" * 32),
    ClockAnchor(),
    DiagnosisChanged("fibre", "line-1", _AT, 0.9, _SAYS, _SAYS, ["a"], "fibre"),
    OutageOpened("o1", "line-1", "fibre", _AT, "VNPT", ["a"]),
    OutageClosed("o1", "line-1", "fibre", _AT, _AT + 9, 5, "VNPT", ["a"]),
    LinkMinute(_AT, {"dns": TargetMinute(60, 1, 0.5, 3.0, 1.0)}, {"fibre": LineMinute(60, 12, "VNPT")}),
    WatchGap(_AT, _AT + 9, "boot"),
    PresenceChanged("s0001-kiosk-1", "kiosk", online=True, version="1"),
    DesiredReached("s0001-kiosk-1", "s0001-agent", "restart", 3, "done"),
    EventNoted("test", "detail", "subject"),
    SampleBlock(_AT, 1000, {"up": [1.0, None]}),
    RatingPressed("p/1/1", "panel", 1, 5, 0, "c", "officer", "q", "vi", "p/1/0", ["burst"]),
    RatingReason("p/1/1", "waited", "c"),
    RatingFlagged(["p/1/1"], "burst"),
    RatingDay("2026-09-21", "c", [1], [1], [1], "ab"),
    OfficerOnDuty("c", "officer", "badge"),
)
_NUMBERS: Final = (0, -1, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**63, 10**30, -(10**30), 10**400, 1e300, 0.5)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789ệ"
_DEEP: Final = msgspec.Raw(b"[" * 500 + b"]" * 500)


def entry(rng: random.Random, seq: int, klass: str) -> bytes:
    """One of the class, with one value of it changed."""
    data = rng.choice([one for one in GOOD if kind_of(one).startswith("sample.") == (klass == "sample")])
    at: dict[str, Any] = {"boot": "b" * 32, "mono_ns": seq, "wall_ms": _AT + seq, "quality": "trusted"}
    whole = {"seq": seq, "kind": kind_of(data), "at": at, "data": msgspec.json.decode(encode(data))}
    if rng.random() < 0.8 and whole["data"]:
        whole["data"] = _changed(rng, whole["data"])
    else:
        at |= {rng.choice(list(at)): _worse(rng)}
    return msgspec.json.encode(whole)


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: value[name] for name in list(value)[1:]} | {_text(rng): value[name]}
        return value | {name: _changed(rng, value[name])}
    if isinstance(value, list) and value:
        return [_changed(rng, value[0]), *value[1:]]
    if rng.random() < 0.1:
        return _worse(rng)
    return rng.choice(_NUMBERS) if isinstance(value, int | float) else _text(rng)


def _worse(rng: random.Random) -> Any:
    return rng.choice([rng.choice(_NUMBERS), _text(rng), None, _DEEP, [], {}])


def _text(rng: random.Random) -> str:
    length = rng.choice([0, 1, 64, 201, 3_000, 20_000])
    return rng.choice(["\0", "", "\ufffe", "'"]) + "".join(
        rng.choices("abcdefghijklmnopqrstuvwxyz0123456789ệ", k=length)
    )
