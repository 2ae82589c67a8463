"""What the configuration makes of a commune: the rungs of its ladder, the targets to probe, names and contacts. Pure.

A rung's targets are named after it: `vnpt` asks `vnpt/203.0.113.1` and `vnpt/203.0.113.9`. The order of the rungs is
the order of the ladder; each stands only on rungs before it.
"""

from dataclasses import dataclass
from typing import Final

from agent.config import Config, HostConfig, LineConfig, ServiceConfig, routers_of, web_of
from agent.config_rules import is_address
from agent.diagnosis import LineView
from agent.ladder import Kind, Rung
from agent.senses.binding import ANY, Via
from agent.senses.prober import DnsTarget, HttpTarget, IcmpTarget, Target, TcpTarget
from agent.sentences import Contact, Words
from bus.texts import msgid, translate

_PING_WAIT: Final = 0.9  # of the interval, so that one burst ends before the next begins
_PING_WAIT_MOST_S: Final = 1.5
_SERVICE_FAILS: Final = 3
_DNS: Final = msgid("Name server")
_HUB: Final = msgid("Province's monitoring centre")
_SWITCH: Final = msgid("Switch")


@dataclass(frozen=True, slots=True)
class Layout:
    """All that the agent watches. `routers` maps the rung of a router to its address."""

    rungs: tuple[Rung, ...]
    targets: tuple[Target, ...]
    lines: tuple[LineView, ...]
    routers: dict[str, str]
    part_time: frozenset[str]
    words: Words
    certificate_days: dict[str, int]


class _Builder:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.rungs: list[Rung] = []
        self.targets: list[Target] = []
        self.names: dict[str, str] = {}
        self.contacts: dict[str, Contact] = {}
        self.routers: dict[str, str] = {}

    def add(self, rung: Rung, targets: list[Target], name: str) -> None:
        self.rungs.append(rung)
        self.targets += targets
        self.names[rung.id] = name

    def ping(self, name: str, address: str, *, via: Via = ANY, interval_s: float | None = None) -> IcmpTarget:
        interval_s = interval_s or self.config.pace.interval_s
        return IcmpTarget(name, address, interval_s, min(_PING_WAIT * interval_s, _PING_WAIT_MOST_S), via)

    def add_pinged(self, rung_id: str, kind: Kind, address: str, name: str) -> None:
        interval_s = self.config.pace.interval_s
        rung = Rung(rung_id, kind, (rung_id,), pings=True, interval_s=interval_s)
        self.add(rung, [self.ping(rung_id, address)], name)


def lay_out(config: Config) -> Layout:
    """Build it all from a valid configuration."""
    builder = _Builder(config)
    _add_lan(builder)
    lines = tuple(_add_line(builder, line) for line in config.lines)
    _add_names(builder)
    for line in config.lines:
        if line.web is not None:
            _add_web(builder, line, line.web)
    _add_hub(builder)
    for service in config.service:
        _add_service(builder, service)
    for host in config.hosts:
        _add_host(builder, host)
    return Layout(
        rungs=tuple(builder.rungs),
        targets=tuple(builder.targets),
        lines=lines,
        routers=builder.routers,
        part_time=frozenset(host.id for host in config.hosts if not host.always_on),
        words=Words(builder.names, builder.contacts),
        certificate_days={service.id: service.certificate_days for service in config.service},
    )


def _add_lan(builder: _Builder) -> None:
    lan = builder.config.lan
    if lan.switch is not None:
        builder.add_pinged("switch", Kind.SWITCH, lan.switch, translate("vi", _SWITCH))
    builder.routers = routers_of(lan, builder.config.lines)
    for rung_id, gateway in builder.routers.items():
        builder.add_pinged(rung_id, Kind.ROUTER, gateway, lan.router_name if rung_id == "router" else gateway)


def _add_line(builder: _Builder, line: LineConfig) -> LineView:
    via = Via(line.port or "", line.source or "")
    targets: dict[str, Target] = {
        f"{line.id}/{host}": builder.ping(f"{line.id}/{host}", host, via=via) for host in line.hosts
    }
    router = _router_of(builder, line)
    rung = Rung(
        id=line.id,
        kind=Kind.LINE,
        targets=tuple(targets),
        needs=((router,),) if router else (),
        pings=True,
        interval_s=builder.config.pace.interval_s,
        loss_pct=line.loss_pct,
    )
    builder.add(rung, list(targets.values()), line.name)
    builder.contacts[line.id] = Contact(line.provider, line.hotline, line.contract)
    return LineView(line.id, line.network, line.role == "spare", router, web_of(line) if line.web else None)


