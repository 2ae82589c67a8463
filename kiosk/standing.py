"""How the kiosk stands now, for the technician's view: `standing.sock` in its state folder, for its user alone.

Whoever connects is sent one line of JSON, and the connection ends. The vote is secret: nothing here moves with a single
vote, so what waits in the journal is told in classes only, and the first goes well beyond a day's visits.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bus.logs import fields
from bus.unix_sockets import listen_at

log = logging.getLogger("kiosk")

SOCKET: Final = "standing.sock"
_CLASSES: Final = ((50, "few"), (1000, "some"))


class Standing(msgspec.Struct, frozen=True):
    """All of it. `panels` and `keypads` tell for each whether it is there; `waiting` is few, some or many."""

    device: str
    panels: dict[str, bool]
    keypads: dict[str, bool]
    broker: bool
    disk: bool
    screen: bool | None
    screen_restarts: int
    waiting: str


def backlog(count: int) -> str:
    """The class of so many waiting records: below 50 few, below 1,000 some, else many."""
    return next((name for below, name in _CLASSES if count < below), "many")


async def serve_standing(folder: Path, ask: Callable[[], Standing]) -> None:
    """Answer until cancelled. Without a socket the kiosk does its work all the same."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(msgspec.json.encode(ask()) + b"\n")
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    path = folder / SOCKET
    try:
        server = await asyncio.start_unix_server(answer, sock=listen_at(path))
    except OSError as error:
        log.error("standing not told %s", fields(path=path, error=error))
        return
    try:
        await asyncio.Event().wait()
    finally:
        server.close()
        path.unlink(missing_ok=True)
