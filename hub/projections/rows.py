"""What a projection is given, and what it gives back."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table

from hub.limits import LAST_MS


@dataclass(frozen=True, slots=True)
class Source:
    """Where an entry stands. `shift_ms` is to be added to the times inside it: an anchor's correction, else 0."""

    journal_id: int
    seq: int
    site: str
    device: str
    wall_ms: int
    shift_ms: int = 0

    def moved(self, at_ms: int) -> int:
        """A time inside the entry, corrected, and within what a calendar can say wherever an anchor has put it."""
        return min(max(at_ms + self.shift_ms, 0), LAST_MS)

    def key(self) -> dict[str, Any]:
        """The columns that every table keyed by its entry begins with."""
        return {"journal_id": self.journal_id, "seq": self.seq, "site_id": self.site, "device_id": self.device}


@dataclass(frozen=True, slots=True)
class Write:
    """One row to insert; where one of the same `conflict` columns stands, its `update` columns are set instead.

    `earliest`: the two of them that name the entry (journal, seq) whose word they are. Then they are set where nothing
    stands in them, and by that entry again or one before it on the device: the first word holds.
    """

    table: Table
    values: dict[str, Any]
    conflict: tuple[str, ...] = ("journal_id", "seq")
    update: tuple[str, ...] = ()
    earliest: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Projected:
    """Rows to write, and what this entry is the latest word on (`latest.what`)."""

    writes: list[Write] = field(default_factory=list)
    latest: list[str] = field(default_factory=list)
