"""The state of ports, addresses and default routes, read whole. The only file that knows psutil's and netifaces' ways.

netifaces is abandoned; `netifaces-plus` gives the same module and is kept up. Neither library tells a route's metric
or how often a carrier changed: these two come from /proc/net and /sys/class/net, and are left out where those lack
them.
"""

import sys
import time
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

import netifaces
import psutil

from agent.observations import Duplex, NetworkState, PortState, Route

IPAddress = IPv4Address | IPv6Address
_DUPLEX: Final[dict[int, Duplex]] = {
    psutil.NIC_DUPLEX_FULL: Duplex.FULL,
    psutil.NIC_DUPLEX_HALF: Duplex.HALF,
    psutil.NIC_DUPLEX_UNKNOWN: Duplex.UNKNOWN,
}
_ARPHRD_LOOPBACK: Final = 772  # linux/if_arp.h
_SPEED_UNKNOWN_MBIT: Final = 65_535  # what some drivers give for "unknown", cut to 16 bits


def read_network(*, sys_root: Path = Path("/sys"), proc_root: Path = Path("/proc")) -> NetworkState:
    """All ports but the loopback, and all default routes, lowest metric first."""
    counters = psutil.net_io_counters(pernic=True)
    ports: dict[str, PortState] = {}
    for name, (loopback, carrier, speed, duplex) in _stats(sys_root).items():
        if loopback:
            continue
        counted = counters.get(name)
        ports[name] = PortState(
            name=name,
            present=True,
            carrier=carrier,
            speed_mbit=speed if speed is not None and 0 < speed < _SPEED_UNKNOWN_MBIT else None,
            duplex=duplex,
            addresses=_addresses(name),
            rx_errors=counted.errin if counted else 0,
            tx_errors=counted.errout if counted else 0,
            rx_bytes=counted.bytes_recv if counted else 0,
            tx_bytes=counted.bytes_sent if counted else 0,
            carrier_changes=_number(sys_root / "class/net" / name / "carrier_changes"),
        )
    return NetworkState(mono_ns=time.monotonic_ns(), ports=ports, routes=_default_routes(proc_root))


def _stats(sys_root: Path) -> dict[str, tuple[bool, bool, int | None, Duplex]]:
    """Each port: is it the loopback, has it a carrier, its speed in Mbit/s and its duplex."""
    try:
        return {
            name: (
                "loopback" in stats.flags.split(","),
                "running" in stats.flags.split(","),
                stats.speed,
                _DUPLEX.get(stats.duplex, Duplex.UNKNOWN),
            )
            for name, stats in psutil.net_if_stats().items()
        }
    except OSError:
        # psutil gives up on all ports where the kernel answers one question not at all (ethtool's, under an emulator).
        return {port.name: _stats_of(port) for port in (sys_root / "class/net").iterdir() if port.is_dir()}


def _stats_of(port: Path) -> tuple[bool, bool, int | None, Duplex]:
    duplex = {"full": Duplex.FULL, "half": Duplex.HALF}.get(_text(port / "duplex"), Duplex.UNKNOWN)
    return _number(port / "type") == _ARPHRD_LOOPBACK, _number(port / "carrier") == 1, _number(port / "speed"), duplex


def _addresses(name: str) -> tuple[str, ...]:
    try:
        families = netifaces.ifaddresses(name)
    except ValueError:
        return ()  # the port went away since it was listed
    return tuple(
        entry["addr"]
        for family in (netifaces.AF_INET, netifaces.AF_INET6)
        for entry in families.get(family, ())
        if "addr" in entry
    )


def _default_routes(proc_root: Path) -> tuple[Route, ...]:
    metrics = _metrics(proc_root)
    gateways: dict[Any, Any] = dict(netifaces.gateways())
    routes = [
        Route(gateway=gateway, port=port, metric=metrics.get((port, _plain(gateway)), 0))
        for family in (netifaces.AF_INET, netifaces.AF_INET6)
        for gateway, port, *_ in gateways.get(family, ())
    ]
    return tuple(sorted(routes, key=lambda route: (route.metric, route.port, route.gateway)))


def _metrics(proc_root: Path) -> dict[tuple[str, IPAddress], int]:
    """(port, gateway) -> the lowest metric of its default routes."""
    metrics: dict[tuple[str, IPAddress], int] = {}
    for line in _lines(proc_root / "net/route")[1:]:
        port, destination, gateway, _, _, _, metric, mask, *_ = line.split()
        if destination == mask == "00000000":
            address = IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder))  # printed as the machine holds it
            _keep_lowest(metrics, (port, address), int(metric))
    for line in _lines(proc_root / "net/ipv6_route"):
        destination, length, _, _, gateway, metric, _, _, _, port = line.split()
        if length == "00" and not destination.strip("0"):
            _keep_lowest(metrics, (port, IPv6Address(int(gateway, 16))), int(metric, 16))
    return metrics


def _plain(gateway: str) -> IPAddress:
    """Without the scope that netifaces may add to a link-local one."""
    return ip_address(gateway.partition("%")[0])


def _keep_lowest(metrics: dict[tuple[str, IPAddress], int], key: tuple[str, IPAddress], metric: int) -> None:
    metrics[key] = min(metric, metrics.get(key, metric))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int:
    try:
        return int(_text(path))
    except ValueError:
        return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
