"""The link against a real Mosquitto: what it promises when all is well, and when the broker is killed or mute."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bus import topics
from bus.backoff import Backoff
from bus.config import BrokerConfig, TlsConfig
from bus.envelope import Sealed
from bus.errors import UnavailableError, UntrustedError, WrongInputError
from bus.mqtt import Incoming, Link, Will
from provisioning.mosquitto import Bridge
from tests.broker import Broker
from tests.bus.certificates import Authority

QUICK = Backoff(first_s=0.05, cap_s=0.2)
_numbers = itertools.count()


def link(broker: Broker | BrokerConfig, name: str = "", **options: object) -> Link:
    config = broker.config if isinstance(broker, Broker) else broker
    return Link(config, name or f"link-{next(_numbers)}-{time.monotonic_ns()}", backoff=QUICK, **options)  # type: ignore[arg-type]  # as given


async def ready(*links: Link) -> None:
    for each in links:
        await asyncio.wait_for(each.ready(), 10)


async def until(holds: Callable[[], bool], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # what is awaited here has no event of its own
            await asyncio.sleep(0.01)


async def test_a_message_arrives_as_it_was_sent(broker: Broker, site: str) -> None:
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    async with link(broker) as receiver, link(broker) as sender:
        receiver.subscribe(f"{site}/#", inbox.put)
        await ready(receiver, sender)
        await sender.publish(
            f"{site}/a",
            b"\x00\xff body",
            content_type="application/x",
            user_properties=[("sig", "one"), ("sig", "two"), ("other", "Thanh Hóa")],
        )
        got = await asyncio.wait_for(inbox.get(), 5)
    assert got == Incoming(
        topic=f"{site}/a",
        body=b"\x00\xff body",
        content_type="application/x",
        user_properties=(("sig", "one"), ("sig", "two"), ("other", "Thanh Hóa")),
        retain=False,
    )
    assert got.sealed == Sealed(b"\x00\xff body", "application/x", ("one", "two"))


async def test_a_retained_message_says_so_to_whoever_comes_later(broker: Broker, site: str) -> None:
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    async with link(broker) as sender:
        await ready(sender)
        await sender.publish(f"{site}/kept", b"1", retain=True)
        await sender.publish(f"{site}/passing", b"2")
        async with link(broker) as receiver:
            receiver.subscribe(f"{site}/#", inbox.put)
            got = await asyncio.wait_for(inbox.get(), 5)
            await sender.publish(f"{site}/passing", b"3")
            later = await asyncio.wait_for(inbox.get(), 5)
        await sender.publish(f"{site}/kept", b"", retain=True)
    assert (got.body, got.retain) == (b"1", True)
    assert (later.body, later.retain) == (b"3", False)


async def test_an_expired_message_is_not_kept(broker: Broker, site: str) -> None:
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    async with link(broker) as sender:
        await ready(sender)
        await sender.publish(f"{site}/short", b"short", retain=True, expiry_s=1)
        await sender.publish(f"{site}/long", b"long", retain=True, expiry_s=60)
        await asyncio.sleep(2.2)  # the expiry is the broker's, on its own clock of whole seconds
        async with link(broker) as receiver:
            receiver.subscribe(f"{site}/+", inbox.put)
            await ready(receiver)
            await sender.publish(f"{site}/end", b"end")
            got = [(await asyncio.wait_for(inbox.get(), 5)).body for _ in range(2)]
        await sender.publish(f"{site}/long", b"", retain=True)
    assert got == [b"long", b"end"]


async def test_nothing_is_published_or_queued_while_offline(new_broker: Callable[[], Broker], site: str) -> None:
    broker = new_broker()
    inbox: list[bytes] = []
    async with link(broker) as sender, link(broker) as receiver:
        receiver.subscribe(f"{site}/#", lambda message: inbox.append(message.body))
        await ready(sender, receiver)
        broker.kill()
        await until(lambda: not sender.connected)
        with pytest.raises(UnavailableError):
            await sender.publish(f"{site}/a", b"lost")
        broker.start()
        await ready(sender, receiver)
        await sender.publish(f"{site}/a", b"kept")
        await until(lambda: bool(inbox))
        assert inbox == [b"kept"]


async def test_the_broker_killed_again_and_again_is_found_again_and_subscribed_to(
    new_broker: Callable[[], Broker], site: str
) -> None:
    broker = new_broker()
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    heard: list[str] = []
    async with (
        link(broker, on_connect=lambda: heard.append("up"), on_disconnect=lambda: heard.append("down")) as receiver,
        link(broker) as sender,
    ):
        receiver.subscribe(f"{site}/#", inbox.put)
        for turn in range(4):
            await ready(receiver, sender)
            await sender.publish(f"{site}/a", b"%d" % turn)
            assert (await asyncio.wait_for(inbox.get(), 5)).body == b"%d" % turn
            broker.kill()
            await until(lambda: not receiver.connected and not sender.connected)
            broker.start()
        await until(lambda: len(heard) >= 9)  # told after `ready`, in the same turn of the loop or in the next
        assert heard == ["up", "down"] * 4 + ["up"]
        assert receiver.counters.connects == 5


async def test_a_publish_whose_answer_never_comes_fails_with_the_connection(site: str) -> None:
    async with _mute_broker(acknowledge=False) as config, link(config) as sender:
        await ready(sender)
        waiting = asyncio.create_task(sender.publish(f"{site}/a", b"1"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        _cut(config)
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(waiting, 5)


async def test_the_window_holds_and_everyone_gets_a_turn(broker: Broker, site: str) -> None:
    most = 0
    inbox: list[bytes] = []
    async with link(broker, window=3) as sender, link(broker) as receiver:
        receiver.subscribe(f"{site}/#", lambda message: inbox.append(message.body))
        await ready(sender, receiver)

        async def send(number: int) -> None:
            nonlocal most
            await sender.publish(f"{site}/a", b"%d" % number)

        async def look() -> None:
            nonlocal most
            while True:
                connection = sender._connection
                assert connection is not None
                most = max(most, connection.in_flight, len(connection.unacknowledged))
                await asyncio.sleep(0)

        watcher = asyncio.create_task(look())
        sends = [asyncio.create_task(send(number)) for number in range(60)]
        sends[30].cancel()
        done = await asyncio.gather(*sends, return_exceptions=True)
        watcher.cancel()
        await until(lambda: len(inbox) >= 59)
    assert most == 3
    assert sum(isinstance(each, BaseException) for each in done) == 1


async def test_acknowledged_in_order_of_arrival_once_handlers_are_done() -> None:
    """A broker of our own sees the acknowledgements; the first message's handler ends last."""
    hold = asyncio.Event()
    done: list[bytes] = []

    async def handler(message: Incoming) -> None:
        if message.body == b"0":
            await hold.wait()
        done.append(message.body)

    async with _mute_broker(acknowledge=True, send=3) as config:
        receiver = link(config)
        receiver.subscribe("t/#", handler, workers=3)
        async with receiver:
            await until(lambda: len(done) == 2)
            assert _acknowledged(config) == []
            hold.set()
            await until(lambda: len(_acknowledged(config)) == 3)
    assert done == [b"1", b"2", b"0"]
    assert _acknowledged(config) == [1, 2, 3]


