"""The one file that knows paho: an MQTT 5 link to a broker, for asyncio.

What always holds:

- A message is published only while connected; `publish` returns once the broker has acknowledged it (which says that
  a broker holds it in memory, no more) and raises where it has not. Nothing is queued for a later connection.
- What comes down is acknowledged after its handlers are done, in order of arrival (MQTT 5, 4.6). A handler that raises
  is logged and counted, and the message is acknowledged: it would only come again and fail again.
- Every connection starts clean, and subscribes to everything again before anyone is told that it is up.
- Never more in flight than the broker's receive maximum (MQTT 5, 3.2.2.3.3) and our own window.

paho's own reconnecting, queueing and in-flight limit are not used (after a reconnect it sends its whole queue whatever
the limit says): each connection is a fresh paho client, driven by one thread that alone touches it. The event loop's
half is `bus.link`. What to send and when is the business of the callers.
"""

import asyncio
import collections
import contextlib
import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bus.backoff import Backoff
from bus.config import BrokerConfig
from bus.driver import Acknowledge, Command, Connection, Publish, Subscribe
from bus.errors import WrongInputError
from bus.link import Incoming, LinkBase, LinkCounters, Listener, Will
from bus.logs import fields

__all__ = ["Backoff", "Incoming", "Link", "LinkCounters", "Will"]

log = logging.getLogger(__name__)

_KEEPALIVE_S: Final = 15
_CONNECT_TIMEOUT_S: Final = 10.0
_STABLE_S: Final = 10.0  # a connection that held this long was good: the next failure is a first one
_GOODBYE_S: Final = 0.5  # for the DISCONNECT packet
_END_S: Final = 0.8
_FAILURE: Final = 0x80
_TOPIC_INVALID: Final = 0x90
_BACKOFF: Final = Backoff()


class Link(LinkBase):
    """One client's connection to one broker, kept up until `close`. Use it inside one event loop."""

    def __init__(
        self,
        broker: BrokerConfig,
        client_id: str,
        *,
        will: Will | None = None,
        on_connect: Listener | None = None,
        on_disconnect: Listener | None = None,
        backoff: Backoff = _BACKOFF,
        window: int = 64,
        receive_window: int = 64,
        max_packet_bytes: int = 2 * 1024 * 1024,
    ) -> None:
        """`window` and `receive_window` bound the QoS 1 messages on their way up and down, in messages."""
        super().__init__(window=window)
        self.watch(on_connect=on_connect, on_disconnect=on_disconnect)
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types it not
        connect.ReceiveMaximum = receive_window
        connect.MaximumPacketSize = max_packet_bytes
        self._driver = _Driver(self, broker, client_id, will=will, backoff=backoff, connect=connect)


