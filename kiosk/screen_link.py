"""The text screen is a process of its own: it may crash, hang or lose its console, and no vote is the worse for it.

The kiosk serves pictures on a Unix socket, a JSON object a line, and starts the screen where the configuration asks for
it. The screen answers `alive PID` lines as it draws; one that has drawn nothing for ten seconds is killed and started
again, as is one that ended, with a growing pause.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from bus.logs import fields
from bus.unix_sockets import listen_at
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
        """Serve until cancelled. Where the socket cannot be made (a full disk), votes are taken without a screen."""
        server = await self._listen()
        try:
            if self._config.enabled:
                await self._keep()
            else:
                await asyncio.Event().wait()
        finally:
            server.close()
            for writer in list(self._writers):
                writer.close()

    async def _listen(self) -> asyncio.Server:
        told = False
        while True:
            try:
                return await asyncio.start_unix_server(self._serve, sock=listen_at(self.socket), limit=_LINE_LIMIT)
            except OSError as error:
                if not told:
                    log.error("no socket for screens %s", fields(path=self.socket, error=error))
                told = True
                await asyncio.sleep(_PAUSES_S[-1])

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                process = await self._start()
            except OSError as error:  # the console is not there, or no process can be made now
                log.error("screen does not start %s", fields(tty=self._config.tty, error=error))
                await asyncio.sleep(_PAUSES_S[-1])
                continue
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
        command = [sys.executable, "-m", "kiosk.screen", "--socket", str(self.socket), "--parent", str(os.getpid())]
        if not self._config.tty:
            return await asyncio.create_subprocess_exec(*command)
        # The console becomes the screen's terminal, in a session of its own; our log stays where it was.
        terminal = await asyncio.to_thread(os.open, self._config.tty, os.O_RDWR | os.O_NOCTTY)
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
                env=_environment(self._config.term),
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
            while line := await reader.readline():
                # A screen on another console, started by hand, must not speak for ours.
                if line.split() == [b"alive", str(self.pid).encode()]:
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


def _environment(term: str) -> dict[str, str]:
    """Ours, without what describes the terminal that the kiosk itself was started from."""
    ours = ("COLUMNS", "LINES", "COLORTERM", "TERM_PROGRAM")
    return {name: value for name, value in os.environ.items() if name not in ours} | {"TERM": term}


def _line(picture: Picture) -> bytes:
    return msgspec.json.encode(picture) + b"\n"
