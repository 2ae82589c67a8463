import asyncio
import random
import socket
import time
from pathlib import Path

import pytest

from agent.senses.dns import ask, probe_dns
from agent.senses.resolver import Resolver
from bus.errors import UnavailableError
from tests.agent.senses.nameserver import NameServer, answer_to, serving

ZONE = {"hub.tinh.vn": ["203.0.113.7"], "six.tinh.vn": ["2001:db8::7"], "empty.tinh.vn": []}


async def test_a_server_that_knows_the_name_is_well() -> None:
    async with serving(NameServer(ZONE)) as server:
        result = await probe_dns("dns", "127.0.0.1", "hub.tinh.vn", port=server.port)
    assert result.success
    assert result.loss_pct == 0
    assert result.rtt_ms is not None


@pytest.mark.parametrize("name", ["nothing.tinh.vn", "empty.tinh.vn"])
async def test_a_name_it_does_not_know_is_told_apart_from_silence(name: str) -> None:
    async with serving(NameServer(ZONE)) as server:
        result = await probe_dns("dns", "127.0.0.1", name, port=server.port)
    assert (result.success, result.reason, result.loss_pct) == (False, "no-name", 0.0)


async def test_a_server_that_cannot_is_a_bad_answer() -> None:
    def servfail(query: bytes, good: bytes) -> list[bytes]:
        return [query[:2] + b"\x81\x82" + b"\0\x01\0\0\0\0\0\0" + query[12:]]

    async with serving(NameServer(ZONE, servfail)) as server:
        result = await probe_dns("dns", "127.0.0.1", "hub.tinh.vn", port=server.port)
    assert (result.success, result.reason) == (False, "bad-answer")
    assert "SERVFAIL" in result.detail


async def test_garbage_and_forgeries_before_the_answer_do_no_harm() -> None:
    def noisy(query: bytes, good: bytes) -> list[bytes]:
        forged = answer_to(bytes([query[0] ^ 1]) + query[1:], {"hub.tinh.vn": ["6.6.6.6"]})
        return [b"x", forged, query[:2] + b"\x81\x80" + b"\xff" * 30, good]

    async with serving(NameServer(ZONE, noisy)) as server:
        replied = await ask("127.0.0.1", "hub.tinh.vn", port=server.port)
    assert replied.answer.addresses == ("203.0.113.7",)
    assert replied.garbage == 2


async def test_garbage_alone_is_a_bad_answer() -> None:
    async with serving(NameServer(ZONE, lambda query, good: [good[:-3]])) as server:
        result = await probe_dns("dns", "127.0.0.1", "hub.tinh.vn", port=server.port, timeout_s=0.3)
    assert (result.success, result.reason) == (False, "bad-answer")


async def test_a_cut_answer_is_asked_for_again_over_tcp() -> None:
    async with serving(NameServer(ZONE, lambda query, good: [answer_to(query, ZONE, flags=0x0200)])) as server:
        replied = await ask("127.0.0.1", "hub.tinh.vn", port=server.port)
    assert replied.answer.addresses == ("203.0.113.7",)
    assert not replied.answer.truncated


async def test_silence_is_a_timeout_in_time_and_a_shut_port_refuses_at_once() -> None:
    async with serving(NameServer(ZONE, lambda query, good: [])) as server:
        silent = await probe_dns("dns", "127.0.0.1", "hub.tinh.vn", port=server.port, timeout_s=0.3)
        assert server.queries == 5
    assert (silent.success, silent.reason) == (False, "timeout")
    assert silent.duration_ms < 900
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    refused = await probe_dns("dns", "127.0.0.1", "hub.tinh.vn", port=port, timeout_s=5)
    assert (refused.success, refused.reason) == (False, "refused")
    assert refused.duration_ms < 2_500


