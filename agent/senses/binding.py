"""Which way a probe leaves the box, so that each of two uplinks can be asked on its own.

A port is bound with SO_BINDTODEVICE: the kernel then only uses routes through it, a spare's default route of higher
metric included. A source address alone leaves the choice to the routing rules.
"""

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Via:
    """By a port, from a source address, both, or (empty) as the routing table says."""

    port: str = ""
    source: str = ""


ANY = Via()


def open_socket(family: int, kind: int, via: Via, proto: int = 0) -> socket.socket:
    """A non-blocking socket bound as `via` says. `OSError` when the port or address is not there."""
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, proto)
    try:
        if via.port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, via.port.encode() + b"\0")
        if via.source:
            made.bind((via.source, 0))
    except OSError:
        made.close()
        raise
    return made
