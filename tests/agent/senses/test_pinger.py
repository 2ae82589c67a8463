import asyncio
import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.senses.binding import Via
from agent.senses.burst import BurstRule
from agent.senses.icmp_codec import checksum
from agent.senses.pinger import Pinger
from tests.agent.senses.netlab import Lab
from tests.evidence import rounds


@pytest.mark.parametrize("group_range", ["1 0", "0 4294967294"], ids=["raw", "unprivileged"])
@pytest.mark.parametrize("address", ["10.9.0.2", "fd00:10:9:0::2"])
async def test_answers_are_counted_by_either_kind_of_socket(lab: Lab, group_range: str, address: str) -> None:
    lab.settle()
    lab.box.set("net/ipv4/ping_group_range", group_range)
    pinger = Pinger()
    try:
        result = await pinger.probe("peer", address, rule=BurstRule(spacing_ms=1))
    finally:
        pinger.close()
    assert result.success
    assert result.loss_pct == 0
    assert result.rtt_ms is not None
    assert result.rtt_ms < 100
    assert result.jitter_ms is not None
    assert result.reason == ""


@pytest.mark.parametrize("group_range", ["1 0", "0 4294967294"], ids=["raw", "unprivileged"])
async def test_silence_is_a_timeout_within_the_time_given(lab: Lab, group_range: str) -> None:
    lab.box.set("net/ipv4/ping_group_range", group_range)
    lab.peer.lose(100)
    pinger = Pinger()
    try:
        result = await pinger.probe("peer", "10.9.0.2", timeout_s=0.3, rule=BurstRule(spacing_ms=1))
    finally:
        pinger.close()
    assert (result.success, result.reason, result.loss_pct) == (False, "timeout", 100.0)
    assert result.duration_ms < 600


@pytest.mark.parametrize("group_range", ["1 0", "0 4294967294"], ids=["raw", "unprivileged"])
@pytest.mark.parametrize(("address", "kind"), [("10.7.7.7", "icmp"), ("fd00:7::7", "icmpv6")])
async def test_what_a_router_sends_back_ends_the_probe_at_once(
    lab: Lab, group_range: str, address: str, kind: str
) -> None:
    lab.box.set("net/ipv4/ping_group_range", group_range)
    lab.box.ip("route", "add", "default", "via", "10.9.0.2")
    lab.box.ip("-6", "route", "add", "default", "via", "fd00:10:9:0::2")
    lab.peer.set("net/ipv4/ip_forward", "1")
    lab.peer.set("net/ipv6/conf/all/forwarding", "1")
    pinger = Pinger()
    try:
        # A router without a route says "network unreachable"; that must not touch a healthy neighbour.
        lost, good = await asyncio.gather(
            pinger.probe("far", address, timeout_s=3), pinger.probe("peer", "10.9.0.2", timeout_s=3)
        )
    finally:
        pinger.close()
    assert (lost.success, lost.reason) == (False, "no-route"), lost
    assert lost.duration_ms < 1_900, "an error that came back must spare the second wave"
    assert good.success
    assert good.loss_pct == 0


async def test_no_route_at_all_is_told_without_waiting(lab: Lab) -> None:
    pinger = Pinger()
    try:
        result = await pinger.probe("far", "10.7.7.7", timeout_s=3)
    finally:
        pinger.close()
    assert (result.success, result.reason) == (False, "no-route")
    assert result.duration_ms < 1_000


@pytest.mark.prove
async def test_no_false_down_at_five_percent_loss_each_way(lab: Lab, evidence: Callable[[str], None]) -> None:
    lab.box.lose(5)
    lab.peer.lose(5)
    rule = BurstRule(spacing_ms=1)
    pinger = Pinger()
    try:
        told = [
            await asyncio.gather(
                *(pinger.probe(f"t{index}", "10.9.0.2", rule=rule, timeout_s=0.4) for index in range(50))
            )
            for _ in range(rounds(small=20, full=400))
        ]
    finally:
        pinger.close()
    results = [result for each in told for result in each]
    assert [result for result in results if not result.success] == []
    lossy = sum(result.loss_pct > 0 for result in results)
    assert lossy > 100, "the loss was not there"
    evidence(f"{len(results)} bursts at 5 % random loss each way: 0 false downs, {lossy} bursts with loss")
    # Late answers are told apart from lost ones, and each burst counts its own alone.
    assert sum(result.loss_pct for result in results) / len(results) == pytest.approx(9.75, abs=3)


async def test_two_uplinks_are_asked_each_on_its_own(lab: Lab) -> None:
    lab.cable("up1", "down1", "10.9.1")
    lab.peer.ip("addr", "add", "10.8.8.8/32", "dev", "lo")
    lab.box.ip("route", "add", "default", "via", "10.9.0.2", "dev", "up0", "metric", "10")
    lab.box.ip("route", "add", "default", "via", "10.9.1.2", "dev", "up1", "metric", "20")
    # Answers come back whichever way the peer likes best: what counts is the way out.
    lab.peer.lose(100, match='iifname "down0"')
    rule = BurstRule(spacing_ms=1)
    pinger = Pinger()
    try:
        first = await pinger.probe("a", "10.8.8.8", via=Via(port="up0"), timeout_s=0.3, rule=rule)
        second = await pinger.probe("b", "10.8.8.8", via=Via(port="up1"), timeout_s=0.3, rule=rule)
        gone = await pinger.probe("c", "10.8.8.8", via=Via(port="up9"), timeout_s=0.3, rule=rule)
    finally:
        pinger.close()
    assert (first.success, first.reason) == (False, "timeout")
    assert second.success
    assert (gone.success, gone.reason) == (False, "no-route")


