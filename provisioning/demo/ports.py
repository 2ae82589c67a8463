"""Free loopback ports for parts that will bind them a moment later.

Nothing holds a port between our look and the part's own bind, so a part may still find it taken; the demo then starts
again with others. Ports are drawn at random from below the kernel's ephemeral range, so that no outgoing connection
takes one, and two demos rarely look at the same.
"""

import random
import socket
from pathlib import Path
from typing import Final

from bus.errors import UnavailableError

LOOPBACK: Final = "127.0.0.1"
_FIRST: Final = 15_000
_TRIES: Final = 500


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Ports:
    """Gives out ports, each once."""

    def __init__(self, draw: random.Random | None = None) -> None:
        self._draw = draw or random.SystemRandom()
        self._given: set[int] = set()
        self._last = max(_ephemeral_first() - 1, _FIRST + 1000)

    def take(self) -> int:
        """A port that nobody listens on. `UnavailableError` when none is found."""
        for _ in range(_TRIES):
            port = self._draw.randint(_FIRST, self._last)
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise UnavailableError(f"no free loopback port between {_FIRST} and {self._last} in {_TRIES} tries")


def _ephemeral_first() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
