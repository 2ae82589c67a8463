"""What the agent concludes, moment by moment: from observations to records. Pure.

`State` is all that is remembered. `take_result` and `take_network` let observations in, `conclude` draws what follows
from them at this moment and returns the records that makes, in order. The shell (`agent.resident`) calls `conclude`
after whatever came in and several times a second, and does with the records what must be done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent import ladder as ladders
from agent import minutes, outages
from agent.causes import Cause
from agent.diagnosis import Board, Finding, PortView, PowerView, judge
from agent.ladder import NS_PER_S, Kind, Ladder, Pace, View
from agent.ladder import State as RungState
from agent.layout import Layout
from agent.minutes import LineNow, Minute
from agent.observations import NetworkState, ProbeResult
from agent.outages import Book, Moment
from agent.senses import port_changes
from agent.senses.port_changes import PortHistory
from agent.sentences import words_for
from agent.settling import Settling, settle
from bus.entries import DiagnosisChanged, EntryData, EventNoted, Sentence

LOOPBACK: Final = "lo"  # a box with no port of its own to watch, as in the demo


@dataclass(frozen=True, slots=True)
class Rules:
    """What configuration says of judging. `port` is the box's own, `speed_mbit` its due speed (None: the best seen)."""

    port: str
    speed_mbit: int | None = None
    pace: Pace = field(default_factory=Pace)
    flap_count: int = 3
    loss_hold_s: float = 5.0


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered between moments."""

    layout: Layout
    rules: Rules
    ladder: Ladder
    book: Book
    settling: Settling = field(default_factory=Settling)
    ports: Mapping[str, PortHistory] = field(default_factory=dict)
    network: NetworkState | None = None
    port_since_ns: int = 0
    power: PowerView | None = None
    light_low: Mapping[str, float] = field(default_factory=dict)
    ending: Mapping[str, float] = field(default_factory=dict)
    recording: bool = True
    minute: Minute | None = None
    second_ns: int = 0
    clock_ms: int | None = None

    @property
    def told(self) -> Finding | None:
        """The cause as last told."""
        return self.settling.told


@dataclass(frozen=True, slots=True)
class Told:
    """The cause in words, as it stands."""

    finding: Finding
    says: Sentence
    do: Sentence


def start(
    layout: Layout, rules: Rules, book: Book, now_ns: int, *, ports: Mapping[str, PortHistory] | None = None
) -> State:
    """Nothing is known yet but what was remembered: open outages, and the best speed of each port."""
    ladder = ladders.restart(ladders.build(layout.rungs, rules.pace), now_ns)
    return State(layout, rules, ladder, book, ports=ports or {}, port_since_ns=now_ns)


def take_result(state: State, result: ProbeResult) -> State:
    """A probe has ended."""
    minute = minutes.add(state.minute, result) if state.minute is not None else None
    limit = state.layout.certificate_days.get(result.target)
    if limit is not None and result.success and result.certificate_days is not None:
        ending = {name: days for name, days in state.ending.items() if name != result.target}
        if result.certificate_days <= limit:
            ending[result.target] = result.certificate_days
        state = replace(state, ending=ending)
    return replace(state, ladder=ladders.take(state.ladder, result), minute=minute)


def take_network(state: State, network: NetworkState) -> tuple[State, list[EntryData]]:
    """Ports, addresses or routes have changed. A port that can be used again, or another way out, starts all anew."""
    name, before = state.rules.port, state.network
    ports = port_changes.follow_all(dict(state.ports), network, window_ns=state.rules.pace.flap_window_ns)
    was, now = _usable(before, name), _usable(network, name)
    if before is None or was != now:
        state = replace(state, port_since_ns=network.mono_ns)
    if before is not None and now and (not was or _gateways(before) != _gateways(network)):
        state = replace(state, ladder=ladders.restart(state.ladder, network.mono_ns))
    return replace(state, network=network, ports=ports), _changes(before, network)


def conclude(state: State, now: Moment) -> tuple[State, list[EntryData]]:
    """Draw the conclusions of this moment."""
    records: list[EntryData] = []
    state = _follow_clock(state, now)
    state = replace(state, ladder=ladders.expire(state.ladder, now.mono_ns))
    views = ladders.views(state.ladder)
    state, changed = _diagnose(state, views, now)
    records += changed
    book, events = outages.watch(state.book, views, now, state.told, linked=_usable(state.network, state.rules.port))
    records += events
    state, closed = _count_time(replace(state, book=book), views, now)
    return state, records + closed


def end(state: State, now: Moment) -> tuple[State, list[EntryData]]:
    """The watching ends: the minute under way is on record as far as it was seen."""
    state = _follow_clock(state, now)
    record = minutes.close(state.minute, state.book.providers) if state.minute is not None else None
    return replace(state, minute=None), [record] if record is not None else []


def board_of(state: State, views: Mapping[str, View], now_ns: int) -> Board:
    """All that is seen, for the diagnosis."""
    return Board(
        now_ns=now_ns,
        views=views,
        lines=state.layout.lines,
        port=_port_view(state, now_ns),
        routers=state.layout.routers,
        routes=_gateways(state.network),
        part_time=state.layout.part_time,
        power=state.power,
        light_low=state.light_low,
        ending=state.ending,
        recording=state.recording,
        flap_count=state.rules.flap_count,
    )


def told_in_words(state: State) -> Told | None:
    """The cause as it stands, in both languages; None before the first verdict."""
    if state.told is None:
        return None
    says, do = words_for(state.told, state.layout.words)
    return Told(state.told, says, do)


def uplink_of(state: State, views: Mapping[str, View]) -> str:
    """The Internet line in use: by the default route where lines have routers of their own, else the first one up."""
    lines = [line for line in state.layout.lines if line.network == "internet"]
    gateways = _gateways(state.network)
    routed = [line for line in lines if gateways and state.layout.routers.get(line.router) == gateways[0]]
    for line in sorted(routed or lines, key=lambda line: line.spare):
        if views[line.id].state is not RungState.DOWN:
            return line.id
    return ""


def _diagnose(state: State, views: Mapping[str, View], now: Moment) -> tuple[State, list[EntryData]]:
    finding = judge(board_of(state, views, now.mono_ns))
    settling = settle(state.settling, finding, views, now.mono_ns, loss_hold_s=state.rules.loss_hold_s)
    was, state = state.told, replace(state, settling=settling)
    if state.told is None or (was is not None and was.identity == state.told.identity):
        return state, []
    told = state.told
    says, do = words_for(told, state.layout.words)
    since_ns = told.since_ns if 0 < told.since_ns <= now.mono_ns else now.mono_ns
    record = DiagnosisChanged(
        cause=str(told.cause),
        subject=told.subject,
        since_ms=now.wall_ms if told.cause is Cause.FINE else now.wall_of(since_ns),
        confidence=told.confidence,
        says=says,
        do=do,
        evidence=_evidence(state, views),
        uplink=uplink_of(state, views),
    )
    return state, [record]


def _evidence(state: State, views: Mapping[str, View]) -> list[str]:
    """The rungs as they were seen: all of the ladder, and whatever else is not up."""
    seen = []
    port = _port_view(state, 0)
    if port is not None:
        seen.append(f"{port.name} {'up' if port.carrier else 'no carrier' if port.present else 'absent'}")
    for view in views.values():
        if view.rung.kind in (Kind.HOST, Kind.SERVICE) and view.state is RungState.UP:
            continue
        reason = f" {view.last.reason}" if view.state is RungState.DOWN and view.last else ""
        loss = f" loss {view.loss_pct:.0f} %" if view.lossy and view.loss_pct is not None else ""
        seen.append(f"{view.rung.id} {view.state}{reason}{loss}")
    return seen[:40]


def _follow_clock(state: State, now: Moment) -> State:
    """Notice that the wall clock was set: what began in this boot is dated anew."""
    clock_ms = now.wall_ms - now.mono_ns // 1_000_000
    step_ms = clock_ms - state.clock_ms if state.clock_ms is not None else 0
    if abs(step_ms) > 2_000:
        minute = minutes.shift(state.minute, step_ms) if state.minute is not None else None
        state = replace(state, book=outages.shift(state.book, step_ms), minute=minute)
    return replace(state, clock_ms=clock_ms)


def _count_time(state: State, views: Mapping[str, View], now: Moment) -> tuple[State, list[EntryData]]:
    """Seconds of each line, and the minute that is over."""
    records: list[EntryData] = []
    minute = state.minute or minutes.begin(now.wall_ms)
    if minutes.is_over(minute, now.wall_ms):
        if (record := minutes.close(minute, state.book.providers)) is not None:
            records.append(record)
        minute = minutes.begin(now.wall_ms)
    if now.mono_ns - state.second_ns >= NS_PER_S:
        linked = _usable(state.network, state.rules.port)
        minute = minutes.second(
            minute, [_line_now(state, views, line.id, linked=linked) for line in state.layout.lines]
        )
        overdue = now.mono_ns - state.second_ns >= 2 * NS_PER_S
        state = replace(state, second_ns=now.mono_ns if overdue else state.second_ns + NS_PER_S)
    return replace(state, minute=minute), records


def _line_now(state: State, views: Mapping[str, View], line: str, *, linked: bool) -> LineNow:
    view = views[line]
    visible = linked and all(any(views[need].state is RungState.UP for need in group) for group in view.rung.needs)
    down = None
    if visible and view.state is not RungState.UNKNOWN:
        down = line in state.book.open
    return LineNow(line, state.book.providers.get(line, ""), down)


def _port_view(state: State, now_ns: int) -> PortView | None:
    name = state.rules.port
    if state.network is None or name == LOOPBACK:
        return None
    port = state.network.ports.get(name)
    if port is None:
        return PortView(name, present=False, carrier=False, addressed=False, since_ns=state.port_since_ns)
    history = state.ports.get(name, PortHistory())
    found = port_changes.findings(history, expected_mbit=state.rules.speed_mbit)
    return PortView(
        name=name,
        present=port.present,
        carrier=port.carrier,
        addressed=bool(port.addresses),
        since_ns=state.port_since_ns,
        flaps=sum(1 for at in history.flaps if at > now_ns - state.rules.pace.flap_window_ns),
        speed_mbit=port.speed_mbit,
        expected_mbit=found.slow_from_mbit,
        half_duplex=found.half_duplex,
    )


def _gateways(network: NetworkState | None) -> tuple[str, ...]:
    if network is None:
        return ()
    return tuple(route.gateway for route in sorted(network.routes, key=lambda route: route.metric))


def _usable(network: NetworkState | None, name: str) -> bool:
    if name == LOOPBACK:
        return True
    port = network.ports.get(name) if network is not None else None
    return port is not None and port.present and port.carrier and bool(port.addresses)


def _changes(before: NetworkState | None, network: NetworkState) -> list[EntryData]:
    """Carrier and default routes, as events: what an engineer looks for afterwards."""
    if before is None:
        return []
    events: list[EntryData] = []
    for name in sorted(before.ports.keys() | network.ports.keys()):
        was, now = before.ports.get(name), network.ports.get(name)
        had, has = was is not None and was.carrier, now is not None and now.carrier
        if had != has:
            detail = f"{now.speed_mbit} Mbit/s" if now is not None and now.carrier and now.speed_mbit else ""
            events.append(EventNoted("carrier-back" if has else "carrier-lost", detail, name))
    if _gateways(before) != _gateways(network):
        detail = f"{' '.join(_gateways(before)) or 'none'} -> {' '.join(_gateways(network)) or 'none'}"
        events.append(EventNoted("default-route-changed", detail))
    return events
