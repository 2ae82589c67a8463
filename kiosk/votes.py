"""From presses to votes: which press replaces which, and which look like misuse. A pure core.

Every press is kept. A later press at the same counter within 5 s replaces the vote; both are recorded, the last counts.
Misuse is flagged and never deleted; reports give raw and filtered counts. The rules, as in docs/ratings.md:

- `mashing`: three or more different buttons within 5 s;
- `stuck`: eight or more presses of one button, each within 5 s of the one before;
- `burst`: five or more votes that stand within 60 s;
- `out-of-hours`: the counter was closed;
- `superseded`: heard late (the line was down), after a vote made within the 5 s that followed it.

A rule that is met flags all of the presses that met it, the earlier ones by a record of their own.

A press whose moment is unsure (`age-unsure`) is held against no other: it replaces none, and none of these rules that
look at other presses is for it. A wrong clock must not make a vote disappear.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bus.entries import AGE_UNSURE

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
    others, line = _of_one_counter(recent, press)
    at = len(line)
    while at and line[at - 1].pressed_ms > press.pressed_ms:
        at -= 1

    flags = set() if counter_open else {OUT_OF_HOURS}
    replaces = ""
    if at < len(line) and line[at].pressed_ms - press.pressed_ms <= REPLACE_MS:
        flags.add(SUPERSEDED)
        press = replace(press, replaced=True)
    elif at and press.pressed_ms - line[at - 1].pressed_ms <= REPLACE_MS:
        replaces = line[at - 1].press
        line[at - 1] = replace(line[at - 1], replaced=True)
    line.insert(at, press)

    earlier_flags: dict[str, list[str]] = {}
    for flag, guilty in _misuse(line, at).items():
        flags.add(flag)
        newly = [other for other in guilty if flag not in line[other].flags and other != at]
        if newly:
            earlier_flags[flag] = [line[other].press for other in newly]
        for other in newly:
            line[other] = replace(line[other], flags=line[other].flags | {flag})
    line[at] = replace(press, flags=frozenset(flags))
    remembered = (*others, *line)[-_REMEMBERED:]
    return remembered, Judged(replaces, sorted(flags), earlier_flags)


def judge_unsure() -> Judged:
    """What to record of a press whose moment is unsure; the memory of the others stays as it is."""
    return Judged("", [AGE_UNSURE], {})


def forget(recent: Recent, press: str, judged: Judged) -> Recent:
    """A press that could not be written was never there: nothing is replaced or flagged because of it."""
    return tuple(
        replace(
            one,
            replaced=one.replaced and one.press != judged.replaces,
            flags=one.flags - {flag for flag, presses in judged.flagged_earlier.items() if one.press in presses},
        )
        for one in recent
        if one.press != press
    )


def _of_one_counter(recent: Recent, press: Pressed) -> tuple[list[Pressed], list[Pressed]]:
    """The presses of other counters, and those of this one that the rules may still look back at."""
    others = [one for one in recent if one.counter != press.counter]
    line = [one for one in recent if one.counter == press.counter] if others else list(recent)
    old = 0
    while old < len(line) and press.pressed_ms - line[old].pressed_ms > BURST_MS + REPLACE_MS:
        old += 1
    return others, line[old:]


def _misuse(line: list[Pressed], at: int) -> dict[str, range | list[int]]:
    """Each rule that the press `at` completes or continues, with the places of all the presses that meet it."""
    found: dict[str, range | list[int]] = {}
    press = line[at]
    near = _around(line, at, lambda one, _: abs(one.pressed_ms - press.pressed_ms) <= REPLACE_MS)
    if len({line[place].level for place in near}) >= MASHED_BUTTONS:
        found[MASHING] = near
    # An unbroken run of presses of one button, each within 5 s of the one before.
    run = _around(
        line, at, lambda one, next_: one.level == press.level and abs(one.pressed_ms - next_.pressed_ms) <= REPLACE_MS
    )
    if len(run) >= STUCK_PRESSES:
        found[STUCK] = run
    if not press.replaced:
        since_ms = press.pressed_ms - BURST_MS
        standing = [place for place in range(at + 1) if not line[place].replaced and line[place].pressed_ms >= since_ms]
        if len(standing) >= BURST_VOTES:
            found[BURST] = standing
    return found


def _around(line: list[Pressed], at: int, belongs: Callable[[Pressed, Pressed], bool]) -> range:
    """The unbroken places round `at` whose press belongs, given it and its neighbour on the side of `at`."""
    first = last = at
    while first > 0 and belongs(line[first - 1], line[first]):
        first -= 1
    while last + 1 < len(line) and belongs(line[last + 1], line[last]):
        last += 1
    return range(first, last + 1)
