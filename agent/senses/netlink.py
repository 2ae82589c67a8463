"""The kernel's doorbell: it rings when a link, an address or a route changes (rtnetlink(7), multicast groups).

Messages are not decoded: they only say "look again", so that a lost or unknown one costs nothing. On ENOBUFS the kernel
dropped some, which rings as well and is counted.
"""

import errno
import socket
from typing import Final

_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # RTMGRP_LINK | IPV4_IFADDR | IPV4_ROUTE | IPV6_IFADDR | IPV6_ROUTE
_BATCH: Final = 256


class Doorbell:
    """A raw AF_NETLINK socket in the network namespace of the process. `fileno` is for the event loop."""

    def __init__(self, *, receive_bytes: int | None = None) -> None:
        self.overflows = 0
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.bind((0, _GROUPS))

    def fileno(self) -> int:
        """For `loop.add_reader`."""
        return self._socket.fileno()

    def drain(self) -> int:
        """Take what has rung off the socket; returns how often, an overflow counting as one."""
        rung = 0
        for _ in range(_BATCH):
            try:
                self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overflows += 1
            rung += 1
        return rung

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
