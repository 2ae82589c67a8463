"""HTTP and HTTPS probes: does the service answer, with what status, and for how many days is its certificate good?

A certificate that does not verify is told apart: `expired-certificate`, or `bad-certificate` (unknown issuer, wrong
name, not yet valid: the box's own clock may be the reason for that one). Redirects are not followed: a service that
redirects is there. Only the head of the answer is read.
"""

import asyncio
import email.utils
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from agent.observations import UNASKED, ProbeResult
from agent.senses import tcp
from agent.senses.binding import ANY, Via
from agent.senses.faults import failed, name_fault
from agent.senses.resolver import Resolver
from bus.errors import CorruptError, UnavailableError, WrongInputError

_HEAD_LIMIT: Final = 65_536
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_NOT_YET_VALID: Final = 9


@dataclass(frozen=True, slots=True)
class _Heard:
    status: int
    rtt_ms: float
    tried: int
    certificate_days: float | None


async def probe_http(
    target: str,
    url: str,
    *,
    resolver: Resolver,
    timeout_s: float = 5.0,
    via: Via = ANY,
    ca_file: str = "",
    ok_statuses: tuple[int, int] = (200, 399),
) -> ProbeResult:
    """GET `url`. `ca_file` (PEM) takes the place of the system's authorities. Never raises."""
    started_ns = time.monotonic_ns()
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not an http or https address")
        context = _context(ca_file) if parts.scheme == "https" else None
    except (OSError, ValueError) as error:  # before anybody was asked
        return failed(target, started_ns, UNASKED, str(error))
    try:
        async with asyncio.timeout(timeout_s):
            address = (await resolver.resolve(parts.hostname, via=via)).addresses[0]
            heard = await _get(parts, address, context, timeout_s, via)
    except ssl.SSLCertVerificationError as error:
        return await _bad_certificate(target, started_ns, parts, error, resolver=resolver, via=via)
    except UnavailableError as error:
        return failed(target, started_ns, "no-name", str(error))
    except CorruptError as error:
        return failed(target, started_ns, "bad-answer", str(error))
    except ssl.SSLError as error:
        return failed(target, started_ns, "bad-answer", f"TLS: {error.reason or error}")
    except (EOFError, ConnectionResetError) as error:
        return failed(target, started_ns, "bad-answer", f"the connection was closed before an answer ({error})")
    except OSError as error:
        return failed(target, started_ns, *name_fault(error))
    except (WrongInputError, ValueError) as error:
        return failed(target, started_ns, UNASKED, str(error))
    now_ns = time.monotonic_ns()
    ok = ok_statuses[0] <= heard.status <= ok_statuses[1]
    return ProbeResult(
        target=target,
        mono_ns=now_ns,
        success=ok,
        duration_ms=(now_ns - started_ns) / 1e6,
        loss_pct=100.0 * (heard.tried - 1) / heard.tried,
        rtt_ms=heard.rtt_ms,
        reason="" if ok else "http-status",
        detail=f"HTTP {heard.status}",
        certificate_days=heard.certificate_days,
        http_status=heard.status,
    )


async def _get(parts: SplitResult, address: str, context: ssl.SSLContext | None, timeout_s: float, via: Via) -> _Heard:
    port = parts.port or (443 if context else 80)
    connected = await tcp.connect(address, port, timeout_s=timeout_s, via=via)
    reader, writer = await _open(connected, context, parts.hostname or "")
    try:
        days = _days_left(writer.get_extra_info("peercert"))
        writer.write(_request(parts))
        begin_ns = time.monotonic_ns()
        head = await reader.readuntil(b"\n")
        return _Heard(_status(head), (time.monotonic_ns() - begin_ns) / 1e6, connected.tried, days)
    except asyncio.LimitOverrunError as error:
        raise CorruptError(f"no end of the first line within {_HEAD_LIMIT} bytes") from error
    finally:
        writer.transport.abort()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def _open(
    connected: tcp.Connected, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(
            sock=connected.socket, ssl=context, server_hostname=host if context else None, limit=_HEAD_LIMIT
        )
    except BaseException:
        connected.socket.close()
        raise


def _request(parts: SplitResult) -> bytes:
    path = parts.path or "/"
    if parts.query:
        path += f"?{parts.query}"
    host = parts.netloc.rpartition("@")[2]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: commune-edge", "Accept: */*", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace")


def _status(line: bytes) -> int:
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit() or len(words[1]) != 3:
        raise CorruptError(f"not an HTTP answer: {line[:60]!r}")
    return int(words[1])


def _days_left(certificate: dict[str, object] | None) -> float | None:
    until = (certificate or {}).get("notAfter")
    return (ssl.cert_time_to_seconds(until) - time.time()) / 86_400 if isinstance(until, str) else None


async def _bad_certificate(
    target: str,
    started_ns: int,
    parts: SplitResult,
    error: ssl.SSLCertVerificationError,
    *,
    resolver: Resolver,
    via: Via,
) -> ProbeResult:
    """A probe that failed on the certificate, with its days read in a second handshake that believes nothing."""
    reason = "expired-certificate" if error.verify_code == _EXPIRED else "bad-certificate"
    detail = error.verify_message
    if error.verify_code == _NOT_YET_VALID:
        detail += f" (the clock of this box says {email.utils.formatdate(usegmt=True)})"
    days: float | None = None
    with suppress(OSError, EOFError, UnavailableError, ValueError):
        async with asyncio.timeout(2.0):
            address = (await resolver.resolve(parts.hostname or "", via=via)).addresses[0]
            days = await _unverified_days(parts, address, via)
    return replace(failed(target, started_ns, reason, detail, loss_pct=0.0), certificate_days=days)


async def _unverified_days(parts: SplitResult, address: str, via: Via) -> float | None:
    from cryptography import x509  # late: it costs 2 MB that only a broken certificate needs

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connected = await tcp.connect(address, parts.port or 443, timeout_s=2.0, via=via)
    _, writer = await _open(connected, context, parts.hostname or "")
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
    if der is None:
        return None
    return (x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() - time.time()) / 86_400


@lru_cache(maxsize=8)
def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    # On since Python 3.13: it refuses authorities without a key usage, as old private ones are, which browsers accept.
    # A box must judge a certificate as the people's browsers do, and alike on every Debian.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
