"""A USB keypad as a panel: the kernel's input events, read raw.

The keypad knows no acknowledgement: a press made while the kiosk is away is lost, and nothing lights up for it. It is
grabbed, so that its keys reach no console. Events are `struct input_event` of linux/input.h on a 64-bit kernel. The
press's time is when the event is read; each opening has a random name, so that presses are named for ever.
"""

import asyncio
import errno
import fcntl
import logging
import os
import secrets
import struct
from collections.abc import Iterator
from typing import Final

from bus.logs import fields
from kiosk.ballots import Ballot
from kiosk.booth import Booth

log = logging.getLogger("kiosk.keypad")

EVENT: Final = struct.Struct("=qqHHi")  # seconds, microseconds, type, code, value
_EV_KEY: Final = 1
_KEY_DOWN: Final = 1  # 0 is up, 2 is the kernel's own repeat while it is held: neither is a press
_EVIOCGRAB: Final = 0x40044590
_REOPEN_S: Final = 2.0


def key_presses(data: bytes) -> Iterator[int]:
    """Key codes that went down, of whole events in `data`."""
    for _, _, kind, code, value in EVENT.iter_unpack(data[: len(data) - len(data) % EVENT.size]):
        if kind == _EV_KEY and value == _KEY_DOWN:
            yield code


class Keypad:
    """One keypad; `keys` are the codes of its buttons, most satisfied first."""

    def __init__(self, path: str, keys: list[int], booth: Booth, *, name: str) -> None:
        self.path = path
        self.present = False
        self.refused_writes = 0
        self._keys = keys
        self._booth = booth
        self._name = name

    async def run(self) -> None:
        """Serve the keypad until cancelled; one that is unplugged, or will not serve, is opened again."""
        self._say(present=False)
        said = ""
        while True:
            try:
                await self._open_and_serve()
                said = ""
            except OSError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("keypad does not serve %s", fields(path=self.path, error=error))
            await asyncio.sleep(_REOPEN_S)

    async def _open_and_serve(self) -> None:
        """Until it is gone; `OSError` where it cannot be opened, is another's, or cannot be waited for."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _grab(descriptor)
            await self._serve(descriptor)
        finally:
            self._say(present=False)
            os.close(descriptor)

    async def _serve(self, descriptor: int) -> None:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        opening, held, seq = secrets.token_hex(4).upper(), b"", 0

        def readable() -> None:
            nonlocal held, seq
            try:
                data = os.read(descriptor, 64 * EVENT.size)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                gone.set()
                return
            held += data
            whole = len(held) - len(held) % EVENT.size
            for code in key_presses(held[:whole]):
                if code in self._keys:
                    seq += 1
                    self._press(f"{self._name}/{opening}/{seq}", self._keys.index(code) + 1)
            held = held[whole:]

        loop.add_reader(descriptor, readable)
        try:
            self._say(present=True)
            log.info("keypad open %s", fields(path=self.path))
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
        log.warning("keypad gone %s", fields(path=self.path))

    def _say(self, *, present: bool) -> None:
        self.present = present
        self._booth.panel(present=present, buttons=len(self._keys), source=self._name)

    def _press(self, press: str, level: int) -> None:
        ballot = Ballot(press, "keypad", level, len(self._keys), self._booth.now_ms())
        self._booth.put(ballot).add_done_callback(self._written)

    def _written(self, write: "asyncio.Future[bool]") -> None:
        if write.exception() is not None:
            self.refused_writes += 1


def _grab(descriptor: int) -> None:
    """Have its keys for us alone; `OSError` where another has them: they would reach us never."""
    try:
        fcntl.ioctl(descriptor, _EVIOCGRAB, 1)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):  # no input device (a test's pipe)
            raise
