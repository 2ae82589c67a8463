"""The officer's badge at the counter: a serial scanner that says a line of text for each badge.

A known badge signs its officer on; the same badge again signs off, but not while it is still held there: readers say a
badge again and again. An unknown badge changes nothing and is counted: it may be anybody's bus ticket. What is stored
is the officer's code, never the badge's text nor a name.
"""

import asyncio
import logging
from typing import Final

from bus.errors import UnavailableError
from bus.logs import fields
from kiosk.booth import Booth
from kiosk.panel.port import SerialPort
from kiosk.settings import Officer

log = logging.getLogger("kiosk.badge")

_LINE_LIMIT: Final = 128
_STILL_HELD_MS: Final = 3_000


class BadgeReader:
    """One scanner. A badge said again within `still_held_ms` has not been taken away."""

    def __init__(self, path: str, booth: Booth, *, baud: int, still_held_ms: int = _STILL_HELD_MS) -> None:
        self.unknown = 0
        self._booth = booth
        self._still_held_ms = still_held_ms
        self._last = ("", 0)
        self._held = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port: Final = SerialPort(
            path, on_open=self._held.clear, on_close=self._held.clear, on_bytes=self._bytes, baud=baud
        )

    async def run(self) -> None:
        """Serve the scanner until cancelled."""
        await self.port.run()

    def _bytes(self, data: bytes) -> None:
        self._held += data
        while (end := min((at for at in map(self._held.find, (b"\r", b"\n")) if at >= 0), default=-1)) >= 0:
            badge = bytes(self._held[:end]).decode("ascii", "replace").strip()
            del self._held[: end + 1]
            if badge:
                self._scanned(badge)
        del self._held[:-_LINE_LIMIT]

    def _scanned(self, badge: str) -> None:
        officer = next((one for one in self._booth.settings.officers if one.badge == badge), None)
        (badge_before, before_ms), self._last = self._last, (badge, self._booth.now_ms())
        if badge == badge_before and self._last[1] - before_ms < self._still_held_ms:
            return
        if officer is None:
            self.unknown += 1
            log.warning("unknown badge %s", fields(length=len(badge)))
            return
        task = asyncio.get_running_loop().create_task(self._sign(officer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sign(self, officer: Officer) -> None:
        leaving = self._booth.box.officer == officer.code
        try:
            await self._booth.box.set_officer("" if leaving else officer.code, "badge")
        except UnavailableError as error:
            log.error("officer not recorded %s", fields(error=error))