def _router_of(builder: _Builder, line: LineConfig) -> str:
    """The rung of the line's router; empty where none is configured."""
    address = line.gateway or builder.config.lan.router
    return next((rung_id for rung_id, gateway in builder.routers.items() if gateway == address), "")


def _lines_of(builder: _Builder, network: str) -> tuple[tuple[str, ...], ...]:
    """What is reached over a network stands on one of its lines; `lan` stands on the router, where one is watched."""
    router = (("router",),) if "router" in builder.routers else ()
    if network == "lan":
        return router
    group = tuple(line.id for line in builder.config.lines if network in ("any", line.network))
    return (group,) if group else router


def _with_names(builder: _Builder, needs: tuple[tuple[str, ...], ...], host: str) -> tuple[tuple[str, ...], ...]:
    return needs if builder.config.dns is None or is_address(host) else (*needs, ("dns",))


def _add_names(builder: _Builder) -> None:
    dns = builder.config.dns
    if dns is None:
        return
    interval_s = builder.config.pace.interval_s
    targets: dict[str, Target] = {
        f"dns/{server}": DnsTarget(
            f"dns/{server}", dns.name, server, interval_s=interval_s, timeout_s=max(1.0, interval_s)
        )
        for server in dns.servers
    }
    rung = Rung("dns", Kind.DNS, tuple(targets), _lines_of(builder, dns.network), interval_s=interval_s)
    builder.add(rung, list(targets.values()), translate("vi", _DNS))


def _add_web(builder: _Builder, line: LineConfig, url: str) -> None:
    rung_id = web_of(line)
    interval_s = max(builder.config.pace.interval_s, 2.0)
    via = Via(line.port or "", line.source or "")
    status = (line.web_status, line.web_status)
    target = HttpTarget(rung_id, url, interval_s, timeout_s=2 * interval_s, via=via, ok_statuses=status)
    needs = _with_names(builder, ((line.id,),), host_of(url))
    rung = Rung(rung_id, Kind.WEB, (rung_id,), needs, fails=_SERVICE_FAILS, interval_s=interval_s)
    builder.add(rung, [target], line.name)
    builder.contacts[rung_id] = Contact(line.provider, line.hotline, line.contract)


def _add_hub(builder: _Builder) -> None:
    hub = builder.config.hub
    if hub is None:
        return
    interval_s = builder.config.pace.interval_s
    target = TcpTarget("hub", hub.host, hub.port, interval_s, timeout_s=max(1.5, interval_s))
    needs = _with_names(builder, _lines_of(builder, hub.network), hub.host)
    rung = Rung("hub", Kind.HUB, ("hub",), needs, fails=_SERVICE_FAILS, interval_s=interval_s)
    builder.add(rung, [target], translate("vi", _HUB))


def _add_service(builder: _Builder, service: ServiceConfig) -> None:
    interval_s = service.interval_s
    timeout_s = min(max(2.0, interval_s), 5.0)
    if service.url is not None:
        host = host_of(service.url)
        target: Target = HttpTarget(service.id, service.url, interval_s, timeout_s, ca_file=service.ca)
    else:
        host, _, port = (service.tcp or "").rpartition(":")
        target = TcpTarget(service.id, host, int(port), interval_s, min(timeout_s, 3.0))
    needs = _with_names(builder, _lines_of(builder, service.network), host)
    rung = Rung(service.id, Kind.SERVICE, (service.id,), needs, fails=_SERVICE_FAILS, interval_s=interval_s)
    builder.add(rung, [target], service.name)
    builder.contacts[service.id] = Contact(service.contact)


def _add_host(builder: _Builder, host: HostConfig) -> None:
    interval_s = builder.config.pace.host_interval_s
    if host.tcp is None:
        target: Target = builder.ping(host.id, host.host, interval_s=interval_s)
    else:
        target = TcpTarget(host.id, host.host, host.tcp, interval_s, timeout_s=max(1.0, interval_s))
    rung = Rung(host.id, Kind.HOST, (host.id,), pings=host.tcp is None, fails=_SERVICE_FAILS, interval_s=interval_s)
    builder.add(rung, [target], host.name)


def host_of(url: str) -> str:
    """The host of a web address, without its port."""
    rest = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0]