async def test_a_handler_that_raises_is_counted_and_the_next_message_comes(broker: Broker, site: str) -> None:
    inbox: list[bytes] = []

    def handler(message: Incoming) -> None:
        if message.body == b"bad":
            raise RuntimeError("a defect")
        inbox.append(message.body)

    async with link(broker) as sender, link(broker, receive_window=1) as receiver:
        receiver.subscribe(f"{site}/#", handler)
        await ready(sender, receiver)
        for body in (b"bad", b"bad", b"good"):
            await sender.publish(f"{site}/a", body)
        await until(lambda: inbox == [b"good"])
        assert receiver.counters.handler_errors == 2
        assert receiver.counters.faults == 0
        assert receiver.connected


async def test_a_shared_subscription_gives_each_message_to_one(broker: Broker, site: str) -> None:
    inboxes: list[list[bytes]] = [[], []]
    async with link(broker) as sender, link(broker) as one, link(broker) as two:
        for each, inbox in zip((one, two), inboxes, strict=True):
            each.subscribe(f"$share/{site}/{site}/+", lambda message, inbox=inbox: inbox.append(message.body))  # type: ignore[misc]  # lambda default
        await ready(sender, one, two)
        for number in range(40):
            await sender.publish(f"{site}/a", b"%d" % number)
        await until(lambda: sum(map(len, inboxes)) >= 40)
    assert sorted(inboxes[0] + inboxes[1], key=int) == [b"%d" % number for number in range(40)]
    assert all(inboxes)


