import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.observations import Duplex, NetworkState
from agent.senses.interfaces import read_network
from agent.senses.linkwatch import LinkWatch
from agent.senses.netlink import Doorbell
from tests.agent.senses.netlab import Lab


class Watched:
    def __init__(self) -> None:
        self.states: list[tuple[float, NetworkState]] = []
        self.changed = asyncio.Event()

    def __call__(self, state: NetworkState) -> None:
        self.states.append((time.monotonic(), state))
        self.changed.set()

    async def until(self, wanted: Callable[[NetworkState], bool]) -> float:
        """When a state with this first came, waiting for it."""
        async with asyncio.timeout(5):
            while True:
                for at, state in self.states:
                    if wanted(state):
                        return at
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def watching(watch: LinkWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_pulled_cable_is_seen_within_milliseconds_and_so_is_its_return(lab: Lab) -> None:
    seen = Watched()
    async with watching(LinkWatch(seen)):
        await seen.until(lambda state: state.ports["up0"].carrier)
        seen.states.clear()
        before = time.monotonic()
        await asyncio.to_thread(lab.peer.ip, "link", "set", "down0", "down")
        lost = await seen.until(lambda state: not state.ports["up0"].carrier)
        assert lost - before < 0.5, "benchmarks/links.py measures how fast it is"
        seen.states.clear()
        await asyncio.to_thread(lab.peer.ip, "link", "set", "down0", "up")
        await seen.until(lambda state: state.ports["up0"].carrier)


async def test_addresses_and_routes_are_seen(lab: Lab) -> None:
    seen = Watched()
    async with watching(LinkWatch(seen)):
        await seen.until(lambda state: "10.9.0.1" in state.ports["up0"].addresses)
        await asyncio.to_thread(lab.box.ip, "route", "add", "default", "via", "10.9.0.2", "metric", "70")
        await seen.until(
            lambda state: [(r.gateway, r.port, r.metric) for r in state.routes] == [("10.9.0.2", "up0", 70)]
        )
        await asyncio.to_thread(
            lab.box.ip, "-6", "route", "add", "default", "via", "fd00:10:9:0::2", "dev", "up0", "metric", "5"
        )
        await seen.until(
            lambda state: ("fd00:10:9::2", "up0", 5) in [(r.gateway, r.port, r.metric) for r in state.routes]
        )
        await asyncio.to_thread(lab.box.ip, "addr", "flush", "dev", "up0")
        await seen.until(
            lambda state: (
                "10.9.0.2" not in [r.gateway for r in state.routes] and "10.9.0.1" not in state.ports["up0"].addresses
            )
        )


def test_two_default_routes_of_one_port_keep_their_own_metrics(lab: Lab) -> None:
    for gateway, metric in (("10.9.0.3", "20"), ("10.9.0.2", "70")):
        lab.box.ip("route", "add", "default", "via", gateway, "dev", "up0", "metric", metric)
    for gateway, metric in (("fd00:10:9:0::3", "5"), ("fe80::9", "9")):
        lab.box.ip("-6", "route", "add", "default", "via", gateway, "dev", "up0", "metric", metric)
    found = [(route.gateway.partition("%")[0], route.port, route.metric) for route in read_network().routes]
    assert found == [
        ("fd00:10:9::3", "up0", 5),
        ("fe80::9", "up0", 9),
        ("10.9.0.3", "up0", 20),
        ("10.9.0.2", "up0", 70),
    ]


async def test_a_port_that_is_taken_out_is_gone(lab: Lab) -> None:
    seen = Watched()
    async with watching(LinkWatch(seen)):
        await seen.until(lambda state: "up0" in state.ports)
        await asyncio.to_thread(lab.box.ip, "link", "delete", "up0")
        await seen.until(lambda state: "up0" not in state.ports)


async def test_counters_alone_are_no_change_but_stay_fresh(lab: Lab) -> None:
    seen = Watched()
    watch = LinkWatch(seen)
    async with watching(watch):
        await seen.until(lambda state: state.ports["up0"].carrier)
        count = len(seen.states)
        before = watch.look()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.sendto(b"x" * 500, ("10.9.0.2", 9))
        after = watch.look()
        assert before is not None
        assert after is not None
        assert after.ports["up0"].tx_bytes >= before.ports["up0"].tx_bytes
        assert len(seen.states) == count


async def test_what_the_kernel_dropped_is_made_good_by_reading_all_again(lab: Lab) -> None:
    doorbell = Doorbell(receive_bytes=2048)
    # More messages than the socket holds, before anybody listens: the kernel says ENOBUFS.
    for index in range(40):
        lab.box.ip("addr", "add", f"10.77.0.{index + 1}/32", "dev", "up0")
    seen = Watched()
    watch = LinkWatch(seen, doorbell=doorbell, look_every_s=600)
    async with watching(watch):
        await seen.until(lambda state: "10.77.0.40" in state.ports["up0"].addresses)
        await asyncio.to_thread(lab.box.ip, "addr", "del", "10.77.0.40/32", "dev", "up0")
        await seen.until(lambda state: "10.77.0.40" not in state.ports["up0"].addresses)
    assert watch.overflows >= 1


async def test_it_looks_by_itself_when_nothing_rings() -> None:
    readings: list[NetworkState] = []
    enough = asyncio.Event()

    def read() -> NetworkState:
        readings.append(NetworkState(mono_ns=len(readings)))
        if len(readings) == 3:
            enough.set()
        return readings[-1]

    async with watching(LinkWatch(lambda _: None, read=read, look_every_s=0.01)):
        async with asyncio.timeout(5):
            await enough.wait()


async def test_a_failing_read_is_counted_and_watching_goes_on() -> None:
    seen = Watched()
    calls: Iterator[OSError | NetworkState] = iter([OSError("port vanished"), NetworkState(mono_ns=1)])

    def read() -> NetworkState:
        outcome = next(calls, NetworkState(mono_ns=2))
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    watch = LinkWatch(seen, read=read, look_every_s=0.01)
    async with watching(watch):
        await seen.until(lambda state: state.mono_ns == 1)
    assert watch.failures == 1


def test_loopback_is_no_port_and_veth_has_its_speed(lab: Lab) -> None:
    state = read_network()
    assert set(state.ports) == {"up0"}
    assert state.ports["up0"].speed_mbit == 10_000
    assert state.ports["up0"].present


def test_where_the_kernel_knows_no_ethtool_ports_are_read_from_sysfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under an emulator of another processor: psutil then gives up on all ports at once."""
    told = {
        "lo": {"type": "772", "carrier": "1", "carrier_changes": "0"},
        "eth0": {"type": "1", "carrier": "1", "speed": "100", "duplex": "half", "carrier_changes": "7"},
        "eth1": {"type": "1", "carrier": "0", "speed": "-1", "duplex": "unknown"},
    }
    for name, files in told.items():
        (tmp_path / "class/net" / name).mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / "class/net" / name / file).write_text(f"{text}\n")

    def refuse() -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("psutil.net_if_stats", refuse)
    ports = read_network(sys_root=tmp_path).ports
    assert set(ports) == {"eth0", "eth1"}
    assert (ports["eth0"].carrier, ports["eth0"].speed_mbit, ports["eth0"].duplex) == (True, 100, Duplex.HALF)
    assert ports["eth0"].carrier_changes == 7
    assert (ports["eth1"].carrier, ports["eth1"].speed_mbit, ports["eth1"].duplex) == (False, None, Duplex.UNKNOWN)
