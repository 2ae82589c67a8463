"""TCP connections to probe with, and the probe that only connects.

The kernel repeats a lost SYN after 1 s, which a probe of that length calls a failure. So further connections are tried
beside the first at even gaps, and the first to stand wins. A refusal is an answer and ends it at once.
"""

import asyncio
import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import Final

from agent.observations import UNASKED, ProbeResult
from agent.senses.binding import ANY, Via, open_socket
from agent.senses.faults import failed, name_fault

ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that stands; `tried` includes the attempts that were lost."""

    socket: socket.socket
    rtt_ms: float
    tried: int


async def connect(address: str, port: int, *, timeout_s: float, via: Via = ANY, attempts: int = ATTEMPTS) -> Connected:
    """Connect to an IP address. `OSError` (`TimeoutError` included) with what the last word was."""
    family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    # Two thirds of the time for starting attempts: the last one is given the remaining third.
    gap_s = timeout_s * 2 / 3 / max(attempts - 1, 1)
    attempts_made: set[asyncio.Task[tuple[socket.socket, float]]] = set()
    tried = 0
    try:
        while loop.time() < until:
            if tried < attempts:
                tried += 1
                attempts_made.add(asyncio.create_task(_attempt(family, address, port, via)))
            left_s = until - loop.time()
            done, _ = await asyncio.wait(
                attempts_made,
                timeout=min(gap_s, left_s) if tried < attempts else left_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if done:
                task = done.pop()
                made, rtt_ms = task.result()  # a refusal is raised here
                attempts_made.discard(task)
                return Connected(made, rtt_ms, tried)
    finally:
        await _drop(attempts_made)
    raise TimeoutError(f"no answer from {address} port {port} within {timeout_s:g} s ({tried} attempts)")


async def probe_tcp(target: str, address: str, port: int, *, timeout_s: float = 2.0, via: Via = ANY) -> ProbeResult:
    """Connect to an IP address and hang up. Never raises."""
    started_ns = time.monotonic_ns()
    try:
        connected = await connect(address, port, timeout_s=timeout_s, via=via)
    except OSError as error:
        return failed(target, started_ns, *name_fault(error))
    except ValueError as error:
        return failed(target, started_ns, UNASKED, str(error))
    connected.socket.close()
    now_ns = time.monotonic_ns()
    return ProbeResult(
        target=target,
        mono_ns=now_ns,
        success=True,
        duration_ms=(now_ns - started_ns) / 1e6,
        loss_pct=100.0 * (connected.tried - 1) / connected.tried,
        rtt_ms=connected.rtt_ms,
    )


async def _attempt(family: int, address: str, port: int, via: Via) -> tuple[socket.socket, float]:
    made = open_socket(family, socket.SOCK_STREAM, via)
    try:
        begin_ns = time.monotonic_ns()
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made, (time.monotonic_ns() - begin_ns) / 1e6


async def _drop(tasks: set[asyncio.Task[tuple[socket.socket, float]]]) -> None:
    """Give up the attempts that did not win; one that came through in the meantime is hung up."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            outcome[0].close()
