"""The half of an MQTT link that lives in the event loop: who is told what, windows, acknowledgements in order.

It knows no MQTT library: a `Driver` (`bus.mqtt`) carries out commands and reports by calling `came_up`, `subscribed`,
`acknowledged`, `arrived` and `went_down` in the event loop. What always holds is said in `bus.mqtt`, whose `Link` is
what the parts use. Everything here runs in one event loop; nothing needs a lock.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from bus.driver import Acknowledge, Arrival, Connection, Driver, Publish, Subscribe
from bus.envelope import Sealed
from bus.errors import CommuneError, UnavailableError, UntrustedError, WrongInputError
from bus.logs import fields

log = logging.getLogger(__name__)

UserProperties = tuple[tuple[str, str], ...]

SIGNATURE: Final = "sig"  # the user property that carries one signature of the envelope

_HANDLERS_END_S: Final = 0.5  # what running handlers get when the link closes
_QOS0_WAITING: Final = 256  # QoS 0 has no window: beyond this many waiting for their handler, the newest is dropped
_FAILURE: Final = 0x80  # reason codes from here on are refusals (MQTT 5, 2.4)
_NOT_AUTHORIZED: Final = 0x87
_WRONG: Final = frozenset({0x90, 0x95, 0x99})  # topic name invalid, packet too large, payload format invalid


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message that came down. `retain` says that the broker had it stored, so it may be old."""

    topic: str
    body: bytes
    content_type: str
    user_properties: UserProperties
    retain: bool

    @property
    def sealed(self) -> Sealed:
        """The message as the envelope wants it. Nothing is verified yet."""
        return Sealed(self.body, self.content_type, tuple(v for k, v in self.user_properties if k == SIGNATURE))


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when this client is lost."""

    topic: str
    body: bytes
    content_type: str
    user_properties: UserProperties = ()


@dataclass(slots=True)
class LinkCounters:
    """What happened on a link since the process started. Every drop is here."""

    connects: int = 0
    connect_failures: int = 0
    disconnects: int = 0
    published: int = 0
    publish_refused: int = 0
    received: int = 0
    unmatched: int = 0
    dropped_qos0: int = 0
    handler_errors: int = 0
    subscribe_refused: int = 0
    faults: int = 0


Handler = Callable[[Incoming], Awaitable[None] | None]
Listener = Callable[[], Awaitable[None] | None]


@dataclass(eq=False, slots=True)
class _Subscription:
    filter: str
    handler: Handler
    workers: int
    queue: asyncio.Queue[tuple[Incoming, Arrival] | None] = field(default_factory=asyncio.Queue)

    def matches(self, topic: str) -> bool:
        shared = self.filter.startswith("$share/")
        return filter_matches(self.filter.split("/", 2)[2] if shared else self.filter, topic)


class LinkBase:
    """One client's connection to one broker, kept up until `close`."""

    _driver: Driver

    def __init__(self, *, window: int) -> None:
        self.counters: Final = LinkCounters()
        self._window = window
        self._listeners: list[tuple[Listener | None, Listener | None]] = []
        self._subscriptions: list[_Subscription] = []
        self._connection: Connection | None = None
        self._up = asyncio.Event()
        self._closing = False
        self._workers: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._waiting_qos0 = 0

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Connected, and every subscription has been answered."""
        return self._up.is_set()

    def watch(self, *, on_connect: Listener | None = None, on_disconnect: Listener | None = None) -> None:
        """Call these at each connect (once subscribed) and at each loss of the connection."""
        self._listeners.append((on_connect, on_disconnect))

    def subscribe(self, topic_filter: str, handler: Handler, *, workers: int = 1) -> None:
        """Hand what matches to `handler`, in order of arrival; with more `workers`, that many at a time, in no order.

        `$share/<group>/<filter>` shares the messages among the clients of the group. Where filters of one link overlap,
        a message may come more than once. May be called before `start` or at any time after.
        """
        subscription = _Subscription(topic_filter, handler, workers)
        self._subscriptions.append(subscription)
        if self._driver.is_alive():
            self._start_workers(subscription)
        if self._connection is not None:
            self._driver.do(self._connection, Subscribe(topic_filter))

    def start(self) -> None:
        """Connect, and stay so."""
        for subscription in self._subscriptions:
            self._start_workers(subscription)
        self._driver.begin(asyncio.get_running_loop())

    async def ready(self) -> None:
        """Wait until connected and subscribed."""
        await self._up.wait()

    async def publish(
        self,
        topic: str,
        body: bytes,
        *,
        content_type: str = "",
        user_properties: Iterable[tuple[str, str]] = (),
        expiry_s: int | None = None,
        retain: bool = False,
        qos: int = 1,
    ) -> None:
        """Publish and wait for the broker's acknowledgement (QoS 0: until it is handed to the kernel).

        `UnavailableError` while not connected, when the connection is lost before the answer, or on a refusal that may
        pass; `UntrustedError` where the broker's access list forbids it; `WrongInputError` where it will never do.
        A cancellation here leaves it open whether the broker has the message.
        """
        connection = self._connection
        if connection is None or not self._up.is_set():
            raise UnavailableError("the broker is not connected; publish again once it is")
        command = self._driver.prepare(
            topic,
            body,
            content_type=content_type,
            user_properties=user_properties,
            expiry_s=expiry_s,
            retain=retain,
            qos=qos,
        )
        if 0 < connection.max_packet_bytes < command.size:
            taken = connection.max_packet_bytes
            raise WrongInputError(f"{topic}: the message has {command.size} bytes, the broker takes {taken} at most")
        await self._take_place(connection)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        connection.unacknowledged[command] = answer
        self._driver.do(connection, command)
        reason = await answer
        if reason >= _FAILURE:
            self.counters.publish_refused += 1
            raise _refusal(topic, reason)
        self.counters.published += 1

    async def publish_sealed(
        self, topic: str, sealed: Sealed, *, expiry_s: int | None = None, retain: bool = False, qos: int = 1
    ) -> None:
        """Publish a signed message; errors as `publish`."""
        await self.publish(
            topic,
            sealed.body,
            content_type=sealed.content_type,
            user_properties=[(SIGNATURE, signature) for signature in sealed.signatures],
            expiry_s=expiry_s,
            retain=retain,
            qos=qos,
        )

    async def close(self) -> None:
        """Let running handlers end, say goodbye, and be gone within 2 s whatever the broker does."""
        if self._closing:
            return
        self._closing = True
        for subscription in self._subscriptions:
            while not subscription.queue.empty():  # not acknowledged: whoever sent it sends it again
                subscription.queue.get_nowait()
            for _ in range(subscription.workers):
                subscription.queue.put_nowait(None)
        if self._workers:
            await asyncio.wait(self._workers, timeout=_HANDLERS_END_S)
        await self._driver.end()
        self.went_down(self._connection, "closed")
        left = [task for task in (*self._workers, *self._calls) if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def came_up(self, connection: Connection, limit: int, max_packet_bytes: int) -> None:
        """The broker accepted us; nobody is told before the subscriptions are answered."""
        connection.limit = min(limit, self._window)
        connection.max_packet_bytes = max_packet_bytes
        self._connection = connection
        for subscription in self._subscriptions:
            self._driver.do(connection, Subscribe(subscription.filter))
        if not self._subscriptions:
            self.subscribed(connection)

    def subscribed(self, connection: Connection) -> None:
        """Every subscription sent so far has been answered."""
        if connection is not self._connection or self._up.is_set() or self._closing:
            return
        self._up.set()
        self.counters.connects += 1
        log.info("broker connected %s", fields(client=self._driver.client_id, broker=self._driver.where))
        self._tell(on_connect for on_connect, _ in self._listeners)

    def went_down(self, connection: Connection | None, reason: str) -> None:
        """The connection is gone: whoever waits for an acknowledgement learns it."""
        if connection is None or connection is not self._connection:
            return
        self._connection = None
        for answer in connection.unacknowledged.values():
            if not answer.done():
                answer.set_exception(UnavailableError(f"the broker went away before it acknowledged: {reason}"))
        connection.unacknowledged.clear()
        while connection.waiters:
            connection.wake_one()
        if self._up.is_set():
            self._up.clear()
            if self._closing:
                return
            self.counters.disconnects += 1
            log.warning("broker lost %s", fields(client=self._driver.client_id, reason=reason))
            self._tell(on_disconnect for _, on_disconnect in self._listeners)

    def acknowledged(self, connection: Connection, command: Publish, reason: int) -> None:
        """The broker answered a publish."""
        answer = connection.unacknowledged.pop(command, None)
        connection.in_flight -= 1
        connection.wake_one()
        if answer is not None and not answer.done():
            answer.set_result(reason)

    def arrived(self, connection: Connection, incoming: Incoming, mid: int, qos: int) -> None:
        """Queue a message for its handlers."""
        self.counters.received += 1
        if self._closing:
            return
        wanted = [subscription for subscription in self._subscriptions if subscription.matches(incoming.topic)]
        if not wanted:
            self.counters.unmatched += 1
        if qos == 0:
            if self._waiting_qos0 >= _QOS0_WAITING:
                self.counters.dropped_qos0 += 1
                return
            self._waiting_qos0 += len(wanted)
        arrival = Arrival(connection, mid, qos, len(wanted))
        if qos:
            connection.arrivals.append(arrival)
        for subscription in wanted:
            subscription.queue.put_nowait((incoming, arrival))
        self._acknowledge(connection)

    async def _take_place(self, connection: Connection) -> None:
        while connection.in_flight >= connection.limit and connection is self._connection:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            connection.waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                connection.wake_one()  # the place may have been meant for us
                raise
        if connection is not self._connection:
            raise UnavailableError("the broker went away while the message waited for its turn")
        connection.in_flight += 1

    def _start_workers(self, subscription: _Subscription) -> None:
        for _ in range(subscription.workers):
            _spawn(self._work(subscription), self._workers)

    async def _work(self, subscription: _Subscription) -> None:
        while (item := await subscription.queue.get()) is not None:
            incoming, arrival = item
            try:
                result = subscription.handler(incoming)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                self.counters.handler_errors += 1
                log.exception("handler failed %s", fields(filter=subscription.filter, topic=incoming.topic))
            arrival.handlers -= 1
            if arrival.qos == 0:
                self._waiting_qos0 -= 1
            self._acknowledge(arrival.connection)

    def _acknowledge(self, connection: Connection) -> None:
        while connection.arrivals and connection.arrivals[0].handlers == 0:
            self._driver.do(connection, Acknowledge(connection.arrivals.popleft().mid))

    def _tell(self, listeners: Iterable[Listener | None]) -> None:
        for listener in listeners:
            if listener is not None:
                _spawn(self._call(listener), self._calls)

    async def _call(self, listener: Listener) -> None:
        try:
            result = listener()
            if inspect.isawaitable(result):
                await result
        except UnavailableError as error:  # lost again meanwhile: the next connect calls again
            log.info("connection listener gave up %s", fields(error=error))
        except Exception:
            self.counters.handler_errors += 1
            log.exception("connection listener failed")


def filter_matches(topic_filter: str, topic: str) -> bool:
    """Does an MQTT filter cover a topic (MQTT 5, 4.7; a leading wildcard never covers `$...`)?"""
    wanted, found = topic_filter.split("/"), topic.split("/")
    if found[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for depth, level in enumerate(wanted):
        if level == "#":
            return True
        if depth >= len(found) or level not in ("+", found[depth]):
            return False
    return len(wanted) == len(found)


def _spawn(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _refusal(topic: str, reason: int) -> CommuneError:
    said = f"the broker refused a message to {topic} with reason 0x{reason:02x}"
    if reason == _NOT_AUTHORIZED:
        return UntrustedError(f"{said} (not authorized): its access list does not let this client write there")
    if reason in _WRONG:
        return WrongInputError(said)
    return UnavailableError(said)
