"""What a projection is given, and what it gives back."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table


@dataclass(frozen=True, slots=True)
class Source:
    """Where an entry stands. `shift_ms` is to be added to the times inside it: an anchor's correction, else 0."""

    journal_id: int
    seq: int
    site: str
    device: str
    wall_ms: int
    shift_ms: int = 0

    def key(self) -> dict[str, Any]:
        """The columns that every table keyed by its entry begins with."""
        return {"journal_id": self.journal_id, "seq": self.seq, "site_id": self.site, "device_id": self.device}


@dataclass(frozen=True, slots=True)
class Write:
    """One row to insert; where one of the same `conflict` columns stands, its `update` columns are set instead."""

    table: Table
    values: dict[str, Any]
    conflict: tuple[str, ...] = ("journal_id", "seq")
    update: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Projected:
    """Rows to write, and what this entry is the latest word on (`latest.what`)."""

    writes: list[Write] = field(default_factory=list)
    latest: list[str] = field(default_factory=list)
