import asyncio
import socket
import time

import pytest

from agent.senses.binding import Via
from agent.senses.tcp import connect, probe_tcp
from tests.agent.senses.netlab import Lab


def listen_in_peer(lab: Lab) -> socket.socket:
    with lab.peer.inside():
        server = socket.create_server(("0.0.0.0", 0), backlog=500)
    server.setblocking(False)
    return server


async def test_a_port_that_listens_is_reached(lab: Lab) -> None:
    with listen_in_peer(lab) as server:
        result = await probe_tcp("web", "10.9.0.2", server.getsockname()[1])
        bound = await probe_tcp("web", "10.9.0.2", server.getsockname()[1], via=Via("up0", "10.9.0.1"))
    assert (result.success, result.loss_pct, result.reason) == (True, 0.0, "")
    assert bound.success


async def test_a_shut_port_refuses_at_once(lab: Lab) -> None:
    result = await probe_tcp("web", "10.9.0.2", 9, timeout_s=5)
    assert (result.success, result.reason) == (False, "refused")
    assert result.duration_ms < 500


async def test_silence_ends_in_time(lab: Lab) -> None:
    lab.peer.lose(100)
    result = await probe_tcp("web", "10.9.0.2", 9, timeout_s=0.4)
    assert (result.success, result.reason) == (False, "timeout")
    assert 350 < result.duration_ms < 900


async def test_no_way_there_is_told_apart(lab: Lab) -> None:
    result = await probe_tcp("web", "10.200.0.1", 80)
    assert (result.success, result.reason) == (False, "no-route")
    gone = await probe_tcp("web", "10.9.0.2", 80, via=Via(port="up7"))
    assert (gone.success, gone.reason) == (False, "no-route")
    wrong = await probe_tcp("web", "not an address", 80)
    assert (wrong.success, wrong.reason) == (False, "error")


async def test_lost_packets_are_no_failure(lab: Lab) -> None:
    with listen_in_peer(lab) as server:
        lab.box.lose(10)
        lab.peer.lose(10)
        port = server.getsockname()[1]
        results = await asyncio.gather(*(probe_tcp("web", "10.9.0.2", port, timeout_s=1) for _ in range(200)))
    assert [result for result in results if not result.success] == []
    assert any(result.loss_pct > 0 for result in results)


async def test_giving_up_half_way_leaves_no_socket_behind(lab: Lab) -> None:
    lab.peer.lose(100)
    task = asyncio.create_task(connect("10.9.0.2", 9, timeout_s=30))
    await asyncio.sleep(0)
    task.cancel()
    before = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - before < 1
