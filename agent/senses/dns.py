"""DNS queries of our own: the probe of a name server, and names resolved without getaddrinfo's threads.

A query is repeated on the same socket at even gaps, so one lost datagram is no failure; the socket is connected, so a
port that nobody listens on refuses at once. An answer that was cut is asked for again over TCP.
"""

import asyncio
import ipaddress
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Final

from agent.observations import UNASKED, ProbeResult
from agent.senses import tcp
from agent.senses.binding import ANY, Via, open_socket
from agent.senses.dns_codec import NAME_ERROR, NO_ERROR, RCODES, Answer, QueryType, decode_answer, encode_query
from agent.senses.faults import failed, name_fault
from bus.errors import CorruptError, WrongInputError

TRIES: Final = 5
PORT: Final = 53


@dataclass(frozen=True, slots=True)
class Replied:
    """An answer, its round trip, how many queries were sent for it, and how many answers could not be read."""

    answer: Answer
    rtt_ms: float
    tried: int
    garbage: int


async def ask(
    server: str, name: str, *, kind: QueryType = "A", port: int = PORT, timeout_s: float = 2.0, via: Via = ANY
) -> Replied:
    """Ask the server at an IP address. `OSError` without an answer, `CorruptError` when only garbage came back."""
    family = socket.AF_INET if ipaddress.ip_address(server).version == 4 else socket.AF_INET6
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    with open_socket(family, socket.SOCK_DGRAM, via) as made:
        await loop.sock_connect(made, (server, port))
        replied = await _ask_on(made, name, kind, timeout_s, until)
    if not replied.answer.truncated:
        return replied
    whole = await _ask_over_tcp(server, name, kind, port, until - loop.time(), via)
    return Replied(whole, replied.rtt_ms, replied.tried, replied.garbage)


async def probe_dns(
    target: str,
    server: str,
    name: str,
    *,
    kind: QueryType = "A",
    port: int = PORT,
    timeout_s: float = 2.0,
    via: Via = ANY,
) -> ProbeResult:
    """Does the server at this IP address find `name`? Never raises."""
    started_ns = time.monotonic_ns()
    try:
        replied = await ask(server, name, kind=kind, port=port, timeout_s=timeout_s, via=via)
    except OSError as error:
        return failed(target, started_ns, *name_fault(error))
    except CorruptError as error:
        return failed(target, started_ns, "bad-answer", str(error))
    except (WrongInputError, ValueError) as error:
        return failed(target, started_ns, UNASKED, str(error))
    answer, now_ns = replied.answer, time.monotonic_ns()
    reason, detail = "", ""
    if answer.rcode == NAME_ERROR or (answer.rcode == NO_ERROR and not answer.addresses):
        reason, detail = "no-name", f"{server} knows no {kind} address of {name}"
    elif answer.rcode != NO_ERROR:
        reason, detail = "bad-answer", f"{server} answered {RCODES.get(answer.rcode, str(answer.rcode))} for {name}"
    return ProbeResult(
        target=target,
        mono_ns=now_ns,
        success=not reason,
        duration_ms=(now_ns - started_ns) / 1e6,
        loss_pct=100.0 * (replied.tried - 1) / replied.tried,
        rtt_ms=replied.rtt_ms,
        reason=reason,
        detail=detail,
    )


async def _ask_on(made: socket.socket, name: str, kind: QueryType, timeout_s: float, until: float) -> Replied:
    loop = asyncio.get_running_loop()
    ident = secrets.randbelow(0x10000)
    query = encode_query(ident, name, kind)
    gap_s = timeout_s * 2 / 3 / (TRIES - 1)
    garbage = 0
    unreadable: CorruptError | None = None
    for tried in range(1, TRIES + 1):
        sent_ns = time.monotonic_ns()
        await loop.sock_sendall(made, query)
        wait_until = until if tried == TRIES else min(loop.time() + gap_s, until)
        while True:
            try:
                async with asyncio.timeout_at(wait_until):
                    message = await loop.sock_recv(made, 4096)
            except TimeoutError:
                break
            try:
                answer = decode_answer(message, ident=ident, name=name, kind=kind)
            except CorruptError as error:
                unreadable = error
                garbage += 1
                continue
            if answer is not None:
                return Replied(answer, (time.monotonic_ns() - sent_ns) / 1e6, tried, garbage)
    if unreadable is not None:
        raise unreadable
    raise TimeoutError(f"no DNS answer within {timeout_s:g} s ({TRIES} queries)")


async def _ask_over_tcp(server: str, name: str, kind: QueryType, port: int, timeout_s: float, via: Via) -> Answer:
    ident = secrets.randbelow(0x10000)
    query = encode_query(ident, name, kind)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        connected = await tcp.connect(server, port, timeout_s=max(timeout_s, 0.001), via=via)
        with connected.socket as made:
            await loop.sock_sendall(made, len(query).to_bytes(2, "big") + query)
            length = int.from_bytes(await _read_exactly(made, 2), "big")
            message = await _read_exactly(made, length)
    answer = decode_answer(message, ident=ident, name=name, kind=kind)
    if answer is None:
        raise CorruptError(f"{server} answered another query than ours over TCP")
    return answer


async def _read_exactly(made: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    got = b""
    while len(got) < count:
        chunk = await loop.sock_recv(made, count - len(got))
        if not chunk:
            raise CorruptError(f"DNS answer over TCP ended after {len(got)} of {count} bytes")
        got += chunk
    return got
