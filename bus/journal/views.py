"""What the journal shows its users."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from bus.messages import EntryClass, Lost, Range
from bus.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Key:
    """The name of an entry on its device, for ever."""

    epoch: str
    klass: EntryClass
    seq: int


@dataclass(frozen=True, slots=True)
class EpochView:
    """One (epoch, class) as it stands on disk; nothing that is not yet durable shows here.

    `first_held` is the oldest entry still here (head + 1 where none is), `head` the newest, `lost` what will never come
    to a consumer that lacks it, `stored` what each consumer has receipted. `current`: appends go to it.
    """

    epoch: str
    klass: EntryClass
    first_held: int
    head: int
    lost: list[Lost]
    stored: dict[str, list[Range]]
    current: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive entries from `first`, exactly as written. `chain`: before the first, hex; '' for samples."""

    first: int
    chain: str
    entries: list[bytes]


@dataclass(frozen=True, slots=True)
class ReceiptEffect:
    """What a receipt did.

    - `taken`: it counts. `newly` entries were receipted by it; `again` are ranges that an earlier run of the consumer
      had receipted and this one does not hold: they are to be offered again. `moved` are in conflict at the consumer
      and are from now on being appended again under another epoch.
    - `stale`: an older receipt come again, or one of a run that was already left behind. Nothing changed.
    - `unknown`: about an epoch that is no longer (or never was) here.
    - `above-head`: the consumer holds entries of our running epoch that we never wrote or never sent: a copy of this
      journal is or was alive elsewhere. The next append starts a new epoch, and whatever was not receipted before is
      being `moved` there: under its old numbers the consumer may have the copy's entries.
    """

    verdict: Literal["taken", "stale", "unknown", "above-head"]
    newly: int = 0
    again: Ranges = ()
    moved: Ranges = ()


class Counters(msgspec.Struct):
    """Since this open. Every way in which an entry or a byte can go has its count here."""

    appended: int = 0  # entries made durable (records) or written (samples)
    refused: int = 0  # appends that failed: no room, disk error, journal full
    syncs: int = 0
    disk_errors: int = 0
    damaged: int = 0  # entries found unreadable
    torn_bytes: int = 0  # unfinished writes cut away: nobody had been told of them
    quarantined_bytes: int = 0  # unreadable bytes found; the newest of them stand in quarantine/
    shed: int = 0  # samples dropped, not yet receipted, for want of room
    unsynced_lost: int = 0  # samples whose delayed sync failed
    dropped: int = 0  # entries that went because they had been receipted and were old or in the way
    dropped_unread: int = 0  # of these: receipted by the first consumer alone
    stale_receipts: int = 0
    reappended: int = 0  # entries in conflict at a consumer, written again under another epoch
