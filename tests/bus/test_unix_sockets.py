"""Unix sockets, however deep their folder lies."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from bus.unix_sockets import connect_to, listen_at


async def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 100) / ("y" * 100) / "control.sock"
    path.parent.mkdir(parents=True)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    for _ in range(2):  # the second time over the one left behind
        server = await asyncio.start_unix_server(echo, sock=listen_at(path))
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(sock=connect_to(path))
        writer.write(b"xin\n")
        assert await reader.readline() == b"xin\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        path.touch()


def test_a_listener_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(listen_at(tmp_path / "control.sock"))
        listener.listen(0)
        waiting = opened.enter_context(connect_to(tmp_path / "control.sock"))
        assert isinstance(waiting, socket.socket)
        with pytest.raises(BlockingIOError):
            connect_to(tmp_path / "control.sock")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect_to(tmp_path / "control.sock")
    with pytest.raises(FileNotFoundError):
        listen_at(tmp_path / "no-folder" / "control.sock")
