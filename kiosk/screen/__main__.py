"""`python -m kiosk.screen --socket PATH`: draws the pictures of a kiosk, and tells it after each that it is alive.

Started by the kiosk (`kiosk.screen_link`), or by hand on another console. When the kiosk is away it waits for it;
nobody's press depends on this process.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path

import msgspec

from bus.unix_sockets import connect_to
from kiosk.picture import Picture
from kiosk.screen.app import KioskScreen

_AGAIN_S = 1.0
_ALIVE_EVERY_S = 2.0
_LINE_LIMIT = 256 * 1024


def main() -> int:
    """Draw until ended."""
    parser = argparse.ArgumentParser(prog="python -m kiosk.screen")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--parent", type=int, help="end when this process has ended: its next life starts a new screen")
    arguments = parser.parse_args()
    asyncio.run(_live(arguments.socket, arguments.parent))
    return 0


async def _live(socket: Path, parent: int | None) -> None:
    app = KioskScreen()
    following = asyncio.create_task(_follow(app, socket, parent), name="kiosk pictures")
    try:
        await app.run_async(mouse=False)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _follow(app: KioskScreen, socket: Path, parent: int | None) -> None:
    while parent is None or os.getppid() == parent:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            reader, writer = await asyncio.open_unix_connection(sock=connect_to(socket), limit=_LINE_LIMIT)
            telling = asyncio.create_task(_tell_alive(app, writer))
            try:
                while line := await reader.readline():
                    picture = msgspec.json.decode(line, type=Picture)
                    if app.is_running:
                        app.show(picture)
            finally:
                telling.cancel()
                writer.close()
        await asyncio.sleep(_AGAIN_S)
    app.exit()


async def _tell_alive(app: KioskScreen, writer: asyncio.StreamWriter) -> None:
    """Alive means drawing: the word goes through the app's own message loop, so a hung screen stays silent."""
    while True:
        if app.is_running:
            drawn = asyncio.Event()
            app.call_later(drawn.set)
            await drawn.wait()
            writer.write(b"alive %d\n" % os.getpid())
            await writer.drain()
        await asyncio.sleep(_ALIVE_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
