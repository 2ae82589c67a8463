"""From presses to votes: which press replaces which, and which look like misuse. A pure core.

Every press is kept. A later press at the same counter within 5 s replaces the vote; both are recorded, the last counts.
Misuse is flagged and never deleted; reports give raw and filtered counts. The rules, as in docs/ratings.md:

- `mashing`: three or more different buttons within 5 s;
- `stuck`: eight or more presses of one button, each within 5 s of the one before;
- `burst`: five or more votes that stand within 60 s;
- `out-of-hours`: the counter was closed;
- `superseded`: heard late (the line was down), after a vote made within the 5 s that followed it.

A rule that is met flags all of the presses that met it, the earlier ones by a record of their own.
"""

from dataclasses import dataclass, replace
from typing import Final

REPLACE_MS: Final = 5_000
BURST_MS: Final = 60_000
BURST_VOTES: Final = 5
STUCK_PRESSES: Final = 8
MASHED_BUTTONS: Final = 3
# Rules look back a minute; a stuck button makes more presses than that is worth remembering.
_REMEMBERED: Final = 64

MASHING: Final = "mashing"
STUCK: Final = "stuck"
BURST: Final = "burst"
OUT_OF_HOURS: Final = "out-of-hours"
SUPERSEDED: Final = "superseded"


@dataclass(frozen=True, slots=True)
class Pressed:
    """A press as the rules see it: `pressed_ms` on the monotonic clock, and what it is flagged with so far."""

    press: str
    pressed_ms: int
    level: int
    counter: str
    replaced: bool = False
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """What to record: which press this one replaces ("" for none), its flags, and the earlier presses newly flagged."""

    replaces: str
    flags: list[str]
    flagged_earlier: dict[str, list[str]]


Recent = tuple[Pressed, ...]


def judge(recent: Recent, press: Pressed, *, counter_open: bool) -> tuple[Recent, Judged]:
    """Take one new press; `recent` is in order of pressing. Returns what to remember and what to record."""
    kept = [
        earlier
        for earlier in recent
        if press.pressed_ms - earlier.pressed_ms <= BURST_MS + REPLACE_MS and earlier.counter == press.counter
    ]
    others = tuple(earlier for earlier in recent if earlier.counter != press.counter)
    before = [earlier for earlier in kept if earlier.pressed_ms <= press.pressed_ms]
    after = [later for later in kept if later.pressed_ms > press.pressed_ms]

    flags = set() if counter_open else {OUT_OF_HOURS}
    replaces = ""
    if after and after[0].pressed_ms - press.pressed_ms <= REPLACE_MS:
        flags.add(SUPERSEDED)
        press = replace(press, replaced=True)
    elif before and press.pressed_ms - before[-1].pressed_ms <= REPLACE_MS:
        replaces = before[-1].press
        before[-1] = replace(before[-1], replaced=True)
    line = [*before, press, *after]

    earlier_flags: dict[str, list[str]] = {}
    for flag, guilty in _misuse(line, press).items():
        flags.add(flag)
        newly = [other.press for other in guilty if other.press != press.press and flag not in other.flags]
        if newly:
            earlier_flags[flag] = newly
        names = {other.press for other in guilty}
        line = [replace(one, flags=one.flags | {flag}) if one.press in names else one for one in line]
    line = [replace(one, flags=one.flags | flags) if one.press == press.press else one for one in line]
    remembered = (*others, *line)[-_REMEMBERED:]
    return remembered, Judged(replaces, sorted(flags), earlier_flags)


def _misuse(line: list[Pressed], press: Pressed) -> dict[str, list[Pressed]]:
    """Each rule that `press` completes or continues, with all the presses that meet it."""
    found: dict[str, list[Pressed]] = {}
    near = [one for one in line if abs(one.pressed_ms - press.pressed_ms) <= REPLACE_MS]
    if len({one.level for one in near}) >= MASHED_BUTTONS:
        found[MASHING] = near
    run = _run_of_one_button(line, press)
    if len(run) >= STUCK_PRESSES:
        found[STUCK] = run
    standing = [one for one in line if not one.replaced and 0 <= press.pressed_ms - one.pressed_ms <= BURST_MS]
    if len(standing) >= BURST_VOTES and not press.replaced:
        found[BURST] = standing
    return found


def _run_of_one_button(line: list[Pressed], press: Pressed) -> list[Pressed]:
    """The unbroken run of presses of one button, each within 5 s of the one before, that holds `press`."""
    at = line.index(press)
    first = last = at
    while first > 0 and _continues(line[first - 1], line[first]):
        first -= 1
    while last + 1 < len(line) and _continues(line[last], line[last + 1]):
        last += 1
    return line[first : last + 1]


def _continues(earlier: Pressed, later: Pressed) -> bool:
    return earlier.level == later.level and later.pressed_ms - earlier.pressed_ms <= REPLACE_MS
