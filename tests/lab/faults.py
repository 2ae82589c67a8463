"""The faults of the lab: how each is really made, how it is mended, and what must be told of it, and nothing else."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.network import PRINTER, Network

Act = Callable[[Network], object]


@dataclass(frozen=True)
class Fault:
    """`on_the_way`: causes that are true while it builds up (a cable that flaps is out in between)."""

    name: str
    make: Act
    mend: Act
    cause: str
    subject: str
    limit_s: float = 8.0
    mend_s: float = 12.0
    on_the_way: tuple[str, ...] = ()


def _both(*acts: Act) -> Act:
    def act(network: Network) -> None:
        for one in acts:
            one(network)

    return act


def pull(host: str, port: str) -> Act:
    return lambda network: network.pull(host, port)


def plug(host: str, port: str) -> Act:
    return lambda network: network.plug(host, port)


def lose(host: str, rule: str, **how: str) -> Act:
    return lambda network: network.filter(host, rule, **how)


def heal(host: str) -> Act:
    return lambda network: network.unfilter(host)


def tell(role: str, words: str) -> Act:
    return lambda network: network.tell(role, words)


def flap(network: Network) -> None:
    for _ in range(4):
        network.pull("switch", "box")
        time.sleep(0.25)
        network.plug("switch", "box")
        time.sleep(0.25)


def flush_address(network: Network) -> None:
    network.ip("box", "addr", "flush", "dev", "lan0")


def wrong_route(network: Network) -> None:
    network.ip("box", "route", "replace", "default", "via", PRINTER)


def no_route(network: Network) -> None:
    network.ip("box", "route", "del", "default")


def readdress(network: Network) -> None:
    network.address_box()


CUT_ISP = pull("isp", "cpe")
CUT_ISP2 = pull("isp2", "cpe")
CUT_TSLCD = pull("tslcd", "cpe")
JOIN_ISP: Act = Network.connect_isp
JOIN_ISP2: Act = Network.connect_isp2
JOIN_TSLCD: Act = Network.connect_tslcd

LAN = (
    Fault("cable pulled at the switch", pull("switch", "box"), plug("switch", "box"), "cable-unplugged", "lan0", 3.0),
    Fault("cable with a loose contact", flap, lambda _: None, "port-flapping", "lan0", 6, 25, ("cable-unplugged",)),
    Fault("switch hangs", pull("switch", "br0"), plug("switch", "br0"), "switch-dead", "switch"),
    Fault(
        "router dead",
        pull("router", "lan0"),
        _both(plug("router", "lan0"), JOIN_ISP, JOIN_TSLCD),
        "router-dead",
        "router",
    ),
    Fault("address lost", flush_address, readdress, "no-address", "lan0", 12),
    Fault("default route lost", no_route, readdress, "no-route", "lan0"),
    Fault("default route to another host", wrong_route, readdress, "wrong-route", "lan0"),
    Fault(
        "loss in the office network",
        lose("switch", "numgen random mod 100 < 25 drop", hook="forward", family="bridge"),
        heal("switch"),
        "lan-loss",
        "lan",
        20,
        25,
    ),
    Fault("printer unplugged", pull("printer", "lan0"), plug("printer", "lan0"), "lan-host-down", "may-in"),
    Fault("mains out", tell("box", "ups OB"), tell("box", "ups OL"), "on-battery", ""),
)

LINES = (
    Fault("main fibre cut", CUT_ISP, JOIN_ISP, "main-line-down", "vnpt"),
    Fault("main line silent upstream", lose("isp", "drop"), heal("isp"), "main-line-down", "vnpt", 3.0),
    Fault("spare line cut", CUT_ISP2, JOIN_ISP2, "spare-line-down", "viettel"),
    Fault("both Internet lines cut", _both(CUT_ISP, CUT_ISP2), _both(JOIN_ISP, JOIN_ISP2), "internet-down", "vnpt"),
    Fault(
        "every fibre cut",
        _both(CUT_ISP, CUT_ISP2, CUT_TSLCD),
        _both(JOIN_ISP, JOIN_ISP2, JOIN_TSLCD),
        "fibre-down",
        "vnpt",
    ),
    Fault("TSLCD cut", CUT_TSLCD, JOIN_TSLCD, "tslcd-down", "tslcd"),
    Fault(
        "main line loses packets",
        lose("isp", "ip saddr 10.77.1.0/24 numgen random mod 100 < 25 drop"),
        heal("isp"),
        "line-degraded",
        "vnpt",
        20,
        25,
    ),
    Fault("name server dead", tell("provider", "dns off"), tell("provider", "dns on"), "dns-dead", "dns"),
    Fault("captive portal", tell("provider", "web 302"), tell("provider", "web 204"), "web-broken", "vnpt-web", 10),
    Fault("hub does not listen", tell("province", "hub off"), tell("province", "hub on"), "hub-unreachable", "hub"),
    Fault(
        "service answers 503",
        tell("province", "service 503"),
        tell("province", "service 200"),
        "service-down",
        "mot-cua",
    ),
    Fault(
        "certificate expired",
        tell("provider", "tls expired"),
        tell("provider", "tls good"),
        "certificate-expired",
        "ky-so",
    ),
)
