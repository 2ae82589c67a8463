"""Devices that came and went, and how far they have come with what was wanted of them."""

from bus.entries import DesiredReached, PresenceChanged
from hub import schema
from hub.projections.rows import Projected, Source, Write


def changed(source: Source, data: PresenceChanged) -> Projected:
    """`presence.changed`."""
    row = source.key() | {
        "subject": data.device,
        "part": data.part,
        "online": data.online,
        "expected": data.expected,
        "version": data.version,
        "at_ms": source.wall_ms,
    }
    return Projected([Write(schema.presence, row, update=("at_ms",))], [f"presence/{data.device}"])


def reached(source: Source, data: DesiredReached) -> Projected:
    """`desired.reached`."""
    row = source.key() | {
        "subject": data.device,
        "issuer": data.issuer,
        "name": data.name,
        "version": data.version,
        "result": data.result,
        "detail": data.detail,
        "at_ms": source.wall_ms,
    }
    what = f"desired/{data.device}/{data.issuer}/{data.name}"
    return Projected([Write(schema.desired, row, update=("at_ms",))], [what])