async def test_a_message_of_many_times_a_packet_crosses(broker: Broker, site: str) -> None:
    body = bytes(range(256)) * 6000  # 1.5 MB
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    async with link(broker) as sender, link(broker) as receiver:
        receiver.subscribe(f"{site}/#", inbox.put)
        await ready(sender, receiver)
        await sender.publish(f"{site}/a", body)
        assert (await asyncio.wait_for(inbox.get(), 10)).body == body


async def test_what_the_broker_will_never_take_is_refused_at_once(broker: Broker, site: str) -> None:
    async with link(broker) as sender:
        await ready(sender)
        with pytest.raises(WrongInputError, match="takes 2097152 at most"):
            await sender.publish(f"{site}/a", bytes(2 * 1024 * 1024 + 1))
        for topic in ("", f"{site}/+", f"{site}/#"):
            with pytest.raises(WrongInputError):
                await sender.publish(topic, b"")
        assert sender.connected


async def test_the_access_list_says_no(tmp_path: Path, site: str) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite open/#\n")
    guarded = Broker(tmp_path / "guarded", extra=f"acl_file {rules}\n")
    guarded.start()
    try:
        async with link(guarded) as sender:
            await ready(sender)
            await sender.publish("open/a", b"")
            with pytest.raises(UntrustedError, match="not authorized"):
                await sender.publish(f"{site}/a", b"")
            assert sender.counters.publish_refused == 1
    finally:
        guarded.stop()


async def test_the_will_is_published_when_the_client_is_lost_and_not_when_it_says_goodbye(
    broker: Broker, site: str
) -> None:
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    will = Will(f"{site}/d/status", b"gone", "application/x", (("sig", "s"),))
    async with link(broker) as watcher:
        watcher.subscribe(f"{site}/+/status", inbox.put)
        await ready(watcher)
        polite = link(broker, will=Will(f"{site}/polite/status", b"gone", ""))
        async with polite:
            await ready(polite)
        async with _relay(broker) as through, link(through, will=will) as doomed:
            await ready(doomed)
            _cut(through)
            got = await asyncio.wait_for(inbox.get(), 5)
        await watcher.publish(f"{site}/d/status", b"", retain=True)
    assert (got.topic, got.body, got.content_type) == (f"{site}/d/status", b"gone", "application/x")
    assert got.user_properties == (("sig", "s"),)


async def test_a_bridge_carries_properties_and_expiry(tmp_path: Path, site: str) -> None:
    """What waits for a cut bridge longer than its expiry is gone; the rest arrives whole, signatures and all."""
    province = Broker(tmp_path / "province")
    province.start()
    commune = Broker(tmp_path / "commune", bridge=Bridge(site=site, host=province.host, port=province.port))
    commune.start()
    topic = topics.reported(site, "d")
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    try:
        async with link(commune) as sender, link(province) as receiver:
            await ready(sender, receiver)
            receiver.subscribe(topics.up(site, "d"), inbox.put)
            async with asyncio.timeout(20):
                while inbox.empty():  # the bridge comes up when it likes
                    await sender.publish(topics.up(site, "d"), b"x", user_properties=[("sig", "s")], content_type="t")
                    await asyncio.sleep(0.1)
            got = await inbox.get()
            assert (got.user_properties, got.content_type) == ((("sig", "s"),), "t")
            await sender.publish(topic, b"short", retain=True, expiry_s=1)
            await asyncio.sleep(2.2)  # the brokers' own clocks of whole seconds
            late: asyncio.Queue[Incoming] = asyncio.Queue()
            receiver.subscribe(topics.reported(site, "+"), late.put)
            await sender.publish(topics.reported(site, "e"), b"long", retain=True, expiry_s=60)
            assert (await asyncio.wait_for(late.get(), 10)).body == b"long"
    finally:
        commune.stop()
        province.stop()