async def test_a_port_that_was_unplugged_and_came_back_is_used_again(lab: Lab) -> None:
    pinger = Pinger()
    via = Via(port="up0")
    rule = BurstRule(spacing_ms=1)
    try:
        assert (await pinger.probe("a", "10.9.0.2", via=via, rule=rule)).success
        lab.box.ip("link", "delete", "up0")
        assert not (await pinger.probe("a", "10.9.0.2", via=via, rule=rule, timeout_s=0.3)).success
        lab.cable("up0", "down0", "10.9.0")
        assert not (await pinger.probe("a", "10.9.0.9", via=via, rule=rule, timeout_s=0.1)).success
        assert (await pinger.probe("a", "10.9.0.2", via=via, rule=rule)).success
    finally:
        pinger.close()


async def test_what_is_no_address_is_an_error_not_an_exception(lab: Lab) -> None:
    pinger = Pinger()
    result = await pinger.probe("x", "printer")
    assert (result.success, result.reason) == (False, "error")


async def test_a_firewall_of_the_box_itself_is_no_silence_of_the_target(lab: Lab) -> None:
    lab.box.lose(100, hook="output", match="ip protocol icmp")
    pinger = Pinger()
    try:
        refused = await pinger.probe("peer", "10.9.0.2", timeout_s=0.3, rule=BurstRule(spacing_ms=1))
        # From here on the kernel takes the packets, and nobody answers: that is silence.
        lab.box.lose(100, hook="output", match="ip protocol icmp numgen inc mod 2 == 0")
        lab.peer.lose(100)
        silent = await pinger.probe("peer", "10.9.0.2", timeout_s=0.3, rule=BurstRule(spacing_ms=1))
    finally:
        pinger.close()
    assert (refused.asked, refused.success) == (False, False)
    assert (silent.asked, silent.reason) == (True, "timeout")


_WITHOUT_RIGHT = """
import asyncio
from agent.senses.icmp_codec import checksum
from agent.senses.pinger import Pinger
async def main():
    pinger = Pinger()
    print((await pinger.probe("x", "127.0.0.1")).detail)
    pinger.close()
asyncio.run(main())
"""


def _drop_rights() -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def test_without_the_right_the_message_says_what_to_do(lab: Lab) -> None:
    lab.box.set("net/ipv4/ping_group_range", "1 0")

    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_RIGHT], capture_output=True, text=True, check=True, preexec_fn=_drop_rights
    )
    assert "CAP_NET_RAW" in done.stdout
    assert "ping_group_range (1 0)" in done.stdout


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_doors_close_behind_the_pinger(lab: Lab) -> None:
    before = _open_files()
    pinger = Pinger()
    await pinger.probe("x", "10.9.0.2", rule=BurstRule(packets=1, again=0))
    await pinger.probe("x", "10.9.0.2", rule=BurstRule(packets=1, again=0), via=Via(port="up0"))
    pinger.close()
    assert _open_files() == before


class SlowHost:
    """A host behind a TUN device that answers each ping after a while, as a mobile line does."""

    def __init__(self, lab: Lab, delay_s: float) -> None:
        self._delay_s = delay_s
        self._due: list[asyncio.TimerHandle] = []
        self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._tun, 0x400454CA, struct.pack("16sH22x", b"slow0", 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
        lab.box.ip("addr", "add", "10.44.0.1/24", "dev", "slow0")
        lab.box.ip("link", "set", "slow0", "up")
        asyncio.get_running_loop().add_reader(self._tun, self._read)

    def _read(self) -> None:
        packet = os.read(self._tun, 2048)
        if packet[0] >> 4 != 4 or packet[9] != 1 or packet[20] != 8:
            return
        body = b"\0\0\0\0" + packet[24:]
        answer = packet[:12] + packet[16:20] + packet[12:16] + body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        self._due.append(asyncio.get_running_loop().call_later(self._delay_s, os.write, self._tun, answer))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._tun)
        for answer in self._due:
            answer.cancel()
        os.close(self._tun)


@pytest.mark.parametrize("delay_s", [0.3, 0.6])
async def test_a_slow_line_is_neither_down_nor_lossy(lab: Lab, delay_s: float) -> None:
    host = SlowHost(lab, delay_s)
    pinger = Pinger()
    try:
        result = await pinger.probe("4g", "10.44.0.2", timeout_s=1.2)
    finally:
        pinger.close()
        host.close()
    assert (result.success, result.loss_pct) == (True, 0.0)
    assert result.rtt_ms == pytest.approx(delay_s * 1000, abs=100)
    assert result.duration_ms < 1_000
