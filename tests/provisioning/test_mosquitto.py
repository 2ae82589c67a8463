"""Two real brokers with the bridge between them, under the configuration we write."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from itertools import combinations
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from bus import topics
from bus.config import BrokerConfig, TlsConfig
from bus.errors import WrongInputError
from bus.mqtt import Incoming, Link
from provisioning.mosquitto import Bridge, Listener, bridged_topics, broker_conf

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/sbin:/bin") or "mosquitto"
SITE = "s0001"
PROPERTIES = (("sig", "0011223344556677:QUJD"), ("sig", "8899aabbccddeeff:REVG"), ("note", "mộc châu"))


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def broker(folder: Path, name: str, listener: Listener, bridge: Bridge | None = None) -> Iterator[None]:
    conf = folder / f"{name}.conf"
    conf.write_text(broker_conf(listener, bridge=bridge))
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(conf)], stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
        assert process.poll() is None, (folder / f"{name}.log").read_text()
    finally:
        process.terminate()
        process.wait(timeout=10)


@asynccontextmanager
async def client(port: int, *filters: str) -> AsyncIterator[tuple[Link, asyncio.Queue[Incoming]]]:
    received: asyncio.Queue[Incoming] = asyncio.Queue()
    link = Link(BrokerConfig(port=port), f"test-{port}")
    for topic_filter in filters:
        link.subscribe(topic_filter, received.put_nowait)
    async with link, asyncio.timeout(20):
        await link.ready()
        yield link, received


@asynccontextmanager
async def bridged(folder: Path) -> AsyncIterator[tuple[Link, asyncio.Queue[Incoming], Link, asyncio.Queue[Incoming]]]:
    """Both brokers, a client at each; the bridge is known to carry both ways when this yields."""
    commune, province = free_port(), free_port()
    with (
        broker(folder, "province", Listener("127.0.0.1", province)),
        broker(folder, "commune", Listener("127.0.0.1", commune), Bridge(SITE, "127.0.0.1", province)),
    ):
        async with (
            client(commune, "ce/1/#", "$SYS/broker/connection/+/state") as (below, came_down),
            client(province, "ce/1/#") as (above, came_up),
            asyncio.timeout(30),
        ):
            while (await came_down.get()).body != b"1":
                pass
            yield below, came_down, above, came_up


async def next_on(queue: asyncio.Queue[Incoming], topic: str) -> Incoming:
    async with asyncio.timeout(10):
        while True:
            incoming = await queue.get()
            if incoming.topic == topic:
                return incoming


@pytest.mark.parametrize("site_issuers", [(), ("s0001-conductor",)])
def test_no_topic_goes_round_in_a_circle(site_issuers: tuple[str, ...]) -> None:
    crossing = bridged_topics(Bridge(SITE, "127.0.0.1", 1, site_issuers=site_issuers))
    for one, other in combinations(crossing.out + crossing.in_, 2):
        assert not paho.topic_matches_sub(one, other.replace("+", "x"))
        assert not paho.topic_matches_sub(other, one.replace("+", "x"))


def test_one_issuer_on_both_sides_is_refused() -> None:
    with pytest.raises(WrongInputError, match="hub"):
        bridged_topics(Bridge(SITE, "127.0.0.1", 1, province_issuers=("hub",), site_issuers=("hub",)))


def test_without_tls_only_loopback() -> None:
    with pytest.raises(WrongInputError, match="certificates"):
        broker_conf(Listener("0.0.0.0", 1883))
    text = broker_conf(Listener("0.0.0.0", 8883, TlsConfig("ca.pem", "broker.pem", "broker.key")))
    assert "require_certificate true" in text
    assert "allow_anonymous false" in text
    assert "allow_anonymous true" not in text


async def test_properties_type_and_body_cross_both_ways(tmp_path: Path) -> None:
    async with bridged(tmp_path) as (below, came_down, above, came_up):
        up = topics.up(SITE, "s0001-agent")
        body = bytes(range(256)) * 700
        await below.publish(up, body, content_type="application/x+zlib", user_properties=PROPERTIES, expiry_s=30)
        arrived = await next_on(came_up, up)
        assert (arrived.body, arrived.content_type, arrived.user_properties) == (body, "application/x+zlib", PROPERTIES)

        receipt = topics.receipt(SITE, "s0001-agent", "hub")
        await above.publish(receipt, b"{}", content_type="application/json", user_properties=PROPERTIES)
        back = await next_on(came_down, receipt)
        assert (back.body, back.content_type, back.user_properties) == (b"{}", "application/json", PROPERTIES)

        await above.publish(topics.BEACON, b"beacon", content_type="b", qos=0)
        assert (await next_on(came_down, topics.BEACON)).body == b"beacon"


async def test_what_is_retained_stays_so_across(tmp_path: Path) -> None:
    async with bridged(tmp_path) as (below, came_down, above, came_up):
        status, desired = topics.status(SITE, "s0001-agent"), topics.desired(SITE, "hub")
        await below.publish(status, b"on", content_type="s", user_properties=PROPERTIES, retain=True)
        await next_on(came_up, status)
        await above.publish(desired, b"do", content_type="d", user_properties=PROPERTIES, retain=True)
        await next_on(came_down, desired)
        for link, topic in ((above, status), (below, desired)):
            later: asyncio.Queue[Incoming] = asyncio.Queue()
            link.subscribe(topic, later.put_nowait)
            kept = await next_on(later, topic)
            assert kept.retain
            assert kept.user_properties == PROPERTIES


async def test_other_sites_and_local_topics_do_not_cross(tmp_path: Path) -> None:
    async with bridged(tmp_path) as (below, came_down, above, came_up):
        for topic in (topics.up("s0002", "s0002-agent"), topics.receipt(SITE, "s0001-agent", "site")):
            await below.publish(topic, b"no")
        await above.publish(topics.receipt("s0002", "s0002-agent", "hub"), b"no")
        await below.publish(topics.up(SITE, "s0001-agent"), b"last")
        await above.publish(topics.receipt(SITE, "s0001-agent", "hub"), b"last")
        async with asyncio.timeout(10):
            while (incoming := await came_up.get()).body != b"last":
                assert incoming.topic.split("/")[-1] != "up"
            while (incoming := await came_down.get()).body != b"last":
                assert incoming.topic not in (topics.receipt("s0002", "s0002-agent", "hub"),)


async def test_expired_batches_do_not_pile_up_in_an_outage(tmp_path: Path) -> None:
    """The province's broker is gone for longer than the batches live: none of them may come later."""
    commune, province = free_port(), free_port()
    up = topics.up(SITE, "s0001-agent")
    bridge = Bridge(SITE, "127.0.0.1", province)
    with broker(tmp_path, "commune", Listener("127.0.0.1", commune), bridge):
        async with client(commune, "$SYS/broker/connection/+/state") as (below, states):
            for number in range(20):
                await below.publish(up, b"old %d" % number, expiry_s=1)
            await asyncio.sleep(1.5)  # the expiry is the broker's own clock
            with broker(tmp_path, "province", Listener("127.0.0.1", province)):
                async with client(province, up) as (_, came_up), asyncio.timeout(40):
                    while (await states.get()).body != b"1":
                        pass
                    await below.publish(up, b"new", expiry_s=30)
                    assert (await next_on(came_up, up)).body == b"new"


async def test_the_bridge_comes_back_after_the_province_was_away(tmp_path: Path) -> None:
    commune, province = free_port(), free_port()
    up = topics.up(SITE, "s0001-agent")
    with broker(tmp_path, "commune", Listener("127.0.0.1", commune), Bridge(SITE, "127.0.0.1", province)):
        async with client(commune, "$SYS/broker/connection/+/state") as (below, states):
            for round_ in (b"first", b"second"):
                with broker(tmp_path, "province", Listener("127.0.0.1", province)):
                    async with client(province, up) as (_, came_up), asyncio.timeout(40):
                        while (await states.get()).body != b"1":
                            pass
                        await below.publish(up, round_, expiry_s=30)
                        assert (await next_on(came_up, up)).body == round_
