"""What systemd is told of a part: ready, alive, stopping (sd_notify(3)), and a watchdog that only progress feeds.

A part that runs but no longer gets anywhere must be restarted, so being alive is not enough: each loop that matters
has a name and a limit, and reports each turn. The watchdog is fed only while none is over its limit.
"""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

_WATCHDOG_MARGIN: Final = 3  # feed three times within systemd's limit


def notify(message: str) -> bool:
    """Send one message to systemd; False when it did not start us, or its socket is gone."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(1)  # systemd too busy to read must not stop us
            connection.connect(address)
            connection.sendall(message.encode())
    except OSError:
        return False
    return True


def watchdog_interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often to feed systemd's watchdog, in seconds; None when it watches no one, or another process."""
    try:
        limit_us = int(environment.get("WATCHDOG_USEC", "0"))
        watched = int(environment.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return limit_us / 1e6 / _WATCHDOG_MARGIN if limit_us > 0 and watched == os.getpid() else None


class Progress:
    """When each loop last got somewhere. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], limits_s: Mapping[str, float]) -> None:
        self._clock = clock
        self._limits_s = dict(limits_s)
        now = clock()
        self._turns = dict.fromkeys(limits_s, now)

    def turn(self, loop: str) -> None:
        """`loop` has done a round of its work."""
        self._turns[loop] = self._clock()

    def stuck(self) -> list[str]:
        """The loops that are over their limit, by name; the watchdog is not fed while there is one."""
        now = self._clock()
        return sorted(loop for loop, turned in self._turns.items() if now - turned > self._limits_s[loop])
