"""Who of the commune's devices is here, by their births and last wills on its broker. Pure.

A status is a hint, and a device that restarts goes and comes: so a change is told once it has held for `SETTLE_NS`. A
device that the roster expects and that has never been heard is told as absent `FIRST_NS` after the broker was reached.
While the broker itself is not reached nothing is known, and nothing is told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent.ladder import NS_PER_S
from bus.entries import PresenceChanged
from bus.messages import Status

SETTLE_NS: Final = 3 * NS_PER_S
FIRST_NS: Final = 30 * NS_PER_S
MOST: Final = 512  # strangers on the broker must not fill the memory


@dataclass(frozen=True, slots=True)
class Member:
    """One device. `online` as last heard, `told` as last told; None: never."""

    part: str
    expected: bool
    online: bool | None = None
    since_ns: int = 0
    told: bool | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Company:
    """All devices of the site but the agent. `reached_ns`: since when the broker is connected; None: it is not."""

    members: Mapping[str, Member] = field(default_factory=dict)
    reached_ns: int | None = None
    ignored: int = 0


def gather(expected: Iterable[tuple[str, str]]) -> Company:
    """The devices (id, part) that the configuration names; nothing is known of them yet."""
    return Company({device: Member(part, expected=True) for device, part in expected})


def reach(company: Company, now_ns: int) -> Company:
    """The broker is connected: what it holds comes in again."""
    return replace(company, reached_ns=now_ns)


def lose(company: Company) -> Company:
    """The broker is away."""
    return replace(company, reached_ns=None)


def hear(company: Company, status: Status, now_ns: int) -> Company:
    """A birth or a last will."""
    was = company.members.get(status.device)
    if was is None and len(company.members) >= MOST:
        return replace(company, ignored=company.ignored + 1)
    was = was or Member(status.part, expected=False)
    since_ns = was.since_ns if was.online == status.online else now_ns
    version = status.version or was.version
    heard = replace(was, part=status.part or was.part, online=status.online, since_ns=since_ns, version=version)
    return replace(company, members={**company.members, status.device: heard})


def conclude(company: Company, now_ns: int) -> tuple[Company, list[PresenceChanged]]:
    """What is to be told at this moment."""
    if company.reached_ns is None:
        return company, []
    changes: list[PresenceChanged] = []
    members = dict(company.members)
    for device, member in company.members.items():
        online = _settled(member, company.reached_ns, now_ns)
        if online is None or online == member.told:
            continue
        members[device] = replace(member, told=online)
        changes.append(PresenceChanged(device, member.part, online, member.expected, member.version))
    return (replace(company, members=members) if changes else company), changes


def _settled(member: Member, reached_ns: int, now_ns: int) -> bool | None:
    """Whether it is here, once that is sure enough to be told."""
    if member.online is None:
        return False if member.expected and now_ns - reached_ns >= FIRST_NS else None
    return member.online if now_ns - max(member.since_ns, reached_ns) >= SETTLE_NS else None
