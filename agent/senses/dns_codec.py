"""DNS messages, as far as a probe needs them (RFC 1035, section 4; AAAA: RFC 3596): bytes in, values out. Pure.

No EDNS: an answer is 512 bytes at most, or says that it was cut (TC). Anything can come in over UDP, so every length
and pointer is checked, pointers only ever lead backwards, and what does not fit is a `CorruptError`.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final, Literal

from bus.errors import CorruptError, WrongInputError

QueryType = Literal["A", "AAAA"]
NO_ERROR: Final = 0
NAME_ERROR: Final = 3
RCODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_TYPES: Final = {"A": 1, "AAAA": 28}
_LENGTHS: Final = {1: 4, 28: 16}
_CLASS_IN: Final = 1
_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_RESPONSE: Final = 0x8000
_TRUNCATED: Final = 0x0200
_RECURSION_DESIRED: Final = 0x0100
_MAX_RECORDS: Final = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: the addresses of the name or of what it is an alias of, and their lowest ttl."""

    rcode: int
    truncated: bool
    addresses: tuple[str, ...] = ()
    ttl_s: int = 0


def encode_query(ident: int, name: str, kind: QueryType) -> bytes:
    """A recursive query for one name. `WrongInputError` where it is no host name."""
    return (
        _HEADER.pack(ident, _RECURSION_DESIRED, 1, 0, 0, 0)
        + encode_name(name)
        + struct.pack("!HH", _TYPES[kind], _CLASS_IN)
    )


def encode_name(name: str) -> bytes:
    """Labels with their lengths; letters beyond ASCII in their IDNA form."""
    wire = b""
    for label in name.rstrip(".").split("."):
        try:
            # The idna codec costs half a megabyte: only names that need it pay.
            encoded = label.encode("ascii") if label.isascii() else label.encode("idna")
        except UnicodeError as error:
            raise WrongInputError(f"{name!r} is not a host name: {error}") from error
        if not 1 <= len(encoded) <= 63:
            raise WrongInputError(f"{name!r} is not a host name: a label of {len(encoded)} bytes, wanted 1 to 63")
        wire += bytes([len(encoded)]) + encoded
    if len(wire) > 254:
        raise WrongInputError(f"{name!r} is not a host name: {len(wire)} bytes, wanted 254 at most")
    return wire + b"\0"


def decode_answer(message: bytes, *, ident: int, name: str, kind: QueryType) -> Answer | None:
    """The answer to the query with these values; None where the message answers another one.

    `CorruptError` where it is ours but cannot be read.
    """
    if len(message) < _HEADER.size:
        raise CorruptError(f"DNS answer of {len(message)} bytes; its header alone takes {_HEADER.size}")
    got_ident, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
    if got_ident != ident or not flags & _RESPONSE:
        return None
    rcode, truncated = flags & 0x0F, bool(flags & _TRUNCATED)
    offset = _HEADER.size
    if questions == 0 and rcode != NO_ERROR:
        return Answer(rcode, truncated)  # some servers refuse without repeating the question
    if questions != 1:
        raise CorruptError(f"DNS answer with {questions} questions; 1 was asked")
    asked, offset = _read_name(message, offset)
    if asked != _canonical(name) or _unpack("!HH", message, offset) != (_TYPES[kind], _CLASS_IN):
        return None
    records = [] if truncated else _read_records(message, offset + 4, answers)
    return _follow(records, asked, _TYPES[kind], rcode, truncated=truncated)


_Record = tuple[bytes, int, int, bytes]  # owner, type, ttl, data: an address, or the canonical name


def _read_records(message: bytes, offset: int, count: int) -> list[_Record]:
    records: list[_Record] = []
    for _ in range(min(count, _MAX_RECORDS)):
        owner, offset = _read_name(message, offset)
        kind, klass, ttl_s, length = _unpack("!HHIH", message, offset)
        offset += _RECORD.size
        if offset + length > len(message):
            raise CorruptError(f"DNS record of {length} bytes at {offset} in a message of {len(message)}")
        if klass == _CLASS_IN and kind == 5:
            records.append((owner, kind, ttl_s, _read_name(message, offset)[0]))
        elif klass == _CLASS_IN and kind in _LENGTHS:
            if length != _LENGTHS[kind]:
                raise CorruptError(f"DNS address of {length} bytes; wanted {_LENGTHS[kind]}")
            records.append((owner, kind, ttl_s, message[offset : offset + length]))
        offset += length
    return records


def _follow(records: list[_Record], name: bytes, wanted: int, rcode: int, *, truncated: bool) -> Answer:
    """The addresses at the end of the chain of aliases that starts at `name`."""
    names = {name}
    for _ in records:  # records may stand in any order, so once for each is enough
        names |= {data for owner, kind, _, data in records if kind == 5 and owner in names}
    found = [(ttl_s, data) for owner, kind, ttl_s, data in records if kind == wanted and owner in names]
    addresses = tuple(str(ipaddress.ip_address(data)) for _, data in found)
    return Answer(rcode, truncated, addresses, min((ttl_s for ttl_s, _ in found), default=0))


def _canonical(name: str) -> bytes:
    return _read_name(encode_name(name), 0)[0]


def _read_name(message: bytes, offset: int) -> tuple[bytes, int]:
    """The name at `offset` in lower case, and where reading goes on behind it."""
    labels: list[bytes] = []
    total = 0
    behind: int | None = None
    limit = offset  # a pointer must lead before the place it stands at: so no loop is possible
    while True:
        if offset >= len(message):
            raise CorruptError(f"DNS name runs past the end of a message of {len(message)} bytes")
        length = message[offset]
        if length >= 0xC0:
            target = _unpack("!H", message, offset)[0] & 0x3FFF
            if behind is None:
                behind = offset + 2
            if target >= limit:
                raise CorruptError(f"DNS pointer at {offset} leads forward, to {target}")
            limit = offset = target
            continue
        if length > 63:
            raise CorruptError(f"DNS label with length byte {length:#x}")
        offset += 1
        if length == 0:
            return b".".join(labels), offset if behind is None else behind
        if offset + length > len(message):
            raise CorruptError(f"DNS label of {length} bytes runs past the end of a message of {len(message)} bytes")
        total += length + 1
        if total > 254:
            raise CorruptError("DNS name longer than 254 bytes")
        labels.append(message[offset : offset + length].lower())
        offset += length


def _unpack(layout: str, message: bytes, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, message, offset)
    except struct.error as error:
        raise CorruptError(f"DNS message of {len(message)} bytes ends within a field at {offset}") from error
