"""The server against real sockets: it says its port, ends when cancelled, and refuses a taken address."""

import asyncio
import contextlib
import signal
import socket
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bus.errors import UnavailableError
from web.server import serve


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", _hello)])


async def test_it_serves_until_it_is_cancelled_and_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(APP, host="127.0.0.1", port=0, on_listening=listening.set_result))
    port = await asyncio.wait_for(listening, 10)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "hello"
    assert signal.getsignal(signal.SIGTERM) is before
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


async def test_half_a_request_holds_the_end_up_no_longer_than_a_second() -> None:
    """A part has 5 s in all to end, and its journal and its link have theirs after this."""

    async def read_all(request: Request) -> Response:
        begun.set()
        await request.body()
        return PlainTextResponse("")

    begun = asyncio.Event()
    app = Starlette(routes=[Route("/", read_all, methods=["POST"])])
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, host="127.0.0.1", port=0, on_listening=listening.set_result))
    port = await asyncio.wait_for(listening, 10)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    await asyncio.wait_for(begun.wait(), 10)
    started = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    writer.close()
    assert time.monotonic() - started < 2


async def test_a_taken_address_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UnavailableError, match="cannot be taken"):
        await serve(APP, host="127.0.0.1", port=taken.getsockname()[1])


async def test_requests_that_are_no_http_are_refused_and_it_goes_on() -> None:
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(APP, host="127.0.0.1", port=0, on_listening=listening.set_result))
    port = await asyncio.wait_for(listening, 10)
    for garbage in (b"\x00\xff\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            assert (await asyncio.wait_for(reader.read(64), 10))[9:12] in (b"400", b"431", b"")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 200
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
