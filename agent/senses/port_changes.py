"""What successive network states say of a port: flaps, speed or duplex that fell, errors by the minute. Pure.

A cable with a bad pair comes back at 100 Mbit/s or half duplex and looks fine to a ping; only what the port did before,
or what the configuration expects of it, tells.
"""

from dataclasses import dataclass, replace

from agent.observations import Duplex, NetworkState, PortState


@dataclass(frozen=True, slots=True)
class PortHistory:
    """What is remembered of one port.

    `flaps`: monotonic ns of each loss of carrier within the window. `best_mbit`: the highest speed ever negotiated
    (keep it across restarts). `errors`: (mono_ns, rx + tx errors) readings within the window, oldest first.
    """

    flaps: tuple[int, ...] = ()
    best_mbit: int | None = None
    errors: tuple[tuple[int, int], ...] = ()
    last: PortState | None = None


@dataclass(frozen=True, slots=True)
class PortFindings:
    """What is odd about a port now. `slow_from_mbit`: what it once had, or should have, while it has less."""

    flaps: int = 0
    slow_from_mbit: int | None = None
    half_duplex: bool = False
    errors_per_min: float | None = None


WINDOW_NS = 600 * 1_000_000_000


def follow(history: PortHistory, port: PortState, *, mono_ns: int, window_ns: int = WINDOW_NS) -> PortHistory:
    """Take in the port as it is at `mono_ns`."""
    since_ns = mono_ns - window_ns
    flaps = tuple(at for at in history.flaps if at >= since_ns) + (mono_ns,) * _losses(history.last, port)
    total = port.rx_errors + port.tx_errors
    errors = tuple(reading for reading in history.errors if reading[0] >= since_ns)
    if errors and total < errors[-1][1]:
        errors = ()  # the counters began again: another card, or a driver reloaded
    best = max((speed for speed in (history.best_mbit, port.speed_mbit) if speed), default=None)
    return replace(history, flaps=flaps, best_mbit=best, errors=_thin(errors, (mono_ns, total)), last=port)


def findings(history: PortHistory, *, expected_mbit: int | None = None) -> PortFindings:
    """Judge the port as last seen. `expected_mbit` (configuration) takes the place of what was seen before."""
    port = history.last
    if port is None:
        return PortFindings()
    wanted = expected_mbit or history.best_mbit
    slow = port.carrier and port.speed_mbit is not None and wanted is not None and port.speed_mbit < wanted
    return PortFindings(
        flaps=len(history.flaps),
        slow_from_mbit=wanted if slow else None,
        half_duplex=port.carrier and port.duplex is Duplex.HALF,
        errors_per_min=_rate(history.errors),
    )


def follow_all(histories: dict[str, PortHistory], state: NetworkState) -> dict[str, PortHistory]:
    """`follow` for every port; one that is gone counts as without carrier."""
    followed = dict(histories)
    for name in histories.keys() | state.ports.keys():
        history = histories.get(name, PortHistory())
        port = state.ports.get(name) or _gone(name, history.last)
        followed[name] = follow(history, port, mono_ns=state.mono_ns)
    return followed


def _gone(name: str, last: PortState | None) -> PortState:
    if last is None:
        return PortState(name=name, present=False, carrier=False)
    return replace(last, present=False, carrier=False, speed_mbit=None, addresses=())


def _losses(before: PortState | None, now: PortState) -> int:
    """How often carrier was lost between two readings; the kernel's count tells of those too short to be seen."""
    if before is None:
        return 0
    seen = int(before.carrier and not now.carrier)
    changes = now.carrier_changes - before.carrier_changes
    return max(seen, (changes + int(before.carrier)) // 2) if changes > 0 else seen


def _thin(errors: tuple[tuple[int, int], ...], reading: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """At most a reading every ten seconds: the first, and the newest in the place of one younger than that."""
    if len(errors) > 1 and reading[0] - errors[-2][0] < 10 * 1_000_000_000:
        return (*errors[:-1], reading)
    return (*errors, reading)


def _rate(errors: tuple[tuple[int, int], ...]) -> float | None:
    if len(errors) < 2 or errors[-1][0] <= errors[0][0]:
        return None
    return (errors[-1][1] - errors[0][1]) / ((errors[-1][0] - errors[0][0]) / 60e9)
