"""The serial line of a panel: the one file that knows pyserial.

The line may be unplugged, noisy, stuck or taken; none of that may stop the kiosk. Known of pyserial 3.5 and of Linux:
a write can spin for ever on a full buffer, so nothing is written to a line that is not ready for it (the panel repeats
what was not acknowledged); a line left open over an unplugging comes back under another name, so it is closed at the
first error and opened again by its stable name (/dev/serial/by-id/...).
"""

import asyncio
import contextlib
import logging
import os
import select
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import serial

from bus.logs import fields

log = logging.getLogger("kiosk.port")

BAUD: Final = 115_200
_REOPEN_FIRST_S: Final = 0.2
_REOPEN_LAST_S: Final = 2.0
_STUCK_WRITES: Final = 40  # two in a repeat interval: a line that takes nothing for some seconds is opened anew
_CHUNK: Final = 4096


@dataclass(slots=True)
class PortCounters:
    """What happened on the line since start."""

    opened: int = 0
    failed_opens: int = 0
    lost: int = 0
    stuck_writes: int = 0


class SerialPort:
    """Keeps one line open as long as it can. Lives on the event loop; `run` ends only when cancelled."""

    def __init__(
        self,
        path: str,
        *,
        on_open: Callable[[], None],
        on_close: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        baud: int = BAUD,
    ) -> None:
        self.path: Final = path
        self.counters: Final = PortCounters()
        self._baud = baud
        self._on_open, self._on_close, self._on_bytes = on_open, on_close, on_bytes
        self._line: serial.Serial | None = None
        self._lost = asyncio.Event()
        self._stuck = 0

    async def run(self) -> None:
        """Open, serve until lost, open again."""
        wait_s = _REOPEN_FIRST_S
        while True:
            line = await self._open()
            if line is None:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _REOPEN_LAST_S)
                continue
            wait_s = _REOPEN_FIRST_S
            try:
                await self._serve(line)
            finally:
                self._drop(line)
            await asyncio.sleep(wait_s)

    def write(self, frame: bytes) -> bool:
        """Put a frame on the line; False where the line is gone or takes nothing now. Never blocks."""
        line = self._line
        if line is None:
            return False
        try:
            if not select.select([], [line.fileno()], [], 0)[1]:
                raise BlockingIOError
            os.write(line.fileno(), frame)
        except BlockingIOError:
            self.counters.stuck_writes += 1
            self._stuck += 1
            if self._stuck >= _STUCK_WRITES:
                self._lose("takes nothing")
            return False
        except (OSError, ValueError) as error:
            self._lose(str(error))
            return False
        self._stuck = 0
        return True

    async def _open(self) -> serial.Serial | None:
        try:
            # exclusive: a second process on the line would steal every other press
            line = await asyncio.to_thread(
                serial.Serial, self.path, self._baud, timeout=0, write_timeout=0, exclusive=True
            )
        # SerialException is an OSError; termios.error is none, and comes where it is unplugged while it is opened.
        except (OSError, ValueError, termios.error) as error:
            if self.counters.failed_opens % 50 == 0:
                log.warning("panel line does not open %s", fields(path=self.path, error=error))
            self.counters.failed_opens += 1
            return None
        self.counters.opened += 1
        log.info("panel line open %s", fields(path=self.path))
        return line

    async def _serve(self, line: serial.Serial) -> None:
        self._line, self._stuck = line, 0
        self._lost.clear()
        asyncio.get_running_loop().add_reader(line.fileno(), self._readable, line)
        self._on_open()
        await self._lost.wait()

    def _readable(self, line: serial.Serial) -> None:
        try:
            data = os.read(line.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error))
            return
        if not data:  # readiness with nothing to read is what unplugging looks like
            self._lose("unplugged")
            return
        self._on_bytes(data)

    def _lose(self, why: str) -> None:
        if not self._lost.is_set():
            self.counters.lost += 1
            log.warning("panel line lost %s", fields(path=self.path, why=why))
            self._lost.set()

    def _drop(self, line: serial.Serial) -> None:
        was_serving = self._line is not None
        self._line = None
        with contextlib.suppress(OSError, ValueError):
            asyncio.get_running_loop().remove_reader(line.fileno())
        with contextlib.suppress(OSError):
            line.close()
        if was_serving:
            self._on_close()
