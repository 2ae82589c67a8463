"""A commune simulated for the pure cores: probes in their cadence and phase, whatever is broken, an injected clock.

Each target is probed each second at a phase of its own, as `agent.senses.prober` does. A probe that begins while its
target cannot be reached fails after its time-out; one under way when the fault begins or ends is half lost.
"""

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from agent import judgement
from agent.diagnosis import LineView
from agent.judgement import Rules, State
from agent.ladder import Kind, Pace, Rung
from agent.layout import Layout
from agent.observations import UNASKED, NetworkState, PortState, ProbeResult, Route
from agent.outages import Book, Moment
from agent.sentences import Words
from bus.entries import DiagnosisChanged, EntryData

S = 1_000_000_000
WALL_MS = 1_790_000_000_000
ROUTER = "10.0.0.1"

RUNGS = (
    Rung("switch", Kind.SWITCH, ("switch",), pings=True),
    Rung("router", Kind.ROUTER, ("router",), pings=True),
    Rung("vnpt", Kind.LINE, ("vnpt/1", "vnpt/2"), (("router",),), pings=True),
    Rung("viettel", Kind.LINE, ("viettel/1", "viettel/2"), (("router",),), pings=True),
    Rung("tslcd", Kind.LINE, ("tslcd/1", "tslcd/2"), (("router",),), pings=True),
    Rung("dns", Kind.DNS, ("dns/1",), (("vnpt", "viettel"),)),
    Rung("vnpt-web", Kind.WEB, ("vnpt-web",), (("vnpt",), ("dns",)), fails=3),
    Rung("hub", Kind.HUB, ("hub",), (("tslcd",),), fails=3),
    Rung("mot-cua", Kind.SERVICE, ("mot-cua",), (("tslcd",),), fails=3),
    Rung("ky-so", Kind.SERVICE, ("ky-so",), (("vnpt", "viettel"), ("dns",)), fails=3),
    Rung("may-in", Kind.HOST, ("may-in",), pings=True, fails=3),
)
LINES = (
    LineView("vnpt", "internet", spare=False, router="router", web="vnpt-web"),
    LineView("viettel", "internet", spare=True, router="router"),
    LineView("tslcd", "tslcd", spare=False, router="router"),
)
# What each target is reached through, besides itself.
LAN = ("lan",)
WAY = {
    "switch": LAN,
    "may-in": LAN,
    "router": (*LAN, "router"),
    **{f"vnpt/{n}": (*LAN, "router", "vnpt") for n in (1, 2)},
    **{f"viettel/{n}": (*LAN, "router", "viettel") for n in (1, 2)},
    **{f"tslcd/{n}": (*LAN, "router", "tslcd") for n in (1, 2)},
    "dns/1": (*LAN, "router", "vnpt"),
    "vnpt-web": (*LAN, "router", "vnpt"),
    "hub": (*LAN, "router", "tslcd"),
    "mot-cua": (*LAN, "router", "tslcd"),
    "ky-so": (*LAN, "router", "vnpt"),
}


def network(mono_ns: int, *, carrier: bool = True, gateway: str | None = ROUTER, **port: object) -> NetworkState:
    shape = PortState("lan0", present=True, carrier=carrier, speed_mbit=1000, addresses=("10.0.0.10",))
    routes = (Route(gateway, "lan0"),) if gateway else ()
    return NetworkState(mono_ns, {"lan0": replace(shape, **port)}, routes)  # type: ignore[arg-type]


PACE = Pace(8 * S, 60 * S)


