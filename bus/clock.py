"""Time as a part may trust it: a stamp with its quality, and the rules that give the quality.

A Pi has no clock chip, so wall time is suspect until something vouches for it (design decision 5):

- `trusted`: the kernel's clock is synchronised, its error bound within 100 ms;
- `held`: it was trusted, set by an RTC or confirmed by a signed-in officer, and cannot have drifted by over 2 s since;
- `unknown`: neither. Nothing scheduled may play on it.

Order never comes from these stamps but from an entry's `seq`. This module decides; `bus.timekeeper` reads the machine.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

TRUSTED_ERROR_MS: Final = 100
HELD_DRIFT_MS: Final = 2_000
# A Pi's crystal is within 20 ppm, its worst case over the temperatures of a tin-roofed office within 50.
DRIFT_PPM: Final = 50


class Quality(StrEnum):
    """How far wall time may be relied on."""

    TRUSTED = "trusted"
    HELD = "held"
    UNKNOWN = "unknown"


class Stamp(msgspec.Struct, frozen=True):
    """When something happened: boot id, monotonic nanoseconds since that boot, Unix milliseconds, quality."""

    boot: str
    mono_ns: int
    wall_ms: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine's clocks. `error_ms` is the kernel's bound, None when it is not synchronised."""

    mono_ns: int
    wall_ms: int
    error_ms: float | None


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the rules remember between readings.

    `vouched`: (mono_ns, wall_ms) when the wall time was last known good; `floor_ms`: the last trusted time ever seen,
    on disk; no stamp of an unknown clock is below it, nor below the time that has passed on it since `floor_ns`, the
    first reading of this process or the one that raised it. `anchored` says whether this boot's anchor has been
    journaled.
    """

    boot: str
    floor_ms: int = 0
    floor_ns: int | None = None
    vouched: tuple[int, int] | None = None
    anchored: bool = False


def observe(state: ClockState, reading: Reading) -> tuple[ClockState, Stamp]:
    """Take one reading; return the new state and the stamp for this moment."""
    if state.floor_ns is None:
        state = replace(state, floor_ns=reading.mono_ns)
    quality = _quality(state, reading)
    if quality is Quality.TRUSTED:
        wall_ms = reading.wall_ms
        state = replace(state, vouched=(reading.mono_ns, wall_ms))
        if wall_ms >= state.floor_ms:
            state = replace(state, floor_ms=wall_ms, floor_ns=reading.mono_ns)
    elif quality is Quality.HELD and state.vouched is not None:
        # Once vouched for, time goes on by the monotonic clock: a step of the wall clock is not believed.
        wall_ms = state.vouched[1] + (reading.mono_ns - state.vouched[0]) // 1_000_000
    else:
        wall_ms = max(reading.wall_ms, _risen_floor_ms(state, reading))
    return state, Stamp(state.boot, reading.mono_ns, wall_ms, quality)


def vouch(state: ClockState, *, mono_ns: int, wall_ms: int) -> ClockState:
    """An RTC or a signed-in officer says that it is `wall_ms` now: from here on time is held."""
    return replace(state, vouched=(mono_ns, wall_ms))


def mark_anchored(state: ClockState) -> ClockState:
    """This boot's anchor has been journaled."""
    return replace(state, anchored=True)


def _quality(state: ClockState, reading: Reading) -> Quality:
    if reading.error_ms is not None and reading.error_ms <= TRUSTED_ERROR_MS:
        return Quality.TRUSTED
    if state.vouched is None:
        return Quality.UNKNOWN
    drift_ms = (reading.mono_ns - state.vouched[0]) / 1e6 * DRIFT_PPM / 1e6
    return Quality.HELD if drift_ms <= HELD_DRIFT_MS else Quality.UNKNOWN


def _risen_floor_ms(state: ClockState, reading: Reading) -> int:
    """The floor, and the time that has passed since: a clock that is behind must not stand still."""
    since_ns = reading.mono_ns if state.floor_ns is None else state.floor_ns
    return state.floor_ms + max(0, reading.mono_ns - since_ns) // 1_000_000


def rfc3339(wall_ms: int) -> str:
    """Unix milliseconds as RFC 3339 UTC with milliseconds."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
