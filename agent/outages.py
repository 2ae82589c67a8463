"""Outages: when a line, router or service was down by its own fault, and how much of that was seen. Pure.

An outage opens when a rung is down and what it stands on has been seen to work since; it closes when the rung is up
again. In between, time in which nobody watched (the box had no power) or could not see (the router before the line was
dead) is counted apart: it is unknown, and never the provider's downtime. Open outages are kept on disk by
`agent.watchlog` and live on after a restart, under the name they were given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from agent.causes import ORDER, Cause
from agent.diagnosis import Finding
from agent.ladder import NS_PER_S, Kind, State, View
from bus.entries import OutageClosed, OutageOpened

GAP_NS: Final = 3 * NS_PER_S  # unseen for so long is unwatched
UNTOLD_NS: Final = 8 * NS_PER_S  # an outage that the diagnosis does not name is opened after so long all the same
_CAUSES: Final = {
    Kind.ROUTER: "router-dead",
    Kind.LINE: "line-down",
    Kind.DNS: "dns-dead",
    Kind.HUB: "hub-unreachable",
    Kind.SERVICE: "service-down",
}

OutageEvent = OutageOpened | OutageClosed


class Outage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One that is open. Times are Unix milliseconds; `seen_ms` is when it was last seen to be down.

    `boot` is the boot by whose clock it began. `unwatched_ms` is below zero where a later boot began with a clock that
    was behind: once that is set, it is right again.
    """

    outage: str
    subject: str
    cause: str
    started_ms: int
    seen_ms: int
    unwatched_ms: int = 0
    provider: str = ""
    evidence: list[str] = []
    boot: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """Open outages by subject. `seen_ns`: when each was last seen in this run, by the monotonic clock.

    `providers` names a line's provider by rung id; `device` begins the name of each outage; `boot` is the running one.
    """

    device: str
    providers: Mapping[str, str] = field(default_factory=dict)
    open: Mapping[str, Outage] = field(default_factory=dict)
    seen_ns: Mapping[str, int] = field(default_factory=dict)
    boot: str = ""

    def is_carried(self, outage: Outage) -> bool:
        """Whether it began in an earlier boot, by a clock that has nothing to do with this one."""
        return outage.boot != self.boot


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks: monotonic nanoseconds and Unix milliseconds."""

    mono_ns: int
    wall_ms: int

    def wall_of(self, mono_ns: int) -> int:
        """The wall time of an earlier monotonic moment."""
        return self.wall_ms - (self.mono_ns - mono_ns) // 1_000_000


def watch(
    book: Book, views: Mapping[str, View], now: Moment, told: Finding | None, *, linked: bool
) -> tuple[Book, list[OutageEvent]]:
    """Look at all rungs. `linked`: the box's own port has carrier, else nothing beyond it can be seen at all."""
    opened, seen_ns = dict(book.open), dict(book.seen_ns)
    events: list[OutageEvent] = []
    for name, forsaken in book.open.items():
        if name not in views or views[name].rung.kind not in _CAUSES:  # no longer in the configuration
            events.append(_close(book, forsaken, now, seen_ns.pop(name, None)))
            del opened[name]
    for name, view in views.items():
        held = opened.get(name)
        if view.rung.kind not in _CAUSES or not linked or not _stands(view, views):
            continue
        if view.state is State.DOWN and held is not None:
            opened[name] = _see(book, held, now, seen_ns.get(name))
            seen_ns[name] = now.mono_ns
        elif view.state is State.DOWN and _cleared(view, views) and _is_told(view, told, now):
            opened[name] = _open(book, view, now, told)
            seen_ns[name] = now.mono_ns
            events.append(announcement(book, opened[name]))
        elif view.state is State.UP and held is not None:
            end = Moment(view.onset_ns, now.wall_of(view.onset_ns))
            events.append(_close(book, held, end, seen_ns.pop(name, None)))
            del opened[name]
    return replace(book, open=opened, seen_ns=seen_ns), events


def announcement(book: Book, outage: Outage) -> OutageOpened:
    """The record that opens it; the same one again after a crash between the file and the journal."""
    return OutageOpened(
        outage=outage.outage,
        subject=outage.subject,
        cause=outage.cause,
        started_ms=outage.started_ms,
        provider=outage.provider,
        evidence=outage.evidence,
        carried=book.is_carried(outage),
    )


