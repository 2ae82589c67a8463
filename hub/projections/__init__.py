"""From entries to the tables that people ask: one small file a subject, one pure function a kind.

A projection gives rows to write and names what the entry is the latest word on. It is a pure function of the entry and
runs again when an anchor has moved the entry's time, so its rows are keyed by the entry or by a name from inside it,
and writing them twice leaves the same. A new kind is one function and one line in the table below.
"""

from collections.abc import Callable
from typing import Final

from bus.entries import EntryData
from hub.projections import diagnosis, events, minutes, outages, presence, ratings, samples
from hub.projections.rows import Projected, Source

# Any: each function takes the struct of its own kind, which the table of kinds in bus.entries gives.
PROJECTIONS: Final[dict[str, Callable[..., Projected]]] = {
    "diagnosis.changed": diagnosis.changed,
    "outage.opened": outages.opened,
    "outage.closed": outages.closed,
    "link.minute": minutes.minute,
    "watch.gap": minutes.gap,
    "presence.changed": presence.changed,
    "desired.reached": presence.reached,
    "event.noted": events.noted,
    "sample.block": samples.block,
    "rating.pressed": ratings.pressed,
    "rating.reason": ratings.reason,
    "rating.flagged": ratings.flagged,
    "rating.day": ratings.day,
}

_NOTHING: Final = Projected()


def project(source: Source, kind: str, data: EntryData | None) -> Projected:
    """What an entry gives; nothing for a kind that has no table of its own or is not known."""
    function = PROJECTIONS.get(kind)
    return _NOTHING if function is None or data is None else function(source, data)


__all__ = ["PROJECTIONS", "Projected", "Source", "project"]
