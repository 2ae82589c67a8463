"""Panels at work: lines, sessions and the booth joined. One `PanelDesk` a line; `Panels` is all of a kiosk's.

A press is acknowledged by the session alone, when the ballot box says that it is on disk. A press that could not be
written is not acknowledged: the panel repeats it until it can be.
"""

import asyncio
import logging
from typing import Final, assert_never

from bus.logs import fields
from kiosk.ballots import Ballot
from kiosk.booth import Booth
from kiosk.panel.frames import FrameReader, Led, decode_from_panel, encode
from kiosk.panel.port import BAUD, SerialPort
from kiosk.panel.session import (
    Absent,
    Closed,
    Durable,
    Effect,
    Heard,
    Input,
    Opened,
    Present,
    Record,
    Send,
    Session,
    Tick,
    step,
)

log = logging.getLogger("kiosk.panel")

TICK_S: Final = 0.25


class PanelDesk:
    """One panel on one line."""

    def __init__(self, path: str, booth: Booth, panels: "Panels", *, baud: int = BAUD) -> None:
        self.present = False
        self.buttons = 0
        self.panel = ""
        self.refused_writes = 0
        self.reader = FrameReader()
        self.unknown_frames = 0
        self._booth = booth
        self._panels = panels
        self._session = Session()
        self.port: Final = SerialPort(
            path, on_open=self._opened, on_close=lambda: self._take(Closed()), on_bytes=self._bytes, baud=baud
        )

    async def run(self) -> None:
        """Serve the line until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.port.run(), name=f"panel line {self.port.path}")
            group.create_task(self._ticks(), name=f"panel clock {self.port.path}")

    def blink(self, seconds: float) -> None:
        """All lamps blink for a while: which panel is meant."""
        everything = (1 << self.buttons) - 1
        self.port.write(encode(Led(everything, 2)))
        asyncio.get_running_loop().call_later(seconds, lambda: self.port.write(encode(Led(0, 0))))

    def refused_buttons(self) -> int:
        """Presses that named a button the panel said it does not have."""
        return self._session.refused

    async def _ticks(self) -> None:
        while True:
            self._take(Tick())
            await asyncio.sleep(TICK_S)

    def _opened(self) -> None:
        # What the line held before it was opened is half a frame at best.
        self.reader.forget()
        self._take(Opened())

    def _bytes(self, data: bytes) -> None:
        for body in self.reader.feed(data):
            message = decode_from_panel(body)
            if message is None:
                self.unknown_frames += 1
            else:
                self._take(Heard(message))

    def _take(self, happened: Input) -> None:
        self._session, effects = step(
            self._session, happened, now_ms=self._booth.now_ms(), ledger=self._booth.box.known
        )
        for effect in effects:
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self.port.write(encode(message))
            case Record():
                self._record(effect)
            case Present(panel, buttons):
                log.info("panel present %s", fields(panel=panel, buttons=buttons, path=self.port.path))
                self.present, self.panel, self.buttons = True, panel, buttons
                self._panels.changed()
            case Absent(unplugged):
                log.warning("panel absent %s", fields(path=self.port.path, unplugged=unplugged))
                self.present = False
                self._panels.changed()
            case _:
                assert_never(effect)

    def _record(self, press: Record) -> None:
        ballot = Ballot(press.press, "panel", press.button, press.buttons, press.pressed_ms)
        write = self._booth.put(ballot, on_disk=lambda: self._take(Durable(press.press)))
        write.add_done_callback(self._written)

    def _written(self, write: "asyncio.Future[bool]") -> None:
        if write.exception() is not None:
            self.refused_writes += 1  # the panel repeats it


class Panels:
    """All panels of a kiosk: it has one while any is present."""

    def __init__(self, paths: list[tuple[str, int]], booth: Booth) -> None:
        self._booth = booth
        self.desks: Final = [PanelDesk(path, booth, self, baud=baud) for path, baud in paths]

    async def run(self) -> None:
        """Serve every line until cancelled."""
        if not self.desks:
            return
        self.changed()
        async with asyncio.TaskGroup() as group:
            for desk in self.desks:
                group.create_task(desk.run(), name=f"panel {desk.port.path}")

    def blink(self, seconds: float) -> None:
        """Every panel that is there blinks."""
        for desk in self.desks:
            if desk.present:
                desk.blink(seconds)

    def changed(self) -> None:
        """A panel has come or gone."""
        present = [desk for desk in self.desks if desk.present]
        self._booth.panel(present=bool(present), buttons=present[0].buttons if present else None)