def shift(book: Book, step_ms: int) -> Book:
    """The wall clock was set by `step_ms`: what began in this boot began so much later than it was thought.

    An outage from before stands where it was; the time without power, told by the clock as it was, was so much longer.
    """
    moved = {name: _shift(outage, book, step_ms) for name, outage in book.open.items()}
    return replace(book, open=moved)


def _shift(outage: Outage, book: Book, step_ms: int) -> Outage:
    seen_ms = outage.seen_ms + step_ms
    if not book.is_carried(outage):
        return msgspec.structs.replace(outage, started_ms=outage.started_ms + step_ms, seen_ms=seen_ms)
    if outage.subject not in book.seen_ns:
        return outage
    return msgspec.structs.replace(outage, seen_ms=seen_ms, unwatched_ms=outage.unwatched_ms + step_ms)


def _stands(view: View, views: Mapping[str, View]) -> bool:
    return all(any(views[need].state is State.UP for need in group) for group in view.rung.needs)


def _cleared(view: View, views: Mapping[str, View]) -> bool:
    """What the rung stands on has answered since it failed."""
    return all(
        any(views[need].good_ns >= view.onset_ns and not views[need].moving for need in group)
        for group in view.rung.needs
    )


def _is_told(view: View, told: Finding | None, now: Moment) -> bool:
    """The diagnosis names it, and so its cause; or it has long named something else that does not explain this.

    While a line is down, what is reached over another that is up on paper fails with it: that is no outage of its own.
    """
    if told is not None and (told.subject == view.rung.id or view.rung.id in told.also):
        return True
    near = view.rung.kind in (Kind.ROUTER, Kind.LINE)
    explained = told is not None and not near and ORDER[told.cause] < ORDER[Cause.DNS_DEAD]
    return not explained and now.mono_ns - view.onset_ns >= UNTOLD_NS


def _open(book: Book, view: View, now: Moment, told: Finding | None) -> Outage:
    name, started_ms = view.rung.id, now.wall_of(view.onset_ns)
    cause = _CAUSES[view.rung.kind]
    if told is not None and (told.subject == name or name in told.also):
        cause = str(told.cause)
    evidence = []
    if view.last is not None:
        evidence.append(f"{view.last.target}: {view.last.reason} {view.last.detail}".strip())
    return Outage(
        outage=f"{book.device}-{name}-{started_ms}",
        subject=name,
        cause=cause,
        started_ms=started_ms,
        seen_ms=now.wall_ms,
        provider=book.providers.get(name, ""),
        evidence=evidence,
        boot=book.boot,
    )


def _see(book: Book, outage: Outage, now: Moment, seen_ns: int | None) -> Outage:
    unwatched_ms = outage.unwatched_ms + _unwatched_ms(book, outage, now, seen_ns)
    return msgspec.structs.replace(outage, seen_ms=now.wall_ms, unwatched_ms=unwatched_ms)


def _unwatched_ms(book: Book, outage: Outage, now: Moment, seen_ns: int | None) -> int:
    """How long it was out of sight before now. Before this run only the wall clock can tell, and in a boot that began
    with its clock behind it may say that no time has passed, or less than none."""
    passed_ms = now.wall_ms - outage.seen_ms if seen_ns is None else (now.mono_ns - seen_ns) // 1_000_000
    if seen_ns is None and book.is_carried(outage):
        return passed_ms
    return passed_ms if passed_ms >= GAP_NS // 1_000_000 else 0


def _close(book: Book, outage: Outage, end: Moment, seen_ns: int | None) -> OutageClosed:
    carried = book.is_carried(outage)
    return OutageClosed(
        outage=outage.outage,
        subject=outage.subject,
        cause=outage.cause,
        started_ms=outage.started_ms,
        # What is carried and ends before the clock is known is put right by this boot's anchor, at the hub: left raw.
        ended_ms=end.wall_ms if carried else max(end.wall_ms, outage.started_ms),
        unwatched_ms=outage.unwatched_ms + _unwatched_ms(book, outage, end, seen_ns),
        provider=outage.provider,
        evidence=outage.evidence,
        carried=carried,
    )
