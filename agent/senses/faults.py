"""Names for what the kernel says went wrong with a probe: the fixed words of `ProbeResult.reason`. Pure."""

import errno
import os
import time
from typing import Final

from agent.observations import UNASKED, ProbeResult

_REASONS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    # What routers and hosts send back besides (net/ipv4/icmp.c, net/ipv6/icmp.c): forbidden, or no such protocol.
    errno.EACCES: "unreachable",
    errno.ENONET: "unreachable",
    errno.ENOPROTOOPT: "unreachable",
    errno.EPROTO: "unreachable",
    errno.EOPNOTSUPP: "unreachable",
    errno.ENETUNREACH: "no-route",
    errno.ENETDOWN: "no-route",
    errno.ENODEV: "no-route",
    errno.EADDRNOTAVAIL: "no-route",
    errno.ETIMEDOUT: "timeout",
    errno.ENOBUFS: "timeout",  # the port takes nothing more: its queue is full, as with a hung modem
    errno.EPIPE: "refused",
    errno.ECONNABORTED: "refused",
    errno.ENETRESET: "refused",
}


def name_fault(error: OSError) -> tuple[str, str]:
    """(reason, detail) of an error of a socket. What nobody but this box can be the cause of is `UNASKED`."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout", str(error) or "no answer in time"
    code = error.errno or 0
    return _REASONS.get(code, UNASKED), f"{os.strerror(code) if code else error} (errno {code})"


def failed(target: str, started_ns: int, reason: str, detail: str, *, loss_pct: float = 100.0) -> ProbeResult:
    """A probe that began at `started_ns` (monotonic) and failed just now."""
    now_ns = time.monotonic_ns()
    return ProbeResult(
        target=target,
        mono_ns=now_ns,
        success=False,
        duration_ms=(now_ns - started_ns) / 1e6,
        loss_pct=loss_pct,
        reason=reason,
        detail=detail,
    )
