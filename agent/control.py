"""The agent's own door on the box: a Unix socket, `control.sock` in its state folder, for its user alone.

One JSON request a line, one JSON answer a line:

- `{"do": "now"}`: the one sentence, the rungs, the devices, what waits in the journal;
- `{"do": "desire", "device": D, "name": "identify" | "restart" | "configuration", "value": V}`: the version it got;
- `{"do": "reached", "device": D}`: how far that device is.

A request that is not understood is answered `{"error": ...}`, and the connection stays.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.errors import CommuneError, UnavailableError
from bus.unix_sockets import listen_at

_REQUEST_BYTES: Final = 65_536
_AT_ONCE: Final = 8


class Request(msgspec.Struct, frozen=True):
    """What is asked."""

    do: str
    device: str = ""
    name: str = ""
    value: Any = None


Answer = Callable[[Request], Awaitable[dict[str, Any]]]
_request = msgspec.json.Decoder(Request)


class ControlServer:
    """Answers by `answers`, by the word in `do`."""

    def __init__(self, path: Path, answers: dict[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Listen. `UnavailableError` where the socket cannot be made."""
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listen_at(self._path), limit=_REQUEST_BYTES
            )
        except OSError as error:
            raise UnavailableError(f"the control socket {self._path} cannot be made: {error}") from error

    async def close(self) -> None:
        """Stop listening, and take the socket away; one left behind by a broken disk is taken at the next start."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while self._open <= _AT_ONCE and (line := await reader.readline()):
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # it hung up, or sent more than a request can be
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = _request.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return {"error": f"not a request: {error}"}
        answer = self._answers.get(request.do)
        if answer is None:
            return {"error": f"do is {request.do[:50]!r}; known: {', '.join(sorted(self._answers))}"}
        try:
            return await answer(request)
        except CommuneError as error:
            return {"error": str(error)}
