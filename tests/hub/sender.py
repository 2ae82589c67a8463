"""A device as the hub meets it: it makes entries, chains and signs them, and reads receipts."""

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bus import envelope, topics
from bus.clock import Quality, Stamp
from bus.entries import EntryData, JournalOpened, kind_of
from bus.envelope import Sealed, SigningKey
from bus.identifiers import new_epoch
from bus.journal import NO_CHAIN
from bus.messages import BATCH_TYPE, Batch, Entry, EntryClass, Lost, encode
from hub.admission import Admitted, admit
from hub.roster import DeviceRow, Roster, RosterFile, SiteRow

BOOT = "b" * 32
START_MS = 1_790_000_000_000


@dataclass
class Line:
    """One (epoch, class) as it grows on the device."""

    epoch: str
    klass: EntryClass
    entries: list[bytes] = field(default_factory=list)
    first_chain: bytes = NO_CHAIN

    def chain_before(self, seq: int) -> bytes:
        chain = self.first_chain
        for raw in self.entries[: seq - 1]:
            chain = hashlib.sha256(chain + raw).digest()
        return chain


class Sender:
    """A device with its key. `batch` gives messages of the contract, `admitted` what the hub makes of them."""

    def __init__(self, site: str = "s0001", device: str = "s0001-agent", part: str = "agent") -> None:
        self.site, self.device, self.part = site, device, part
        self.key = SigningKey.generate()
        self._ticks = itertools.count(1)
        self.record = self.new_line("record")
        self.sample = self.new_line("sample")

    def new_line(self, klass: EntryClass, *, epoch: str | None = None, first_chain: bytes = NO_CHAIN) -> Line:
        return Line(epoch or new_epoch(), klass, first_chain=first_chain)

    def stamp(self, *, wall_ms: int | None = None, quality: Quality = Quality.TRUSTED, boot: str = BOOT) -> Stamp:
        tick = next(self._ticks)
        return Stamp(boot, tick * 1_000_000_000, START_MS + tick * 1000 if wall_ms is None else wall_ms, quality)

    def add(self, data: EntryData, at: Stamp | None = None, *, line: Line | None = None) -> bytes:
        kind = kind_of(data)
        into = line or (self.sample if kind.startswith("sample.") else self.record)
        entry = Entry(len(into.entries) + 1, kind, at or self.stamp(), msgspec.Raw(encode(data)))
        return self.add_raw(encode(entry), line=into)

    def add_raw(self, raw: bytes, *, line: Line | None = None) -> bytes:
        (line or self.record).entries.append(raw)
        return raw

    def open(self, line: Line, **values: Any) -> bytes:
        return self.add(JournalOpened(**({"reason": "new"} | values)), line=line)

    def batch(
        self, first: int = 1, last: int | None = None, *, line: Line | None = None, lost: list[Lost] | None = None
    ) -> Batch:
        of = line or self.record
        entries = of.entries[first - 1 : last]
        return Batch(
            device=self.device,
            epoch=of.epoch,
            klass=of.klass,
            first_held=1,
            head=len(of.entries),
            entries=[msgspec.Raw(raw) for raw in entries],
            chain=of.chain_before(first).hex() if of.klass == "record" else "",
            lost=lost or [],
            first=first,
        )

    def seal(self, batch: Batch) -> Sealed:
        return envelope.seal(encode(batch), BATCH_TYPE, self.key)

    def admitted(self, batch: Batch) -> Admitted:
        result = admit(self.topic, self.seal(batch), roster_of(self))
        assert isinstance(result, Admitted), result
        return result

    @property
    def topic(self) -> str:
        return topics.up(self.site, self.device)


def roster_of(*senders: Sender) -> Roster:
    sites: dict[str, list[DeviceRow]] = {}
    for sender in senders:
        row = DeviceRow(sender.device, sender.part, sender.key.public_bytes.hex())
        sites.setdefault(sender.site, []).append(row)
    rows = [SiteRow(site, f"code-{site}", f"Xã {site}", device=devices) for site, devices in sites.items()]
    return Roster.of(RosterFile(rows))
