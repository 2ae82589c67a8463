"""How a commune stands, in one sentence: pure, from the last facts the hub has and the time now.

No data is a state of its own and comes first: whatever a silent commune said last, nobody knows how it is now. After it
a diagnosed fault, then what should be seen to while the counters go on (a spare line, a printer, a device that is not
there); only what is heard, diagnosed and complete is fine.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bus.entries import Sentence
from bus.texts import msgid, say

FINE_CAUSE: Final = "fine"
NO_DATA_CAUSE: Final = "no-data"
# What somebody should see to, while the counters go on.
MINOR_CAUSES: Final = frozenset(
    {
        "spare-line-down",
        "lan-host-down",
        "speed-fell",
        "light-low",
        "light-falling",
        "certificate-ending",
        "line-degraded",
        "lan-loss",
    }
)
# A box whose clock is wrong may date a fault anywhere: such a date is not shown.
_BEFORE_US_MS: Final = 1_577_836_800_000  # 2020-01-01
_AHEAD_MS: Final = 5 * 60_000


class State(StrEnum):
    """Of a commune, the one needing people most first."""

    SILENT = "silent"
    FAULT = "fault"
    ATTENTION = "attention"
    FINE = "fine"


ORDER: Final = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """The agent's last word."""

    cause: str
    says: Sentence
    do: Sentence
    since_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Absent:
    """A device that the roster names and the agent does not see."""

    device: str
    part: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the hub knows of a site. `seen_ms` is when its agent was last heard, None when never."""

    site: str
    code: str
    name: str
    seen_ms: int | None = None
    others_seen_ms: int | None = None
    diagnosed: Diagnosed | None = None
    absent: tuple[Absent, ...] = ()
    open_outages: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """The verdict. `since_ms` is None where it cannot be said; `before` is what was last known of a silent site."""

    facts: Facts
    state: State
    says: Sentence
    do: Sentence = field(default=Sentence(vi="", en=""))
    since_ms: int | None = None
    before: Sentence | None = None


def stand(facts: Facts, *, now_ms: int, silent_after_s: int) -> Standing:
    """Judge one site."""
    if facts.seen_ms is None or now_ms - facts.seen_ms > silent_after_s * 1000:
        return _silent(facts, now_ms=now_ms, silent_after_s=silent_after_s)
    diagnosed = facts.diagnosed
    if diagnosed is None:
        says = say(msgid("The box is heard, but has not said yet how its links are."))
        return Standing(facts, State.SILENT, says, say(msgid("Wait a minute. If this stays, look at the agent's log.")))
    since_ms = believable(diagnosed.since_ms, now_ms=now_ms)
    if diagnosed.cause == NO_DATA_CAUSE:
        return Standing(facts, State.SILENT, diagnosed.says, diagnosed.do, since_ms)
    if diagnosed.cause in MINOR_CAUSES:
        return Standing(facts, State.ATTENTION, diagnosed.says, diagnosed.do, since_ms)
    if diagnosed.cause != FINE_CAUSE:
        return Standing(facts, State.FAULT, diagnosed.says, diagnosed.do, since_ms)
    if facts.absent:
        return _absent(facts, now_ms=now_ms)
    return Standing(facts, State.FINE, diagnosed.says, since_ms=since_ms)


def _silent(facts: Facts, *, now_ms: int, silent_after_s: int) -> Standing:
    if facts.seen_ms is None:
        return Standing(
            facts,
            State.SILENT,
            say(msgid("Nothing has ever been heard from this commune.")),
            say(msgid("Install the box, or check its power, its line and its enrolment.")),
        )
    others = facts.others_seen_ms
    if others is not None and now_ms - others <= silent_after_s * 1000:
        says = say(msgid("The agent is silent; other devices of the commune are still heard."))
        do = say(msgid("The line works. Restart the commune's box, or look at the agent's log."))
    else:
        says = say(msgid("Nothing is heard from this commune."))
        do = say(msgid("Call the commune: is there power, is the box on, is the Internet line up?"))
    last = facts.diagnosed
    before = last.says if last is not None and last.cause != FINE_CAUSE else None
    return Standing(facts, State.SILENT, says, do, facts.seen_ms, before)


def _absent(facts: Facts, *, now_ms: int) -> Standing:
    first = min(facts.absent, key=lambda one: (one.since_ms, one.device))
    since_ms = believable(first.since_ms, now_ms=now_ms)
    if len(facts.absent) == 1:
        says = say(msgid("Device {device} of the commune does not answer."), device=first.device)
    else:
        says = say(
            msgid("{count} devices of the commune do not answer, first {device}."),
            count=len(facts.absent),
            device=first.device,
        )
    do = say(msgid("Check the device's power and network cable, then restart it."))
    return Standing(facts, State.ATTENTION, says, do, since_ms)


def believable(wall_ms: int, *, now_ms: int) -> int | None:
    """A device's time where it can be shown to people; None where the clock that gave it was plainly wrong."""
    return wall_ms if _BEFORE_US_MS <= wall_ms <= now_ms + _AHEAD_MS else None


def by_urgency(standing: Standing) -> tuple[int, int, str]:
    """Sort key: the state, then what has lasted longest, then the name; communes that are fine by name alone."""
    since_ms = 0 if standing.state is State.FINE else standing.since_ms or 0
    return ORDER[standing.state], since_ms, standing.facts.name
