"""ICMP sockets: which kind we may have, what they let through, and the errors that come back on them.

An unprivileged ICMP socket is taken where `net.ipv4.ping_group_range` lets us (icmp(7)), else a raw one (raw(7)).
"""

import errno
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.senses.binding import Via, open_socket
from agent.senses.icmp_codec import ECHO_REPLY
from bus.errors import UnavailableError

_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1  # raw(7) and linux/icmp.h: a mask of the types that are NOT let through
_ICMPV6_FILTER: Final = 1
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_ERRORS_AT_ONCE: Final = 64
_NO_RIGHT: Final = (
    "no right to send ICMP: net.ipv4.ping_group_range ({range}) leaves our group out and CAP_NET_RAW is missing; "
    "give the service AmbientCapabilities=CAP_NET_RAW, or set the range"
)


def open_icmp(version: int, via: Via) -> tuple[socket.socket, bool]:
    """An ICMP socket and whether it is raw; `UnavailableError` where we may have neither kind."""
    family, proto = (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    raw = False
    try:
        made = open_socket(family, socket.SOCK_DGRAM, via, proto)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT}:
            raise
        try:
            made = open_socket(family, socket.SOCK_RAW, via, proto)
        except PermissionError as refused:
            raise UnavailableError(_NO_RIGHT.format(range=_ping_group_range())) from refused
        raw = True
        _let_only_replies_through(made, version)
    if version == 4:
        made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    return made, raw


def _let_only_replies_through(raw: socket.socket, version: int) -> None:
    """A raw socket sees every ICMP packet of the box otherwise, and wakes us for each."""
    kind = ECHO_REPLY[version]
    mask = [0xFFFFFFFF] * (1 if version == 4 else 8)
    mask[kind // 32] &= ~(1 << kind % 32)
    level, option = (_SOL_RAW, _ICMP_FILTER) if version == 4 else (socket.IPPROTO_ICMPV6, _ICMPV6_FILTER)
    raw.setsockopt(level, option, struct.pack(f"={len(mask)}I", *mask))


def read_error_queue(source: socket.socket) -> Iterator[tuple[bytes, int]]:
    """What ICMP errors quote of our packets, with the errno each stands for."""
    for _ in range(_ERRORS_AT_ONCE):
        try:
            quoted, ancillary, _, _ = source.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, data in ancillary:
            if (level, kind) in {(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)}:
                yield quoted, struct.unpack_from("=I", data)[0]


def _ping_group_range() -> str:
    try:
        return " ".join(Path("/proc/sys/net/ipv4/ping_group_range").read_text(encoding="ascii").split())
    except OSError:
        return "unknown"
