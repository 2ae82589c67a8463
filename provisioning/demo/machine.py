"""What this machine really has around it, for the demo's agents to watch: asked once, before they start.

Only what answered is configured, so that no fault is shown that is none: a gateway that drops pings would read as a
dead router, a name server without the Internet behind it as a dead one. What was left out is said to the person.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agent.observations import NetworkState, Route
from agent.senses.interfaces import read_network
from agent.senses.pinger import Pinger
from agent.senses.prober import DnsTarget, IcmpTarget, Target, probe
from agent.senses.resolver import Resolver
from bus.entries import Sentence
from bus.texts import msgid, say

# Anycast name servers that answer pings nearly everywhere. Asked once; watched only where they answered.
_ANCHORS: Final = ("1.1.1.1", "8.8.8.8")
_NAMES: Final = ("chinhphu.vn", "vnnic.vn", "debian.org", "localhost.")


@dataclass(frozen=True, slots=True)
class Machine:
    """Its default route (None where it has none), and those around it that answer. `port` is the one it uses."""

    port: str = "lo"
    route: Route | None = None
    gateway_answers: bool = False
    name_server: str = ""
    known_name: str = ""
    anchors: tuple[str, ...] = ()

    def left_out(self) -> list[Sentence]:
        """What the agents will not watch here, and why."""
        said = []
        if self.route is None:
            said.append(say(msgid("This machine has no default route: no router and no line is watched.")))
        elif not self.gateway_answers:
            said.append(
                say(msgid("The router {address} answers no ping: it is not watched."), address=self.route.gateway)
            )
        if self.route is not None and not self.anchors:
            said.append(say(msgid("The Internet is not reached from here: no Internet line is watched.")))
        if not self.name_server:
            said.append(say(msgid("No name server answers here: names are not watched.")))
        return said


async def survey(network: NetworkState | None = None) -> Machine:
    """Look around. Takes a few seconds at most."""
    network = network or read_network()
    route = next(iter(network.routes), None)
    resolver = Resolver()
    servers = resolver.servers()[:1]
    names = [DnsTarget("dns", name, server=server) for server in servers for name in _NAMES]
    pings = [
        IcmpTarget("ping", address) for address in (*([route.gateway] if route else []), *(_ANCHORS if route else ()))
    ]
    answers = await _answers([*names, *pings], resolver)
    named = next((target for target in names if target in answers), None)
    answering = {target.address for target in pings if target in answers}
    return Machine(
        port=route.port if route else _first_port(network),
        route=route,
        gateway_answers=route is not None and route.gateway in answering,
        name_server=named.server if named else "",
        known_name=named.query if named else "",
        anchors=tuple(anchor for anchor in _ANCHORS if anchor in answering),
    )


def _first_port(network: NetworkState) -> str:
    """A port with a cable in it, else any; the loopback where there is nothing else, which reads as no port at all."""
    ports = sorted(network.ports.values(), key=lambda port: (not port.carrier, port.name))
    return ports[0].name if ports else "lo"


async def _answers(targets: Iterable[Target], resolver: Resolver) -> set[Target]:
    pinger = Pinger()
    try:
        targets = list(targets)
        results = await asyncio.gather(*(probe(target, pinger=pinger, resolver=resolver) for target in targets))
        return {target for target, result in zip(targets, results, strict=True) if result.success}
    finally:
        pinger.close()
