"""Probes many targets, each in its own cadence, without a thread for any.

A target's probe never overlaps itself: one that outlives its interval makes the next ones fall out, which is counted.
Starts are spread evenly over the interval, so that 30 targets a second are 30 small wake-ups and not one crowd. A
probe's own fault ends that probe alone; `on_result` is called on the event loop. What keeps the box from asking is
logged once, however many targets it keeps silent.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, assert_never

from agent.observations import UNASKED, ProbeResult
from agent.senses.binding import ANY, Via
from agent.senses.burst import BurstRule
from agent.senses.dns import PORT, probe_dns
from agent.senses.dns_codec import QueryType
from agent.senses.faults import failed, name_fault
from agent.senses.pinger import Pinger
from agent.senses.resolver import Resolver
from agent.senses.tcp import probe_tcp
from bus.errors import UnavailableError, WrongInputError
from bus.logs import fields

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IcmpTarget:
    """A host that answers pings. `address` may be a name."""

    name: str
    address: str
    interval_s: float = 1.0
    timeout_s: float = 0.9  # below the interval, so that a host that is down is still asked each second
    via: Via = ANY
    rule: BurstRule = field(default_factory=BurstRule)


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """A host that accepts connections on a port."""

    name: str
    address: str
    port: int
    interval_s: float = 1.0
    timeout_s: float = 2.0
    via: Via = ANY


@dataclass(frozen=True, slots=True)
class DnsTarget:
    """A name server that should know `query`. An empty `server` is the system's first."""

    name: str
    query: str
    server: str = ""
    port: int = PORT
    kind: QueryType = "A"
    interval_s: float = 1.0
    timeout_s: float = 2.0
    via: Via = ANY


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A web service."""

    name: str
    url: str
    interval_s: float = 15.0
    timeout_s: float = 5.0
    via: Via = ANY
    ca_file: str = ""
    ok_statuses: tuple[int, int] = (200, 399)


Target = IcmpTarget | TcpTarget | DnsTarget | HttpTarget


async def probe(target: Target, *, pinger: Pinger, resolver: Resolver) -> ProbeResult:
    """Probe any target once. Never raises for what the network does, nor for a target that cannot be asked."""
    started_ns = time.monotonic_ns()
    try:
        return await _probe(target, started_ns, pinger, resolver)
    except (WrongInputError, ValueError) as error:
        return failed(target.name, started_ns, UNASKED, str(error))


async def _probe(target: Target, started_ns: int, pinger: Pinger, resolver: Resolver) -> ProbeResult:
    match target:
        case IcmpTarget() | TcpTarget():
            try:
                known = await resolver.resolve(target.address, via=target.via)
            except UnavailableError as error:
                return failed(target.name, started_ns, "no-name", str(error))
            except OSError as error:
                return failed(target.name, started_ns, *name_fault(error))
            address = known.addresses[0]
            if isinstance(target, TcpTarget):
                return await probe_tcp(target.name, address, target.port, timeout_s=target.timeout_s, via=target.via)
            return await pinger.probe(
                target.name, address, rule=target.rule, timeout_s=target.timeout_s, via=target.via
            )
        case DnsTarget():
            servers = [target.server] if target.server else resolver.servers()
            if not servers:
                return failed(target.name, started_ns, UNASKED, "no name server is configured")
            return await probe_dns(
                target.name,
                servers[0],
                target.query,
                kind=target.kind,
                port=target.port,
                timeout_s=target.timeout_s,
                via=target.via,
            )
        case HttpTarget():
            from agent.senses.http import probe_http  # late: TLS costs memory, only who asks pays

            return await probe_http(
                target.name,
                target.url,
                resolver=resolver,
                timeout_s=target.timeout_s,
                via=target.via,
                ca_file=target.ca_file,
                ok_statuses=target.ok_statuses,
            )
        case _:
            assert_never(target)


class Prober:
    """Probes while `run` does. `skipped` counts probes that fell out, `broken` those that raised (a fault of ours)."""

    def __init__(
        self,
        targets: Iterable[Target],
        on_result: Callable[[ProbeResult], None],
        *,
        pinger: Pinger | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._targets = list(targets)
        self._on_result = on_result
        self._pinger = pinger or Pinger()
        self._resolver = resolver or Resolver()
        self.skipped = 0
        self.broken = 0
        self.done = 0
        self._unasked: dict[str, str] = {}  # what keeps each target from being asked

    async def run(self) -> None:
        """Probe until cancelled."""
        phases = itertools.count()
        try:
            async with asyncio.TaskGroup() as group:
                for target in self._targets:
                    phase = next(phases) / len(self._targets)
                    group.create_task(self._repeat(target, phase * target.interval_s), name=f"probe {target.name}")
        finally:
            self._pinger.close()
            await self._resolver.close()

    async def _repeat(self, target: Target, phase_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + phase_s
        while True:
            await asyncio.sleep(due - loop.time())
            await self._once(target)
            due += target.interval_s
            behind = loop.time() - due
            if behind > 0:
                missed = int(behind // target.interval_s) + 1
                self.skipped += missed
                due += missed * target.interval_s

    async def _once(self, target: Target) -> None:
        try:
            result = await probe(target, pinger=self._pinger, resolver=self._resolver)
            self.done += 1
            self._note(result)
            self._on_result(result)
        except Exception:  # noqa: BLE001 - the edge of a task: one target must not take the others along
            self.broken += 1
            _LOG.exception("probe broke %s", fields(target=target.name))

    def _note(self, result: ProbeResult) -> None:
        held = self._unasked.pop(result.target, None)
        if result.asked:
            if held is not None and not self._unasked:
                _LOG.info("all probes can be made again %s", fields(target=result.target))
            return
        if held != result.detail and result.detail not in self._unasked.values():
            _LOG.error("probes cannot be made %s", fields(target=result.target, why=result.detail))
        self._unasked[result.target] = result.detail
