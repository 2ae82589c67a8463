"""ICMP echo for IPv4 (RFC 792) and IPv6 (RFC 4443, section 4): bytes in, values out. Pure.

The payload holds the burst's token, so that neither another program's echo nor a late answer to an earlier burst is
taken for ours, whatever id the kernel put into the header (unprivileged sockets get their own).
"""

import struct
from dataclasses import dataclass
from typing import Final

TOKEN_BYTES: Final = 8
_ECHO_REQUEST: Final = {4: 8, 6: 128}
ECHO_REPLY: Final = {4: 0, 6: 129}
_HEADER: Final = struct.Struct("!BBHHH")
_FILL: Final = b"commune-edge probe......"  # a payload of 32 bytes, as small as ping's on other systems


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo reply, or the head of the request that an ICMP error quotes (then `token` may be cut off)."""

    ident: int
    seq: int
    token: bytes


def encode_request(version: int, ident: int, seq: int, token: bytes) -> bytes:
    """An echo request. For IPv6 the kernel fills in the sum, which covers addresses not known here."""
    body = token + _FILL
    header = _HEADER.pack(_ECHO_REQUEST[version], 0, 0, ident, seq)
    if version == 6:
        return header + body
    return _HEADER.pack(_ECHO_REQUEST[4], 0, checksum(header + body), ident, seq) + body


def decode_reply(version: int, packet: bytes, *, ip_header: bool) -> Echo | None:
    """The echo reply in `packet`; None for anything else. `ip_header`: an IPv4 header stands in front (raw sockets)."""
    if ip_header:
        length = (packet[0] & 0x0F) * 4 if packet else 0
        if length < 20:
            return None
        packet = packet[length:]
    return _decode(packet, ECHO_REPLY[version])


def decode_quoted(version: int, quoted: bytes) -> Echo | None:
    """The echo request that an ICMP error quotes from its ICMP header on; None for anything else."""
    return _decode(quoted, _ECHO_REQUEST[version])


def _decode(packet: bytes, wanted: int) -> Echo | None:
    if len(packet) < _HEADER.size:
        return None
    kind, code, _, ident, seq = _HEADER.unpack_from(packet)
    if kind != wanted or code != 0:
        return None
    return Echo(ident, seq, packet[_HEADER.size : _HEADER.size + TOKEN_BYTES])


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
