"""What successive network states say of a port: flaps, and speed or duplex that fell. Pure.

A cable with a bad pair comes back at 100 Mbit/s or half duplex and looks fine to a ping; only what the port did before,
or what the configuration expects of it, tells.
"""

from dataclasses import dataclass, replace

from agent.observations import Duplex, NetworkState, PortState


@dataclass(frozen=True, slots=True)
class PortHistory:
    """What is remembered of one port.

    `flaps`: monotonic ns of each loss of carrier within the window. `best_mbit`: the highest speed ever negotiated
    (keep it across restarts).
    """

    flaps: tuple[int, ...] = ()
    best_mbit: int | None = None
    last: PortState | None = None


@dataclass(frozen=True, slots=True)
class PortFindings:
    """What is odd about a port now. `slow_from_mbit`: what it once had, or should have, while it has less."""

    flaps: int = 0
    slow_from_mbit: int | None = None
    half_duplex: bool = False


def follow(history: PortHistory, port: PortState, *, mono_ns: int, window_ns: int) -> PortHistory:
    """Take in the port as it is at `mono_ns`; flaps are remembered for the window."""
    since_ns = mono_ns - window_ns
    flaps = tuple(at for at in history.flaps if at >= since_ns) + (mono_ns,) * _losses(history.last, port)
    best = max((speed for speed in (history.best_mbit, port.speed_mbit) if speed), default=None)
    return replace(history, flaps=flaps, best_mbit=best, last=port)


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
    )


def follow_all(histories: dict[str, PortHistory], state: NetworkState, *, window_ns: int) -> dict[str, PortHistory]:
    """`follow` for every port; one that is gone counts as without carrier."""
    followed = dict(histories)
    for name in histories.keys() | state.ports.keys():
        history = histories.get(name, PortHistory())
        port = state.ports.get(name) or _gone(name, history.last)
        followed[name] = follow(history, port, mono_ns=state.mono_ns, window_ns=window_ns)
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
