"""What the agent's senses hand to its judgement: plain values, no I/O.

Each probe says the same things whatever it speaks (as blackbox_exporter's probes do): did it succeed, how long did it
take, how much was lost. `None` always means "not observed", never "fine".
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

UNASKED: Final = "error"  # the reason of a probe that the box itself could not make


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

    @property
    def asked(self) -> bool:
        """Whether the question went out. Where not (`error`: no right, no file handle left) nothing was observed."""
        return self.reason != UNASKED


@dataclass(frozen=True, slots=True)
class OpticalPower:
    """Light received at one end of a fibre, and sent from it."""

    source: str
    received_dbm: float
    sent_dbm: float | None = None


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port of a switch as IF-MIB tells it (RFC 2863). Errors are a running total."""

    source: str
    up: bool
    speed_mbit: int | None = None
    in_errors: int | None = None


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Room on one file system."""

    mount: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk or card, what was written since boot; of an eMMC `worn_pct` (tens), `end_of_life` (1 fine, 3 urgent)."""

    name: str
    written_bytes: int
    worn_pct: int | None = None
    end_of_life: int | None = None


@dataclass(frozen=True, slots=True)
class Throttling:
    """What a Raspberry Pi's firmware says of its power and heat, now and at any time since boot."""

    under_voltage: bool
    throttled: bool
    under_voltage_seen: bool
    throttled_seen: bool


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One of our processes. Memory is the proportional set (PSS) where the kernel tells it, else the resident set."""

    name: str
    pid: int
    cpu_pct: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Health:
    """The box itself. `clock_error_ms` is the kernel's bound, None while the clock is not synchronised."""

    mono_ns: int
    cpu_pct: float
    load_1m: float
    memory_total_bytes: int
    memory_available_bytes: int
    uptime_s: float
    temperature_c: float | None = None
    throttling: Throttling | None = None
    clock_error_ms: float | None = None
    clock_offset_ms: float | None = None
    disks: tuple[DiskSpace, ...] = ()
    devices: tuple[BlockDevice, ...] = ()
    processes: tuple[ProcessUse, ...] = ()


@dataclass(frozen=True, slots=True)
class UpsState:
    """A UPS as NUT tells it. `status` holds NUT's own words, such as `OB LB`."""

    name: str
    status: str
    on_mains: bool
    battery_low: bool
    battery_pct: float | None = None
    runtime_s: float | None = None
    load_pct: float | None = None