class _Driver(threading.Thread):
    """The thread that owns paho. It tells the link what happens by calls into the event loop."""

    def __init__(
        self,
        link: Link,
        broker: BrokerConfig,
        client_id: str,
        *,
        will: Will | None,
        backoff: Backoff,
        connect: Properties,
    ) -> None:
        # A daemon, because name resolution and a connect into a black hole cannot be interrupted.
        super().__init__(name=f"mqtt-{client_id}", daemon=True)
        self.client_id = client_id
        self.where = f"{broker.host}:{broker.port}"
        self._link = link
        self._broker = broker
        self._will = will
        self._backoff = backoff
        self._connect_properties = connect
        self._commands: collections.deque[tuple[Connection, Command]] = collections.deque()
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.settimeout(0)
        self._ending = threading.Event()
        self._ended = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; it reports into `loop`."""
        self._loop = loop
        self.start()

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
        if not topic or "+" in topic or "#" in topic:
            raise WrongInputError(f"topic {topic!r} cannot be published to")
        properties = _properties(PacketTypes.PUBLISH, content_type, user_properties)
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        packed: bytes = properties.pack()  # type: ignore[no-untyped-call]  # paho types it not
        size = 9 + len(topic.encode()) + len(packed) + len(body)
        return Publish(topic, body, properties, retain, qos, size)

    def do(self, connection: Connection, command: Command) -> None:
        """Have the thread carry out a command, if `connection` still stands then."""
        self._commands.append((connection, command))
        self._wake()

    async def end(self) -> None:
        """Disconnect and end the thread; leave it behind where it is stuck in a connect."""
        self._ending.set()
        if not self.is_alive():
            self._wake_reader.close()
            self._wake_writer.close()
            return
        self._wake()
        try:
            await asyncio.wait_for(self._ended.wait(), _END_S)
        except TimeoutError:
            log.info("left a connect behind %s", fields(client=self.client_id, broker=self.where))

    def run(self) -> None:
        """Connect and serve, again and again, until told to end."""
        failures = 0
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._connect_and_serve()
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; paho and ssl raise ValueError
                self._link.counters.connect_failures += 1
                if failures in (0, 5) or failures % 60 == 0:
                    log.warning("broker not reached %s", fields(client=self.client_id, broker=self.where, error=error))
            except Exception:
                self._link.counters.faults += 1
                log.exception("link fault %s", fields(client=self.client_id))
            held = time.monotonic() - began
            failures = 1 if held >= _STABLE_S else failures + 1
            self._ending.wait(self._backoff.delay_s(failures - 1, random.random()))  # noqa: S311  # jitter, no secret
        self._wake_reader.close()
        self._wake_writer.close()
        self._tell(self._ended.set)

    def _connect_and_serve(self) -> None:
        connection = Connection()
        session = _Session(self._link, connection, self._tell)
        client = session.client(self.client_id, self._broker, self._will)
        try:
            client.connect(
                self._broker.host,
                self._broker.port,
                keepalive=_KEEPALIVE_S,
                clean_start=True,
                properties=self._connect_properties,
            )
            self._serve(client, session)
            if not session.accepted and not self._ending.is_set():
                raise ConnectionError(session.lost)
        finally:
            if (left := client.socket()) is not None:
                left.close()
            session.close()
            self._tell(self._link.went_down, connection, session.lost)

    def _serve(self, client: paho.Client, session: "_Session") -> None:
        goodbye_until = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_reader, selectors.EVENT_READ)
            wanted = 0
            while (current := client.socket()) is not None:
                want = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
                if want != wanted:
                    (selector.modify if wanted else selector.register)(current, want)
                    wanted = want
                ready = selector.select(0 if _pending(current) else 0.1 if goodbye_until else 1.0)
                with contextlib.suppress(BlockingIOError):
                    self._wake_reader.recv(4096)
                self._run_commands(client, session)
                if any(key.fileobj is current for key, _ in ready) or _pending(current):
                    client.loop_read()
                if client.want_write():
                    client.loop_write()
                client.loop_misc()
                if self._ending.is_set():
                    if not goodbye_until:
                        goodbye_until = time.monotonic() + _GOODBYE_S
                        client.disconnect()
                    elif time.monotonic() > goodbye_until:
                        return

    def _run_commands(self, client: paho.Client, session: "_Session") -> None:
        while self._commands:
            wanted, command = self._commands.popleft()
            if wanted is session.connection:  # else meant for a connection that is gone, and its caller was told
                session.carry_out(client, command)

    def _tell(self, call: Callable[..., object], *arguments: Any) -> None:
        assert self._loop is not None, "BUG: the thread runs before begin()"  # noqa: S101
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop was closed without close(): nobody is left to tell
            self._ending.set()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._wake_writer.send(b"\0")


class _Session:
    """One connection as paho sees it: its callbacks, and what has been sent and not yet answered."""

    def __init__(self, link: Link, connection: Connection, tell: Callable[..., None]) -> None:
        self.connection: Final = connection
        self.accepted = False
        self.lost = "connection closed"
        self._link = link
        self._tell = tell
        self._sent: dict[int, Publish] = {}
        self._subscribing: set[int] = set()
        self._tls: _TlsContext | None = None

    def close(self) -> None:
        """Close what paho leaves open when the TLS handshake fails."""
        if self._tls is not None and self._tls.opened is not None:
            self._tls.opened.close()

    def client(self, client_id: str, broker: BrokerConfig, will: Will | None) -> paho.Client:
        """A fresh paho client; `OSError` where the TLS files cannot be used."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages = 0  # no limit of paho's: the window is the link's
        client.connect_timeout = _CONNECT_TIMEOUT_S
        if broker.tls is not None:
            # Read anew at each connect: certificates are renewed while we run.
            self._tls = _TlsContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.load_verify_locations(broker.tls.ca)
            self._tls.load_cert_chain(broker.tls.cert, broker.tls.key)
            client.tls_set_context(self._tls)
        if will is not None:
            properties = _properties(PacketTypes.WILLMESSAGE, will.content_type, will.user_properties)
            client.will_set(will.topic, will.body, qos=1, retain=True, properties=properties)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def carry_out(self, client: paho.Client, command: Command) -> None:
        """Do what the event loop asks for."""
        match command:
            case Publish():
                self._publish(client, command)
            case Acknowledge():
                client.ack(command.mid, 1)
            case Subscribe():
                _, mid = client.subscribe([(command.filter, SubscribeOptions(qos=1))])
                if mid is not None:
                    self._subscribing.add(mid)

    def _publish(self, client: paho.Client, command: Publish) -> None:
        try:
            info = client.publish(command.topic, command.body, command.qos, command.retain, command.properties)
        except ValueError:
            self._tell(self._link.acknowledged, self.connection, command, _TOPIC_INVALID)
            return
        if command.qos:
            self._sent[info.mid] = command  # where it did not get out, the connection is gone and `went_down` says so
        elif info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._tell(self._link.acknowledged, self.connection, command, 0)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, answer: Any) -> None:
        if reason.value >= _FAILURE:
            self.lost = f"refused: {reason}"
            return
        self.accepted = True
        limit = getattr(answer, "ReceiveMaximum", 65535)
        self._tell(self._link.came_up, self.connection, limit, getattr(answer, "MaximumPacketSize", 0))

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _answer: Any) -> None:
        if not self.lost.startswith("refused"):
            self.lost = f"{'broker' if flags.is_disconnect_packet_from_server else 'network'}: {reason}"

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: list[ReasonCode], _answer: Any) -> None:
        self._subscribing.discard(mid)
        if any(reason.value >= _FAILURE for reason in reasons):
            self._link.counters.subscribe_refused += 1
            log.error("subscription refused %s", fields(reason=reasons[0]))
        if not self._subscribing:
            self._tell(self._link.subscribed, self.connection)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _answer: Any) -> None:
        if (command := self._sent.pop(mid, None)) is not None:
            self._tell(self._link.acknowledged, self.connection, command, reason.value)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # no filter covers it: it is counted, and acknowledged in its turn
        properties = message.properties
        incoming = Incoming(
            topic=topic,
            body=bytes(message.payload),
            content_type=getattr(properties, "ContentType", ""),
            user_properties=tuple(getattr(properties, "UserProperty", ())),
            retain=message.retain,
        )
        self._tell(self._link.arrived, self.connection, incoming, message.mid, message.qos)


class _TlsContext(ssl.SSLContext):
    """Verifies the broker's name and authority, and remembers the socket it made."""

    opened: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        self.opened = super().wrap_socket(*arguments, **options)
        return self.opened


def _no_delay(_client: paho.Client, _data: Any, opened: Any) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _pending(opened: Any) -> bool:
    """Bytes that TLS has read already and that no selector will announce."""
    return isinstance(opened, ssl.SSLSocket) and opened.pending() > 0


def _properties(packet: int, content_type: str, user_properties: Iterable[tuple[str, str]]) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho types it not
    if content_type:
        properties.ContentType = content_type
    if pairs := list(user_properties):
        properties.UserProperty = pairs
    return properties
