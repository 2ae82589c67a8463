"""From what is seen to ONE cause: the root of what is wrong, and silence about the rest. Pure.

`judge` says what the evidence of this moment means. It walks from the box outwards and stops at the first fault: what
lies behind a fault cannot be blamed. `agent.settling` decides when a finding is ripe to be told, `agent.sentences` puts
it into words. Confidence is from 0 to 1 and says how well the evidence tells this cause from its neighbours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.causes import Cause
from agent.ladder import NS_PER_S, Kind, State, View

FLAPS: Final = 3
WITHIN_DAYS: Final = (2, 7, 14, 30, 60, 90, 180, 365)
LIGHT_DAYS: Final = 30  # a fall of light that ends later than this is not told: a guess beyond it is none
_NEAR_SHARE: Final = 0.3
LIVING_NS: Final = 30 * NS_PER_S  # what flapped and has been down for so long since is plainly down
_TOGETHER_S: Final = 2.0  # beside its interval: how far apart neighbours may fall silent of the same fault


@dataclass(frozen=True, slots=True)
class PortView:
    """The box's own port. `expected_mbit` is set only while it runs below it."""

    name: str
    present: bool
    carrier: bool
    addressed: bool
    since_ns: int = 0
    flaps: int = 0
    speed_mbit: int | None = None
    expected_mbit: int | None = None
    half_duplex: bool = False


@dataclass(frozen=True, slots=True)
class LineView:
    """What configuration says of a line, by the id of its rung."""

    id: str
    network: str
    spare: bool
    router: str
    web: str | None = None


