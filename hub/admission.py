"""Whether a message on `ce/1/{site}/{device}/up` is let in, and as what. Pure.

The order is the rule (design decision 6): who the topic names must be on the known list; the signature must hold for
the bytes received; only then is anything decompressed or decoded; and what was decoded must speak for the same device.
A message that fails before its signature held gets no answer at all. One that fails after it is the device's own
mistake: it is kept raw, for somebody will have to look at it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from bus import envelope, topics
from bus.envelope import Sealed
from bus.errors import CorruptError, UntrustedError, WrongInputError
from bus.messages import BATCH_TYPE, Batch
from hub.roster import Member, Roster

BYTES_LIMIT: Final = envelope.BODY_LIMIT
_INT64_MAX: Final = 2**63 - 1
_batch = msgspec.json.Decoder(Batch)


class Reason(StrEnum):
    """Why a message got no receipt."""

    BAD_TOPIC = "bad-topic"
    UNKNOWN_DEVICE = "unknown-device"
    WRONG_SITE = "wrong-site"
    OVERSIZED = "oversized"
    WRONG_SIGNATURE = "wrong-signature"
    UNREADABLE = "unreadable"
    WRONG_DEVICE = "wrong-device"
    UNSTORABLE = "unstorable"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A batch whose sender is certain."""

    member: Member
    batch: Batch
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message without a receipt. `device` is on the known list or empty; `raw` is kept where the signature held."""

    device: str
    reason: Reason
    detail: str
    raw: bytes | None = None


def admit(topic: str, sealed: Sealed, roster: Roster) -> Admitted | Rejected:
    """Judge one message."""
    try:
        place = topics.read_device_topic(topic)
    except WrongInputError as error:
        return Rejected("", Reason.BAD_TOPIC, str(error))
    member = roster.members.get(place.device)
    if member is None or place.leaf != "up":
        return Rejected("", Reason.UNKNOWN_DEVICE, f"{place.site}/{place.device} is not on the known list")
    if member.site != place.site:
        return Rejected(member.device, Reason.WRONG_SITE, f"sent for site {place.site}, belongs to {member.site}")
    if len(sealed.body) > BYTES_LIMIT:
        return Rejected(member.device, Reason.OVERSIZED, f"{len(sealed.body)} bytes, {BYTES_LIMIT} at most")
    try:
        envelope.verify(sealed, member.keys)
    except UntrustedError as error:
        return Rejected(member.device, Reason.WRONG_SIGNATURE, str(error))
    return _read(sealed, member)


def _read(sealed: Sealed, member: Member) -> Admitted | Rejected:
    try:
        batch = _batch.decode(envelope.unseal(sealed, BATCH_TYPE))
    except (UntrustedError, CorruptError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(member.device, Reason.UNREADABLE, str(error)[:500], sealed.body)
    if batch.device != member.device:
        detail = f"the batch speaks for {batch.device}, its topic and key are {member.device}'s"
        return Rejected(member.device, Reason.WRONG_DEVICE, detail, sealed.body)
    if problem := _problem(batch):
        return Rejected(member.device, Reason.UNREADABLE, problem, sealed.body)
    return Admitted(member, batch, len(sealed.body))


def _problem(batch: Batch) -> str:
    numbers = [batch.first_held, batch.head, batch.first]
    for lost in batch.lost:
        numbers += [lost.first, lost.last]
        if lost.first > lost.last:
            return f"lost range {lost.first}..{lost.last} is upside down"
    if batch.first and batch.entries:
        numbers.append(batch.first + len(batch.entries) - 1)
    if not all(0 <= number <= _INT64_MAX for number in numbers):
        return "a sequence number is out of range"
    if batch.chain:
        try:
            if len(bytes.fromhex(batch.chain)) != 32:
                return "chain is not 32 bytes"
        except ValueError:
            return "chain is not hexadecimal"
    return ""
