"""The messages of the wire: JSON, each with its type and version (design decision 13).

Readers accept unknown fields; a field is only ever added, with a default. docs/wire.md shows each with an example, and
the golden bytes in tests/golden hold what was released.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from bus.clock import Stamp
from bus.identifiers import DeviceId, Epoch, SiteId

BATCH_TYPE: Final = "application/vnd.commune.batch.v1+json"
RECEIPT_TYPE: Final = "application/vnd.commune.receipt.v1+json"
BEACON_TYPE: Final = "application/vnd.commune.beacon.v1+json"
DESIRED_TYPE: Final = "application/vnd.commune.desired.v1+json"
STATUS_TYPE: Final = "application/vnd.commune.status.v1+json"
REPORTED_TYPE: Final = "application/vnd.commune.reported.v1+json"

EntryClass = Literal["record", "sample"]
Seq = Annotated[int, Meta(ge=1)]
Range = tuple[Seq, Seq]  # first and last, both included
# What comes unsigned is bounded, so that no sender makes a reader keep, or record, more than there is room for.
Name = Annotated[str, Meta(max_length=64)]
Detail = Annotated[str, Meta(max_length=500)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Entry(Struct, frozen=True, omit_defaults=True):
    """One journal entry. Its key for ever is (device, epoch, class, seq); `data` is read by `kind` (`bus.entries`)."""

    seq: Seq
    kind: str
    at: Stamp
    data: Raw
    v: int = 1


class Lost(Struct, frozen=True):
    """Entries that will never come: shed for want of room, or damaged on disk."""

    first: Seq
    last: Seq
    reason: Literal["shed", "damaged"]


class Batch(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="batch", rename={"klass": "class"}):
    """Consecutive entries of one (device, epoch, class), exactly as they stand in the journal.

    `entries` may be empty: then the batch only asks what the hub holds. `chain` is the record chain's value before
    the first entry, 64 hex digits; empty for samples. `first_held` is the oldest entry still in the journal, `head` the
    newest; with `lost` they let the hub say what is missing. `head` is 0 in an epoch with nothing in it. `first` is the
    sequence number of the first entry: it gives a place to one that cannot be read (0: not said).
    """

    device: DeviceId
    epoch: Epoch
    klass: EntryClass
    first_held: int
    head: int
    entries: list[Raw]
    chain: str = ""
    lost: list[Lost] = []
    first: int = 0
    v: int = 1


class Refused(Struct, frozen=True):
    """An entry that was stored raw and set aside; `conflict` means that its key is taken by other bytes."""

    seq: Seq
    verdict: Literal["quarantined", "conflict"]
    reason: str


class Receipt(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="receipt", rename={"klass": "class"}):
    """What a consumer holds of one (device, epoch, class), sent after its own commit.

    `stored` is all of it, in ascending ranges, quarantined entries too. `run` names one start of the consumer on one
    store; within a run `stored` only grows and `at_ms` never falls, so an older receipt replayed changes nothing,
    while a new run may hold less (it was restored from a backup) and is then offered the rest again.
    """

    consumer: str
    device: DeviceId
    epoch: Epoch
    klass: EntryClass
    stored: list[Range]
    run: str
    at_ms: int
    refused: list[Refused] = []
    v: int = 1


class Beacon(Struct, frozen=True, tag_field="type", tag="beacon"):
    """The hub is alive and takes batches. Sent every `interval_s`; fresh for three intervals."""

    run: str
    at_ms: int
    interval_s: int
    v: int = 1


class Status(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="status"):
    """Birth and last will of a device: a hint only."""

    device: DeviceId
    part: Name
    online: bool
    version: Name = ""
    boot: Name = ""
    at_ms: Count = 0
    v: int = 1


class Desired(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="desired"):
    """Signed document: what `issuer` wants of the devices of a site. The same version or an older one is a no-op."""

    site: SiteId
    issuer: DeviceId
    version: int
    devices: dict[str, dict[str, Raw]]
    v: int = 1


class Reached(Struct, frozen=True, omit_defaults=True):
    """How far a device has come with one desired property."""

    version: Count
    result: Literal["done", "refused", "failed"]
    detail: Detail = ""


class Reported(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="reported"):
    """What a device has made of its desired state, by issuer and property."""

    device: DeviceId
    reached: dict[str, dict[str, Reached]]
    v: int = 1


encode = msgspec.json.Encoder().encode
