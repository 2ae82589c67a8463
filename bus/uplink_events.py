"""What can happen to an uplink, and what it can want: the closed unions between `bus.uplink` and `bus.courier`."""

from dataclasses import dataclass

from bus.identifiers import Epoch
from bus.messages import EntryClass
from bus.ranges import Ranges


@dataclass(frozen=True, slots=True)
class StreamSeen:
    """One (epoch, class) as the journal has it. `gone` will never come: it is settled for the uplink."""

    epoch: Epoch
    klass: EntryClass
    first_held: int
    head: int
    stored: Ranges = ()
    gone: Ranges = ()


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker takes messages, and receipts and beacons are subscribed to."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """It does not."""


@dataclass(frozen=True, slots=True)
class BeaconSeen:
    """A verified beacon of the hub."""

    run: str
    interval_s: int


@dataclass(frozen=True, slots=True)
class JournalSeen:
    """All that the journal holds, oldest first. What is not in it is forgotten."""

    streams: tuple[StreamSeen, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """The newest durable entry of the running epoch."""

    epoch: Epoch
    klass: EntryClass
    head: int


@dataclass(frozen=True, slots=True)
class ReceiptTaken:
    """A verified receipt which the journal took."""

    epoch: Epoch
    klass: EntryClass
    stored: Ranges
    run: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What of a `SendBatch` was really sent: the shell stops at a byte limit, or where entries are missing."""

    batch: "SendBatch"
    first: int
    last: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """The broker did not take it, or there was nothing to send (`empty`). `too_large`: it never will.

    `unread`: the journal could not be read now; other streams may go meanwhile.
    """

    batch: "SendBatch"
    too_large: bool = False
    empty: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Input = Connected | Disconnected | BeaconSeen | JournalSeen | Appended | ReceiptTaken | Sent | PublishFailed | Tick


@dataclass(frozen=True, slots=True)
class SendBatch:
    """Send entries first..last, up to `max_bytes`, as one batch that expires after `expiry_s`."""

    epoch: Epoch
    klass: EntryClass
    first: int
    last: int
    max_bytes: int
    expiry_s: int
    live: bool


@dataclass(frozen=True, slots=True)
class AskHeld:
    """Send an empty batch, which asks the hub what it holds."""

    epoch: Epoch
    klass: EntryClass
    expiry_s: int


Effect = SendBatch | AskHeld