@pytest.mark.parametrize("case", ["healthy", "killed", "mute", "black hole", "never started"])
async def test_it_is_gone_within_two_seconds_whatever_the_broker_does(
    new_broker: Callable[[], Broker], site: str, case: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        config: BrokerConfig
        if case == "mute":
            config = await stack.enter_async_context(_mute_broker(acknowledge=False))
        elif case == "black hole":
            config = BrokerConfig(host="192.0.2.1")  # RFC 5737: nobody answers there
        else:
            broker = new_broker()
            config = broker.config
        subject = link(config)

        async def slow(_: Incoming) -> None:
            await asyncio.sleep(30)

        subject.subscribe(f"{site}/#", slow)
        waiting: asyncio.Task[None] | None = None
        if case != "never started":
            subject.start()
        if case in ("healthy", "killed", "mute"):
            await ready(subject)
            waiting = asyncio.create_task(subject.publish(f"{site}/a", b"x"))
            await asyncio.sleep(0.1)
        if case == "killed":
            broker.kill()
        began = time.monotonic()
        await subject.close()
        assert time.monotonic() - began < 2
        if waiting is not None:
            await asyncio.gather(waiting, return_exceptions=True)
            assert waiting.done()
        if case == "black hole":
            assert not subject.connected


async def test_a_client_certificate_opens_the_door_and_another_authoritys_does_not(tmp_path: Path, site: str) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "stranger")
    secure = Broker(tmp_path / "secure", tls=authority.issue("broker"))
    secure.start()
    inbox: asyncio.Queue[Incoming] = asyncio.Queue()
    body = bytes(300_000)

    def config(tls: TlsConfig | None) -> BrokerConfig:
        return BrokerConfig(host=secure.host, port=secure.port, tls=tls)

    ours = authority.issue("device")
    foreign = stranger.issue("device")
    mixed = TlsConfig(ca=ours.ca, cert=foreign.cert, key=foreign.key)
    missing = TlsConfig(ca=ours.ca, cert=str(tmp_path / "none.pem"), key=ours.key)
    try:
        async with link(config(ours)) as good:
            good.subscribe(f"{site}/#", inbox.put)
            await ready(good)
            await good.publish(f"{site}/a", body)
            assert (await asyncio.wait_for(inbox.get(), 10)).body == body
            secure.kill()
            await until(lambda: not good.connected)
            secure.start()
            await ready(good)
        for wrong in (foreign, mixed, missing, None):
            async with link(config(wrong)) as bad:
                await until(lambda bad=bad: bad.counters.connect_failures + bad.counters.disconnects >= 1)  # type: ignore[misc]  # lambda default
                assert not bad.connected
    finally:
        secure.stop()


async def test_two_clients_of_one_name_do_not_bring_each_other_to_a_frenzy(broker: Broker) -> None:
    """Each takes the session over from the other; backoff must grow although every connect succeeds."""
    slow = Backoff(first_s=0.05, cap_s=60)
    one, two = (Link(broker.config, "twin", backoff=slow) for _ in range(2))
    async with one, two:
        await asyncio.sleep(2)
        assert one.counters.connects + two.counters.connects < 40


# A broker of our own, small enough to misbehave on purpose: it accepts, subscribes, and may keep silent on publishes.

_fakes: dict[int, "_Fake"] = {}


class _Fake:
    def __init__(self, *, acknowledge: bool, send: int) -> None:
        self.acknowledge = acknowledge
        self.send = send
        self.acknowledged: list[int] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind = (await reader.readexactly(1))[0]
                size = shift = 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    size |= (byte & 127) << shift
                    shift += 7
                    if not byte & 128:
                        break
                self._answer(kind, await reader.readexactly(size), writer)
        writer.close()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind >> 4 == 1:
            writer.write(bytes([0x20, 3, 0, 0, 0]))
        elif kind >> 4 == 8:
            writer.write(bytes([0x90, 4]) + body[:2] + bytes([0, 1]))
            for number in range(self.send):
                packet = b"\x00\x03t/a" + (number + 1).to_bytes(2) + b"\x00" + b"%d" % number
                writer.write(bytes([0x32, len(packet)]) + packet)
        elif kind >> 4 == 4:
            self.acknowledged.append(int.from_bytes(body[:2]))


@contextlib.asynccontextmanager
async def _mute_broker(*, acknowledge: bool, send: int = 0):  # type: ignore[no-untyped-def]  # a context manager
    fake = _Fake(acknowledge=acknowledge, send=send)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _fakes[port] = fake
    try:
        yield BrokerConfig(port=port)
    finally:
        server.close()
        _cut(BrokerConfig(port=port))


@contextlib.asynccontextmanager
async def _relay(broker: Broker):  # type: ignore[no-untyped-def]  # a context manager
    """A TCP relay in front of the broker that can be cut without a goodbye."""
    fake = _Fake(acknowledge=True, send=0)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection(broker.host, broker.port)
        fake.writers += [writer, here]
        await asyncio.gather(pump(reader, here), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _fakes[port] = fake
    try:
        yield BrokerConfig(port=port)
    finally:
        server.close()
        _cut(BrokerConfig(port=port))


def _acknowledged(config: BrokerConfig) -> list[int]:
    return _fakes[config.port].acknowledged


def _cut(config: BrokerConfig) -> None:
    for writer in _fakes[config.port].writers:
        writer.transport.abort()