@dataclass
class World:
    """`broken` holds what does not work: `lan`, `router`, a line, a target. `loss_pct`: of each packet, by the same."""

    seed: int = 0
    rungs: tuple[Rung, ...] = RUNGS
    pace: Pace = PACE
    boot: str = "boot-1"
    wall_ms: int = WALL_MS  # the wall clock where the monotonic one is zero

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now_ns = 1_000 * S
        self.broken: set[str] = set()
        self.loss_pct: dict[str, float] = {}
        self.reasons: dict[str, str] = {}
        self.unasked: set[str] = set()  # targets, or `all`, that the box itself cannot ask
        self.records: list[EntryData] = []
        self.latest_broken_ns = 0
        layout = Layout(
            rungs=self.rungs,
            targets=(),
            lines=tuple(line for line in LINES if any(rung.id == line.id for rung in self.rungs)),
            routers={"router": ROUTER},
            part_time=frozenset(),
            words=Words({}, {}),
            certificate_days={},
        )
        rules = Rules("lan0", pace=self.pace, loss_hold_s=2.0)
        self.state: State = judgement.start(
            layout, rules, Book("s0001-agent", {"vnpt": "VNPT"}, boot=self.boot), self.now_ns
        )
        self.due: list[tuple[int, str]] = []
        for rung in self.rungs:
            for target in rung.targets:
                heapq.heappush(self.due, (self.now_ns + int(self.random.random() * S), target))
        self.ended: list[tuple[int, int, ProbeResult]] = []
        self.take(network(self.now_ns))

    def take(self, seen: NetworkState) -> None:
        self.state, records = judgement.take_network(self.state, seen)
        self.records += records
        self.conclude()

    @property
    def moment(self) -> Moment:
        return Moment(self.now_ns, self.wall_ms + self.now_ns // 1_000_000)

    def conclude(self) -> None:
        self.state, records = judgement.conclude(self.state, self.moment)
        self.records += records

    def run(self, seconds: float) -> None:
        """Let time pass in steps of 100 ms."""
        until = self.now_ns + int(seconds * S)
        while self.now_ns < until:
            self.now_ns += S // 10
            while self.due and self.due[0][0] <= self.now_ns:
                begin, target = heapq.heappop(self.due)
                heapq.heappush(self.due, (begin + S, target))
                self._probe(begin, target)
            while self.ended and self.ended[0][0] <= self.now_ns:
                self.state = judgement.take_result(self.state, heapq.heappop(self.ended)[2])
            self.conclude()

    def told(self) -> list[tuple[str, str]]:
        return [(record.cause, record.subject) for record in self.records if isinstance(record, DiagnosisChanged)]

    def of(self, *kinds: type) -> list[EntryData]:
        return [record for record in self.records if isinstance(record, kinds)]

    def _probe(self, begin_ns: int, target: str) -> None:
        loss = 1.0
        for part in (*WAY[target], target):
            loss *= 0.0 if part in self.broken else 1 - self.loss_pct.get(part, 0.0) / 100
        got = sum(self.random.random() < loss for _ in range(3))
        sent = 3
        if not got:
            got, sent = sum(self.random.random() < loss for _ in range(3)), 6
        duration_ms = 90.0 if got else 900.0
        if self.unasked & {"all", target}:
            unasked = ProbeResult(target, begin_ns + S // 1000, False, 1.0, 100.0, reason=UNASKED, detail="no right")
            heapq.heappush(self.ended, (unasked.mono_ns, self.random.randrange(1 << 30), unasked))
            return
        result = ProbeResult(
            target=target,
            mono_ns=begin_ns + int(duration_ms * 1e6),
            success=got > 0,
            duration_ms=duration_ms,
            loss_pct=100.0 * (sent - got) / sent,
            rtt_ms=5.0 if got else None,
            reason="" if got else self.reasons.get(target, "timeout"),
        )
        heapq.heappush(self.ended, (result.mono_ns, self.random.randrange(1 << 30), result))


def without(*ids: str) -> Iterable[Rung]:
    """The ladder of a commune that lacks some rungs; what stood on them stands on what is left."""
    for rung in RUNGS:
        if rung.id not in ids:
            needs = tuple(left for group in rung.needs if (left := tuple(n for n in group if n not in ids)))
            yield replace(rung, needs=needs)
