"""The text screen is a process of its own: it may crash, hang or lose its console, and no vote is the worse for it.

The kiosk serves pictures on a Unix socket, a JSON object a line, and starts the screen where the configuration asks for
it. The screen answers `alive` lines as it draws; one that has drawn nothing for ten seconds is killed and started
again, as is one that ended, with a growing pause.
"""

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from bus.logs import fields
from kiosk.booth import Booth
from kiosk.config import ScreenConfig
from kiosk.picture import Picture

log = logging.getLogger("kiosk.screen")

HANGS_AFTER_S: Final = 10.0
_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_LINE_LIMIT: Final = 1024
_WAITING_BYTES: Final = 256 * 1024


class ScreenLink:
    """Serves `socket`, and keeps a screen alive where `config` enables one."""

    def __init__(self, booth: Booth, socket: Path, config: ScreenConfig) -> None:
        self.socket: Final = socket
        self.restarts = 0
        self.pid: int | None = None
        self._config = config
        self._booth = booth
        self._writers: set[asyncio.StreamWriter] = set()
        self._alive = asyncio.Event()
        booth.on_picture(self._show)

    @property
    def showing(self) -> bool:
        """Is a screen connected?"""
        return bool(self._writers)

    async def run(self) -> None:
        """Serve until cancelled."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)  # noqa: PTH108 - a socket's name, on the event loop
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, self.socket, limit=_LINE_LIMIT)
        finally:
            os.umask(before)
        try:
            if self._config.enabled:
                await self._keep()
            else:
                await asyncio.Event().wait()
        finally:
            server.close()
            for writer in list(self._writers):
                writer.close()

    async def _keep(self) -> None:
        failures = 0
        while True:
            process = await self._start()
            self.pid = process.pid
            try:
                shown = await self._watch(process)
            finally:
                self.pid = None
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            failures = 0 if shown else failures + 1
            self.restarts += 1
            log.warning("screen ended %s", fields(code=process.returncode, restarts=self.restarts))
            await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])

    async def _start(self) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "kiosk.screen", "--socket", str(self.socket)]
        if not self._config.tty:
            return await asyncio.create_subprocess_exec(*command)
        # The console becomes the screen's terminal, in a session of its own; our log stays where it was.
        terminal = await asyncio.to_thread(os.open, self._config.tty, os.O_RDWR | os.O_NOCTTY)
        try:
            return await asyncio.create_subprocess_exec(
                *command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
            )
        finally:
            os.close(terminal)

    async def _watch(self, process: asyncio.subprocess.Process) -> bool:
        """Return when the screen ended or hangs; True where it had shown something."""
        ending = asyncio.create_task(process.wait())
        shown = False
        try:
            while not ending.done():
                self._alive.clear()
                alive = asyncio.create_task(self._alive.wait())
                await asyncio.wait({ending, alive}, timeout=HANGS_AFTER_S, return_when=asyncio.FIRST_COMPLETED)
                alive.cancel()
                if not self._alive.is_set() and not ending.done():
                    log.error("screen hangs %s", fields(pid=process.pid))
                    return shown
                shown = shown or self._alive.is_set()
        finally:
            ending.cancel()
        return shown

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            writer.write(_line(self._booth.picture))
            while await reader.readline():
                self._alive.set()
        except (ConnectionError, ValueError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _show(self, picture: Picture) -> None:
        line = _line(picture)
        for writer in list(self._writers):
            if writer.transport.get_write_buffer_size() > _WAITING_BYTES:
                writer.transport.abort()  # it reads nothing: it hangs, and is told apart by its silence
            else:
                writer.write(line)


def _line(picture: Picture) -> bytes:
    return msgspec.json.encode(picture) + b"\n"
