"""What becomes of a batch: which entries are new, repeats, in conflict or set aside, and what is then held. Pure.

What always holds (design decision 2):

- A key (device, epoch, class, seq) is stored once. The same bytes again are a repeat; other bytes are a conflict, set
  aside raw and never taken for a repeat.
- An entry that cannot be read is set aside raw with its reason, and its number counts as stored: the stream goes on.
- A break in the hash chain is told and loses nothing: the entries are stored as they came.

`hub.store` reads what the store holds around the batch and writes what is decided here, in one transaction.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Literal

import msgspec
from msgspec import Raw, structs

from bus import ranges
from bus.clock import Quality
from bus.entries import ClockAnchor, EntryData, JournalOpened, class_of, read_data
from bus.errors import WrongInputError
from bus.journal import ENTRY_LIMIT
from bus.messages import Batch, Entry, encode
from bus.ranges import Ranges
from hub import limits
from hub.limits import LAST_MS

INT64_MAX: Final = 2**63 - 1
_entry = msgspec.json.Decoder(Entry)


class _Numbered(msgspec.Struct):
    seq: int


_numbered = msgspec.json.Decoder(_Numbered)
Verdict = Literal["quarantined", "conflict"]


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of the batch's journal, as far as the batch touches it.

    `digests`: of the batch's numbers that are stored and whose digest is still known; `set_aside`: those of them that
    stand in quarantine, with the reason. `before`: the chain's value after the entry that precedes the batch, and
    `after`: (its bytes, the chain's value after it) of the entry that follows it; None where not held.
    """

    spans: Ranges = ()
    digests: Mapping[int, bytes] = field(default_factory=dict)
    set_aside: Mapping[int, str] = field(default_factory=dict)
    before: bytes | None = None
    after: tuple[bytes, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """An entry to store. `chain` is the chain's value after it, None for samples; `data` is None for unknown kinds."""

    entry: Entry
    data: EntryData | None
    digest: bytes
    chain: bytes | None
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class SetAside:
    """Bytes to keep in quarantine. `fresh` is false where the store has them already."""

    seq: int | None
    verdict: Verdict
    reason: str
    detail: str
    digest: bytes
    raw: bytes
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The chain's value before entry `seq` is not what the store knows."""

    seq: int
    expected: bytes
    found: bytes


@dataclass(slots=True)
class Decision:
    """What to write for one batch, and `spans`: all that is then held."""

    fresh: list[Fresh] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    repeats: int = 0
    breaks: list[ChainBreak] = field(default_factory=list)
    spans: Ranges = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a batch as it could be read. `seq` is None where nothing says its number."""

    seq: int | None
    raw: bytes
    digest: bytes
    entry: Entry | None = None
    data: EntryData | None = None
    reason: str = ""
    detail: str = ""


def read_items(batch: Batch) -> list[Item]:
    """Read each entry of a batch, and give a number to those that do not say it: entries are consecutive."""
    items = [_read_item(bytes(raw), batch.klass) for raw in batch.entries]
    base = batch.first or next((item.seq - at for at, item in enumerate(items) if item.seq is not None), 0)
    if base < 1 or base + len(items) - 1 > INT64_MAX:
        return items
    return [
        item if item.seq is not None else Item(base + at, item.raw, item.digest, None, None, item.reason, item.detail)
        for at, item in enumerate(items)
    ]


def halves(batch: Batch, items: Sequence[Item]) -> list[tuple[Batch, Sequence[Item]]]:
    """The batch as two that follow each other."""
    at = len(items) // 2
    chain = batch.chain
    if chain:
        value = bytes.fromhex(chain)
        for item in items[:at]:
            value = hashlib.sha256(value + item.raw).digest()
        consecutive = all(later.seq == (item.seq or 0) + 1 for item, later in pairwise(items[: at + 1]))
        chain = value.hex() if consecutive else ""  # over a gap nobody vouches for it
    first, second = ([Raw(item.raw) for item in some] for some in (items[:at], items[at:]))
    return [
        (structs.replace(batch, entries=first), items[:at]),
        (structs.replace(batch, entries=second, chain=chain, first=items[at].seq or 0), items[at:]),
    ]


def unstorable(item: Item, detail: str) -> Item:
    """An entry that the store does not take, as one to set aside."""
    return Item(item.seq, item.raw, item.digest, None, None, "unstorable", detail[:500])


def judge(batch: Batch, items: Sequence[Item], held: Held) -> Decision:
    """Decide on a batch whose `items` came from `read_items`."""
    decision = Decision()
    taken: dict[int, bytes] = {}
    chain = bytes.fromhex(batch.chain) if batch.klass == "record" and batch.chain else None
    if chain is not None and held.before is not None and chain != held.before and items:
        decision.breaks.append(ChainBreak(items[0].seq or 0, held.before, chain))
    previous: int | None = None
    near = replace(held, spans=_near(held.spans, items))
    for item in items:
        if chain is not None:
            if previous is not None and item.seq != previous + 1:
                chain = None  # not consecutive: what follows cannot be checked against what is before
            else:
                chain = hashlib.sha256(chain + item.raw).digest()
        previous = item.seq
        _place(item, chain, near, taken, decision)
    if chain is not None and held.after is not None:
        raw, known = held.after
        if hashlib.sha256(chain + raw).digest() != known:
            decision.breaks.append(ChainBreak((previous or 0) + 1, known, chain))
    decision.spans = ranges.union(held.spans, ((seq, seq) for seq in taken))
    return decision


def _place(item: Item, chain: bytes | None, held: Held, taken: dict[int, bytes], decision: Decision) -> None:
    seq = item.seq
    if seq is None:
        decision.set_aside.append(SetAside(None, "quarantined", item.reason, item.detail, item.digest, item.raw))
        return
    if seq in taken or ranges.covers(held.spans, seq, seq):
        known = taken.get(seq, held.digests.get(seq))
        if known is not None and known != item.digest:
            detail = f"held with digest {known.hex()}"
            decision.set_aside.append(SetAside(seq, "conflict", "conflict", detail, item.digest, item.raw))
            return
        decision.repeats += 1
        if reason := held.set_aside.get(seq):
            # Its first receipt may have been lost: the verdict is told again.
            again = SetAside(seq, "quarantined", reason, "", item.digest, item.raw, fresh=False)
            decision.set_aside.append(again)
        return
    taken[seq] = item.digest
    if item.entry is None:
        decision.set_aside.append(SetAside(seq, "quarantined", item.reason, item.detail, item.digest, item.raw))
        return
    rebuilt = rebuild(seq, item.entry.kind, item.entry)
    raw = None if rebuilt == item.raw else item.raw
    decision.fresh.append(Fresh(item.entry, item.data, item.digest, chain, raw))


def _near(spans: Ranges, items: Sequence[Item]) -> Ranges:
    numbers = [item.seq for item in items if item.seq is not None]
    return ranges.clip(spans, min(numbers), max(numbers)) if numbers else ()


def rebuild(seq: int, kind: str, entry: Entry) -> bytes:
    """The bytes of an entry written by this version from what the columns hold."""
    return encode(Entry(seq, kind, entry.at, entry.data))


def _read_item(raw: bytes, klass: str) -> Item:
    digest = hashlib.sha256(raw).digest()
    seq = _number_of(raw)
    if len(raw) > ENTRY_LIMIT:
        return Item(seq, raw, digest, None, None, "oversized", f"{len(raw)} bytes, {ENTRY_LIMIT} at most")
    try:
        entry = _entry.decode(raw)
        text = bytes(entry.data).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Item(seq, raw, digest, None, None, "broken", str(error)[:500])
    if problem := _problem(entry, text):
        return Item(seq, raw, digest, None, None, "broken", problem)
    if class_of(entry.kind) != klass:
        return Item(seq, raw, digest, None, None, "wrong-class", f"kind {entry.kind} came as a {klass}")
    try:
        data = read_data(entry.kind, entry.data)
    except (WrongInputError, RecursionError) as error:
        return Item(seq, raw, digest, None, None, "wrong-data", str(error)[:500])
    if problem := limits.problem(data):
        return Item(seq, raw, digest, None, None, "wrong-data", problem)
    return Item(seq, raw, digest, entry, data)


def _number_of(raw: bytes) -> int | None:
    try:
        seq = _numbered.decode(raw).seq
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return seq if 1 <= seq <= INT64_MAX else None


def _problem(entry: Entry, text: str) -> str:
    at = entry.at
    if entry.seq > INT64_MAX:
        return "seq is out of range"
    if not 1 <= len(entry.kind) <= 64 or "\0" in entry.kind:
        return "kind is empty, longer than 64 characters or holds a null"
    if not 1 <= len(at.boot) <= 64 or "\0" in at.boot:
        return "boot is empty, longer than 64 characters or holds a null"
    if not 0 <= at.mono_ns <= INT64_MAX:
        return f"mono_ns {at.mono_ns} is out of range"
    if not 0 <= at.wall_ms <= LAST_MS:
        return f"wall_ms {at.wall_ms} is before 1970 or after 9999"
    if "\0" in text:
        return "data holds a null byte"
    if not _is_json(text):
        return "data is not JSON"
    return ""


def _is_json(text: str) -> bool:
    """Whether `text` is JSON to the letter: what is skipped unread is not checked by the decoder."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Anchor:
    """In one boot of a device it was `wall_ms` at `mono_ns`."""

    mono_ns: int
    wall_ms: int

    def wall_at(self, mono_ns: int) -> int:
        """Wall time at another moment of the same boot, kept within what a calendar can say."""
        return min(max(self.wall_ms + (mono_ns - self.mono_ns) // 1_000_000, 0), LAST_MS)


def anchors_in(decision: Decision) -> dict[str, Anchor]:
    """The anchors that a batch brings, by boot id; the last one of a boot counts."""
    return {
        fresh.entry.at.boot: Anchor(fresh.entry.at.mono_ns, fresh.entry.at.wall_ms)
        for fresh in decision.fresh
        if isinstance(fresh.data, ClockAnchor) and fresh.entry.at.quality is Quality.TRUSTED
    }


def opening_in(decision: Decision) -> tuple[Fresh, JournalOpened] | None:
    """The record that opens the epoch, where the batch brings it."""
    for fresh in decision.fresh:
        if fresh.entry.seq == 1 and isinstance(fresh.data, JournalOpened):
            return fresh, fresh.data
    return None
