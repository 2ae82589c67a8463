"""The agent's doors at its end: nothing that others do, and no broken disk, holds it up."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.control import ControlServer
from agent.exposition import MetricsServer
from bus.config import ServerTlsConfig
from bus.tls import server_context
from tests.bus.certificates import Authority


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


async def test_a_disk_that_has_gone_read_only_keeps_the_socket_and_the_end_goes_on(disk: Path) -> None:
    server = ControlServer(disk / "control.sock", {})
    await server.start()
    remount = await asyncio.create_subprocess_exec("mount", "-o", "remount,ro", str(disk))
    assert await remount.wait() == 0
    await server.close()
    assert (disk / "control.sock").exists()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_client_that_connects_and_stays_silent_does_not_hold_up_the_end(
    tmp_path: Path, *, encrypted: bool
) -> None:
    issued = Authority(tmp_path).issue("localhost")
    server = MetricsServer(lambda: b"")
    await server.start(
        "127.0.0.1", 0, tls=server_context(ServerTlsConfig(issued.cert, issued.key)) if encrypted else None
    )
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.sleep(0)  # accepted, and not a byte
    begun = time.monotonic()
    await server.close()
    assert time.monotonic() - begun < 1
    writer.close()
