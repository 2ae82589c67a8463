"""What passes between the two halves of a link: the event loop's (`bus.link`) and whoever speaks MQTT (`bus.mqtt`).

The loop gives commands for one connection; the driver carries them out while that connection stands, and calls the
link back, in the event loop, with what happened. A `Connection` is the loop's own: the driver only hands it back.
"""

import asyncio
import collections
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, eq=False, slots=True)
class Publish:
    """Command: publish. `properties` is the driver's own form of them, `size` the bytes of the packet."""

    topic: str
    body: bytes
    properties: Any
    retain: bool
    qos: int
    size: int


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Command: acknowledge message `mid`."""

    mid: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Command: subscribe."""

    filter: str


Command = Publish | Acknowledge | Subscribe


@dataclass(eq=False, slots=True)
class Arrival:
    """A message not yet acknowledged; `handlers` are still at work on it."""

    connection: "Connection"
    mid: int
    qos: int
    handlers: int


@dataclass(eq=False, slots=True)
class Connection:
    """What the event loop knows of one connection. `max_packet_bytes` is the broker's; 0: it sets none."""

    limit: int = 1
    max_packet_bytes: int = 0
    in_flight: int = 0
    waiters: collections.deque[asyncio.Future[None]] = field(default_factory=collections.deque)
    unacknowledged: dict[Publish, asyncio.Future[int]] = field(default_factory=dict)
    arrivals: collections.deque[Arrival] = field(default_factory=collections.deque)

    def wake_one(self) -> None:
        """Let the next caller that waits for a place in the window try again."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class Driver(Protocol):
    """Whoever speaks MQTT for a link."""

    client_id: str
    where: str

    def is_alive(self) -> bool:
        """It has begun and not ended."""

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect, stay connected, report into `loop`."""

    def prepare(
        self,
        topic: str,
        body: bytes,
        *,
        content_type: str,
        user_properties: Iterable[tuple[str, str]],
        expiry_s: int | None,
        retain: bool,
        qos: int,
    ) -> Publish:
        """Make the command; `WrongInputError` for what MQTT cannot say."""

    def do(self, connection: Connection, command: Command) -> None:
        """Carry out a command, if `connection` still stands then."""

    async def end(self) -> None:
        """Disconnect and end, in under a second."""
