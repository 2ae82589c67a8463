"""Serves `/metrics` (GET and HEAD) on the event loop: no thread, a few connections at once, each for a few seconds.

prometheus_client's own server takes a thread for each connection, and a client that sends nothing keeps it for ever.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bus.errors import UnavailableError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_REQUEST_BYTES: Final = 8_192
_REQUEST_S: Final = 5.0
_HANG_UP_S: Final = 0.2
_AT_ONCE: Final = 8


class MetricsServer:
    """`text` is asked at each request. `port` is the one bound, also when 0 was asked for."""

    def __init__(self, text: Callable[[], bytes]) -> None:
        self._text = text
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.refused = 0
        self.port = 0

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen. `UnavailableError` when the address is taken or not ours."""
        patience = {"ssl_handshake_timeout": _REQUEST_S, "ssl_shutdown_timeout": 1.0} if tls is not None else {}
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, limit=_REQUEST_BYTES, ssl=tls, **patience
            )
        except OSError as error:
            raise UnavailableError(f"/metrics cannot listen on {host} port {port}: {error}") from error
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and hang up on who is still connected: ending must not wait for them."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            with suppress(TimeoutError):  # since Python 3.12 it waits for clients that have not begun their handshake
                async with asyncio.timeout(_HANG_UP_S):
                    await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if len(self._writers) > _AT_ONCE:
                self.refused += 1
                return
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.refused += 1
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        match head.split(b"\r\n", 1)[0].split():
            case [(b"GET" | b"HEAD") as method, path, _] if path.partition(b"?")[0] == b"/metrics":
                status, body, kind = "200 OK", self._text(), CONTENT_TYPE
            case [b"GET" | b"HEAD", _, _] as words:
                method, status, body, kind = words[0], "404 Not Found", b"see /metrics\n", "text/plain"
            case [method, _, _]:
                status, body, kind = "405 Method Not Allowed", b"", "text/plain"
            case _:
                method, status, body, kind = b"", "400 Bad Request", b"", "text/plain"
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == b"HEAD" else body)