async def test_lost_datagrams_are_no_failure() -> None:
    chance = random.Random(1)
    lossy = NameServer(ZONE, lambda query, good: [good] if chance.random() > 0.1 else [])
    async with serving(lossy) as server:
        results = [
            await probe_dns("dns", "127.0.0.1", "hub.tinh.vn", port=server.port, timeout_s=0.1) for _ in range(300)
        ]
    assert all(result.success for result in results)
    assert any(result.loss_pct > 0 for result in results)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def no_hosts(tmp_path: Path) -> Path:
    return tmp_path / "no-hosts"


async def test_names_are_kept_for_their_time_and_no_longer(tmp_path: Path) -> None:
    clock = Clock()
    async with serving(NameServer(ZONE, ttl_s=100)) as server:
        resolver = Resolver(["127.0.0.1"], port=server.port, hosts=no_hosts(tmp_path), now_s=clock)
        assert (await resolver.resolve("hub.tinh.vn")).addresses == ("203.0.113.7",)
        clock.now_s = 99
        await resolver.resolve("HUB.tinh.vn.")
        assert server.queries == 1
        assert (await resolver.resolve("six.tinh.vn")).addresses == ("2001:db8::7",)


async def test_a_dead_name_server_does_not_take_known_addresses_away(tmp_path: Path) -> None:
    clock = Clock()
    server = NameServer(ZONE)
    async with serving(server):
        resolver = Resolver(["127.0.0.1"], port=server.port, hosts=no_hosts(tmp_path), now_s=clock, timeout_s=0.1)
        await resolver.resolve("hub.tinh.vn")
        server.spoil = lambda query, good: []
        clock.now_s = 10_000
        before = time.monotonic()
        known = await resolver.resolve("hub.tinh.vn")
        assert time.monotonic() - before < 0.1, "no probe waits for a dead name server"
        assert (known.addresses, known.stale) == (("203.0.113.7",), True)
        with pytest.raises(UnavailableError, match=r"new\.tinh\.vn"):
            await resolver.resolve("new.tinh.vn")
        await resolver.close()


async def test_a_name_that_was_taken_away_is_gone(tmp_path: Path) -> None:
    clock = Clock()
    zone = dict(ZONE)
    async with serving(NameServer(zone)) as server:
        resolver = Resolver(["127.0.0.1"], port=server.port, hosts=no_hosts(tmp_path), now_s=clock)
        await resolver.resolve("hub.tinh.vn")
        del zone["hub.tinh.vn"]
        clock.now_s = 100
        assert (await resolver.resolve("hub.tinh.vn")).stale
        await resolver.settle()
        with pytest.raises(UnavailableError, match="does not exist"):
            await resolver.resolve("hub.tinh.vn")


async def test_the_second_server_is_asked_when_the_first_is_silent_and_files_are_read(tmp_path: Path) -> None:
    async with serving(NameServer(ZONE), host="127.0.0.2") as server:
        conf = tmp_path / "resolv.conf"
        conf.write_text("# ours\nnameserver 127.0.0.3\nnameserver 127.0.0.2\nsearch tinh.vn\nnameserver nonsense\n")
        hosts = tmp_path / "hosts"
        hosts.write_text("192.0.2.9 printer Printer.lan # by the door\n::1 six-only\n")
        resolver = Resolver(port=server.port, resolv_conf=conf, hosts=hosts, timeout_s=0.2)
        assert (await resolver.resolve("hub.tinh.vn")).addresses == ("203.0.113.7",)
        assert (await resolver.resolve("PRINTER.lan")).addresses == ("192.0.2.9",)
        assert (await resolver.resolve("192.0.2.1")).addresses == ("192.0.2.1",)


async def test_many_who_wait_for_one_name_ask_once(tmp_path: Path) -> None:
    async with serving(NameServer(ZONE)) as server:
        resolver = Resolver(["127.0.0.1"], port=server.port, hosts=no_hosts(tmp_path))
        await asyncio.gather(*(resolver.resolve("hub.tinh.vn") for _ in range(20)))
        assert server.queries == 1