@dataclass(frozen=True, slots=True)
class PowerView:
    """The UPS, where there is one."""

    on_battery: bool
    minutes_left: float | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """All that is seen now. `routers` maps the rung of each router to its address; `routes` are default gateways.

    `light_low`: days until received light is below its threshold, of lines where those are few; 0: it is. `ending`:
    services by days their certificate has left, where that is too few. `recording` is False while nothing can be
    written.
    """

    now_ns: int
    views: Mapping[str, View]
    lines: tuple[LineView, ...] = ()
    port: PortView | None = None
    routers: Mapping[str, str] = field(default_factory=dict)
    routes: tuple[str, ...] = ()
    part_time: frozenset[str] = frozenset()
    power: PowerView | None = None
    light_low: Mapping[str, float] = field(default_factory=dict)
    ending: Mapping[str, float] = field(default_factory=dict)
    recording: bool = True
    flap_count: int = FLAPS


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause as the evidence has it.

    `since_ns` is its first symptom; `witnesses` are the rungs that must have been heard since before it may be told,
    but for a finding that is `sure`; `also` lists all lines that are down. `within_days`, of what is still to come, is
    one of `WITHIN_DAYS`: it is told again when less time is left, not each day. `cleared`: what lies before the blamed
    has been heard since, and so is known to work.
    """

    cause: Cause
    subject: str = ""
    since_ns: int = 0
    confidence: float = 0.95
    witnesses: tuple[str, ...] = ()
    sure: bool = False
    also: tuple[str, ...] = ()
    within_days: int | None = None
    cleared: bool = True

    @property
    def identity(self) -> tuple[Cause, str, int | None]:
        """What makes two findings the same one."""
        return self.cause, self.subject, self.within_days


def judge(board: Board) -> Finding:
    """The one cause. `Cause.FINE` when nothing is wrong, `Cause.NO_DATA` when too little is seen to say so."""
    for look in (_power, _port, _lan, _lines, _beyond, _warnings):
        if (finding := look(board)) is not None:
            return finding
    if not any(view.state is not State.UNKNOWN for view in board.views.values()):
        return Finding(Cause.NO_DATA, confidence=1.0)
    return Finding(Cause.FINE, confidence=1.0, witnesses=tuple(_prompt(board, Kind)))


def _power(board: Board) -> Finding | None:
    if board.power is None or not board.power.on_battery:
        return None
    return Finding(Cause.ON_BATTERY, confidence=0.98, sure=True)


def _port(board: Board) -> Finding | None:
    port = board.port
    if port is None:
        return None
    if not port.present:
        return Finding(Cause.PORT_MISSING, port.name, port.since_ns, sure=True)
    plainly_out = not port.carrier and board.now_ns - port.since_ns > LIVING_NS
    if port.flaps >= board.flap_count and not plainly_out:
        return Finding(Cause.PORT_FLAPPING, port.name, port.since_ns, sure=True)
    if not port.carrier:
        return Finding(Cause.CABLE_UNPLUGGED, port.name, port.since_ns, 0.9, sure=True)
    if not port.addressed:
        return Finding(Cause.NO_ADDRESS, port.name, port.since_ns)
    return None


def _lan(board: Board) -> Finding | None:
    near = [view for view in board.views.values() if view.rung.kind in (Kind.SWITCH, Kind.ROUTER, Kind.HOST)]
    used = _used_routers(board)
    down = [view for view in used if view.state is State.DOWN]
    if down:
        return _dead_router(near, down[0], board.part_time)
    if not board.routes and board.port is not None and board.lines:
        return Finding(Cause.NO_ROUTE, board.port.name, board.port.since_ns)
    if (wrong := _wrong_route(board)) is not None:
        return wrong
    for view in used:
        if view.lossy and view.state is State.UP:
            shared = all(other.noisy or other.lossy for other in near if other.rung.pings)
            return Finding(Cause.LAN_LOSS, "lan", view.lossy_ns, 0.9 if shared else 0.7)
    return None


def _used_routers(board: Board) -> list[View]:
    """Routers of the lines that carry traffic by configuration; all of them where no line says."""
    main = {line.router for line in board.lines if not line.spare}
    routers = [view for view in board.views.values() if view.rung.kind is Kind.ROUTER]
    return [view for view in routers if view.rung.id in main] or routers


def _dead_router(near: list[View], router: View, part_time: frozenset[str]) -> Finding:
    """The router is silent: it alone, or all of the LAN and so what carries it?

    Whoever answers now clears the LAN. Silence speaks against it only where it began with the router's: a printer that
    was off before, or is off at night, has no say.
    """
    peers = [view for view in near if view.rung.id != router.rung.id]
    witnesses = tuple(view.rung.id for view in near if view.rung.interval_s <= 2)
    if any(view.good_ns >= router.onset_ns for view in peers):
        return Finding(Cause.ROUTER_DEAD, router.rung.id, router.onset_ns, 0.95, witnesses)
    if any(view.rung.id not in part_time and _fell_silent_with(view, router) for view in peers):
        return Finding(Cause.SWITCH_DEAD, "switch", router.onset_ns, 0.85, witnesses)
    return Finding(Cause.ROUTER_DEAD, router.rung.id, router.onset_ns, 0.6, witnesses, cleared=False)


def _fell_silent_with(peer: View, router: View) -> bool:
    """Whether the peer answered up to when the router did. A switch is never merely off: it need not have answered."""
    if not peer.good_ns and peer.rung.kind is not Kind.SWITCH:
        return False
    slack_ns = int((2 * max(peer.rung.interval_s, router.rung.interval_s) + _TOGETHER_S) * NS_PER_S)
    return peer.good_ns >= router.good_ns - slack_ns


def _wrong_route(board: Board) -> Finding | None:
    """The default route leads to a gateway that nobody configured, and lines do suffer."""
    known = set(board.routers.values())
    families = {":" in address for address in known}
    alike = [gateway for gateway in board.routes if (":" in gateway) in families]
    if board.port is None or not alike or alike[0] in known:
        return None
    suffering = [view for view in _of(board, Kind.LINE) if view.state is State.DOWN]
    if not suffering:
        return None
    return Finding(
        Cause.WRONG_ROUTE, board.port.name, suffering[0].onset_ns, 0.95, tuple(_prompt(board, (Kind.ROUTER, Kind.LINE)))
    )


def _lines(board: Board) -> Finding | None:
    known = [line for line in board.lines if line.id in board.views]
    down = [line for line in known if _blamed(board, board.views[line.id])]
    witnesses = tuple(_prompt(board, (Kind.SWITCH, Kind.ROUTER, Kind.LINE)))
    for line in known:
        if (finding := _flapping(board, line, witnesses)) is not None:
            return finding
    if (finding := _lines_down(board, known, down, witnesses)) is not None:
        return finding
    for line in known:
        view = board.views[line.id]
        if view.state is State.UP and view.lossy and not _near_loss(board, view):
            return Finding(Cause.LINE_DEGRADED, line.id, view.lossy_ns, 0.85, witnesses)
    return None


def _flapping(board: Board, line: LineView, witnesses: tuple[str, ...]) -> Finding | None:
    view = board.views[line.id]
    settled_down = view.state is State.DOWN and board.now_ns - view.onset_ns > LIVING_NS
    if view.turns < board.flap_count or settled_down or not _reachable(board, view):
        return None
    return Finding(Cause.LINE_FLAPPING, line.id, view.onset_ns, 0.9, witnesses)


def _lines_down(
    board: Board, known: list[LineView], down: list[LineView], witnesses: tuple[str, ...]
) -> Finding | None:
    """Which of the lines are down, and what that makes of the whole. A spare that is down alone is told later."""
    if not down:
        return None
    internet = [line for line in known if line.network == "internet"]
    tslcd = [line for line in known if line.network == "tslcd"]
    also = tuple(line.id for line in down)
    since_ns = min(board.views[line.id].onset_ns for line in down)
    internet_down = bool(internet) and all(line in down for line in internet)
    tslcd_down = bool(tslcd) and all(line in down for line in tslcd)
    if internet_down and (tslcd_down or not tslcd):
        cleared = all(line.router and board.views[line.router].state is State.UP for line in internet)
        return Finding(
            Cause.FIBRE_DOWN, internet[0].id, since_ns, 0.9 if cleared else 0.6, witnesses, also=also, cleared=cleared
        )
    if internet_down:
        return Finding(Cause.INTERNET_DOWN, internet[0].id, since_ns, 0.95, witnesses, also=also)
    for line in internet:
        if line in down and not line.spare:
            return Finding(Cause.MAIN_DOWN, line.id, board.views[line.id].onset_ns, 0.95, witnesses, also=also)
    if tslcd_down:
        return Finding(Cause.TSLCD_DOWN, tslcd[0].id, since_ns, 0.95, witnesses, also=also)
    return None


def _beyond(board: Board) -> Finding | None:
    nearer: tuple[Kind, ...] = (Kind.SWITCH, Kind.ROUTER, Kind.LINE)
    if (blind := _unasked(board, nearer)) is not None:
        return blind  # whose fault it is that something beyond does not answer cannot be said
    for kind, cause in ((Kind.DNS, Cause.DNS_DEAD), (Kind.WEB, Cause.WEB_BROKEN), (Kind.HUB, Cause.HUB_UNREACHABLE)):
        nearer = (*nearer, kind)
        for view in _of(board, kind):
            if _proved(board, view):
                return Finding(cause, view.rung.id, view.onset_ns, 0.9, tuple(_prompt(board, nearer)))
    for view in _of(board, Kind.SERVICE):
        if _proved(board, view):
            return Finding(_service_cause(view), view.rung.id, view.onset_ns, 0.9, tuple(_prompt(board, nearer)))
    for line in board.lines:
        if line.spare and line.id in board.views and board.views[line.id].state is State.DOWN:
            since_ns = board.views[line.id].onset_ns
            return Finding(Cause.SPARE_DOWN, line.id, since_ns, 0.95, tuple(_prompt(board, (Kind.ROUTER, Kind.LINE))))
    for view in _of(board, Kind.HOST):
        if view.rung.id not in board.part_time and _proved(board, view):
            near = (Kind.SWITCH, Kind.ROUTER)
            return Finding(Cause.HOST_DOWN, view.rung.id, view.onset_ns, 0.9, tuple(_prompt(board, near)))
    return _unasked(board, Kind)


def _service_cause(view: View) -> Cause:
    reason = view.last.reason if view.last else ""
    if reason == "expired-certificate":
        return Cause.CERTIFICATE_EXPIRED
    return Cause.CERTIFICATE_BAD if reason == "bad-certificate" else Cause.SERVICE_DOWN


def _unasked(board: Board, kinds: Iterable[Kind]) -> Finding | None:
    """Rungs of these kinds that are not known because the box could not ask: no fault of theirs, and not fine."""
    wanted = set(kinds)
    blind = [
        view.unasked_ns
        for view in board.views.values()
        if view.rung.kind in wanted
        and view.state is State.UNKNOWN
        and view.unasked_ns
        and board.now_ns - view.unasked_ns <= view.rung.stale_ns
    ]
    return Finding(Cause.CANNOT_PROBE, since_ns=min(blind), confidence=1.0) if blind else None


def _warnings(board: Board) -> Finding | None:
    port = board.port
    if port is not None and (port.expected_mbit is not None or port.half_duplex):
        return Finding(Cause.SPEED_FELL, port.name, port.since_ns, 0.95)
    for line, days in sorted(board.light_low.items(), key=lambda low: low[1]):
        if days <= 0:
            return Finding(Cause.LIGHT_LOW, line, board.now_ns, 0.9)
        return Finding(Cause.LIGHT_FALLING, line, board.now_ns, 0.8, within_days=_within(days))
    if not board.recording:
        return Finding(Cause.RECORDING_BROKEN, since_ns=board.now_ns, confidence=1.0, sure=True)
    for service, days in sorted(board.ending.items(), key=lambda ends: ends[1]):
        return Finding(Cause.CERTIFICATE_ENDING, service, board.now_ns, 1.0, within_days=_within(days))
    return None


def _within(days: float) -> int:
    return next((within for within in WITHIN_DAYS if days <= within), WITHIN_DAYS[-1])


def _of(board: Board, kind: Kind) -> list[View]:
    return [view for view in board.views.values() if view.rung.kind is kind]


def _prompt(board: Board, kinds: object) -> list[str]:
    """Rungs of these kinds that are asked often enough to be waited for."""
    wanted = tuple(Kind) if kinds is Kind else kinds
    return [
        name
        for name, view in board.views.items()
        if view.rung.interval_s <= 2 and isinstance(wanted, tuple) and view.rung.kind in wanted
    ]


def _reachable(board: Board, view: View) -> bool:
    """What the rung stands on is not down, so that its own state is its own."""
    return all(any(board.views[need].state is not State.DOWN for need in group) for group in view.rung.needs)


def _blamed(board: Board, view: View) -> bool:
    return view.state is State.DOWN and _reachable(board, view)


def _proved(board: Board, view: View) -> bool:
    """Down by itself: over a way that loses packets it takes many more failures to say so."""
    noisy = any(board.views[need].noisy for group in view.rung.needs for need in group)
    return _blamed(board, view) and (not noisy or view.fails >= 5 * view.rung.fails)


def _near_loss(board: Board, line: View) -> bool:
    """A good part of a line's loss happens before it: it is the LAN's, whose own rungs may say so a little later."""
    near = [view for view in board.views.values() if view.rung.kind in (Kind.SWITCH, Kind.ROUTER)]
    worst = max((view.loss_pct or 0.0 for view in near if view.state is State.UP), default=0.0)
    return worst >= (line.loss_pct or 0.0) * _NEAR_SHARE > 0
