"""What the agent's senses hand to its judgement: plain values, no I/O.

Each probe says the same things whatever it speaks (as blackbox_exporter's probes do): did it succeed, how long did it
take, how much was lost. `None` always means "not observed", never "fine".
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Duplex(StrEnum):
    """Negotiated duplex of a port."""

    FULL = "full"
    HALF = "half"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PortState:
    """A network interface as it is now. Counters are totals since boot; `speed_mbit` is what was negotiated."""

    name: str
    present: bool
    carrier: bool
    speed_mbit: int | None = None
    duplex: Duplex = Duplex.UNKNOWN
    addresses: tuple[str, ...] = ()
    rx_errors: int = 0
    tx_errors: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    carrier_changes: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """A default route: through which gateway and port, at which metric (lowest wins)."""

    gateway: str
    port: str
    metric: int = 0


@dataclass(frozen=True, slots=True)
class NetworkState:
    """All ports and default routes of the box, read at `mono_ns`."""

    mono_ns: int
    ports: dict[str, PortState] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One burst at one target. `loss_pct` is from 0 to 100 over the packets (or tries) of the burst.

    `success` already forgives a single lost packet. `duration_ms` is the whole probe's; `rtt_ms` the mean answer.
    `reason` is a short fixed word when it failed: timeout, refused, unreachable, no-route, no-name, bad-answer,
    bad-certificate, expired-certificate, http-status, error; `detail` varies.
    """

    target: str
    mono_ns: int
    success: bool
    duration_ms: float
    loss_pct: float
    rtt_ms: float | None = None
    jitter_ms: float | None = None
    reason: str = ""
    detail: str = ""
    certificate_days: float | None = None
    http_status: int | None = None
