"""The simulated panel on a pty, and the socket by which it is driven.

The kiosk opens the pty as it would a serial device. A link with a stable name points to it, as /dev/serial/by-id does;
`unplug` hangs the line up and `plug` makes a new pty behind the same link. The control socket takes and gives a JSON
object a line: `{"do": "press", "button": 2}`, `{"do": "cycle"}`, `{"do": "unplug"}`, `{"do": "plug"}`; each change of
what can be seen comes back as a `Seen`.
"""

import asyncio
import contextlib
import os
import secrets
import time
import tty
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bus.unix_sockets import listen_at
from kiosk.panel import simulated
from kiosk.panel.frames import FrameReader, FromPanel, decode_to_panel, encode

TICK_S: Final = 0.02


class Command(Struct, forbid_unknown_fields=True):
    """What the driver wants."""

    do: Literal["press", "cycle", "unplug", "plug", "look"]
    button: Annotated[int, Meta(ge=1, le=8)] = 1


class Seen(Struct, frozen=True):
    """What a person at the panel sees and hears, and what the panel counts."""

    line: str
    plugged: bool
    buttons: int
    lamps: int
    beeping: bool
    waiting: int
    pressed: int
    acknowledged: int


class PanelBench:
    """One simulated panel. `link` is the stable name of its line."""

    def __init__(self, link: Path, *, panel: str, buttons: int) -> None:
        self.link = link
        self._panel, self._buttons = panel, buttons
        self._master: int | None = None
        self._held = -1
        self._line = ""
        self._reader = FrameReader()
        self._watchers: set[asyncio.StreamWriter] = set()
        self._state, _ = simulated.power_up(panel, _boot(), buttons, now_ms=_now_ms())
        self._last: Seen | None = None

    async def run(self, control: Path | None = None) -> None:
        """Plug in and work until cancelled; serve `control` where given."""
        self.plug()
        server = None
        try:
            if control is not None:
                # For its owner alone: whoever can write here can vote.
                server = await asyncio.start_unix_server(self._serve, sock=listen_at(control))
            while True:
                self._tick()
                await asyncio.sleep(TICK_S)
        finally:
            if server is not None:
                server.close()
            self.unplug()
            self.link.unlink(missing_ok=True)

    @property
    def state(self) -> simulated.Panel:
        """The panel's own state, for accounts of what was pressed."""
        return self._state

    def plug(self) -> None:
        """Connect the line and power the panel up."""
        if self._master is not None:
            return
        master, held = os.openpty()
        tty.setraw(held)
        self._line = os.ttyname(held)
        # Held open: a pty whose other end nobody has reads as an error without end.
        self._held = held
        os.set_blocking(master, False)
        self._master, self._reader = master, FrameReader()
        part = self.link.with_name(self.link.name + ".part")
        part.unlink(missing_ok=True)
        part.symlink_to(self._line)
        part.replace(self.link)
        asyncio.get_running_loop().add_reader(master, self._readable)
        self.cycle()

    def unplug(self) -> None:
        """Pull the cable: the kiosk's end hangs up, presses that wait are gone with the power."""
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._held)
            self._master = None

    def cycle(self) -> None:
        """Power off and on: a new boot, an empty queue."""
        self._state, out = simulated.power_up(self._panel, _boot(), self._buttons, now_ms=_now_ms())
        self._send(out)

    def press(self, button: int) -> None:
        """Push a button down and let it go."""
        if self._master is not None:
            self._state, out = simulated.press(self._state, button, now_ms=_now_ms())
            self._send(out)

    def seen(self) -> Seen:
        """What can be seen now."""
        now_ms, state = _now_ms(), self._state
        plugged = self._master is not None
        return Seen(
            line=self._line,
            plugged=plugged,
            buttons=state.buttons,
            lamps=simulated.lamps(state, now_ms=now_ms) if plugged else 0,
            beeping=plugged and simulated.beeping(state, now_ms=now_ms),
            waiting=len(state.waiting),
            pressed=state.last_seq,
            acknowledged=state.acknowledged,
        )

    def do(self, command: Command) -> None:
        """Obey one command of the control socket."""
        match command.do:
            case "press":
                self.press(command.button)
            case "cycle":
                self.cycle()
            case "unplug":
                self.unplug()
            case "plug":
                self.plug()
            case "look":
                self._last = None

    def _tick(self) -> None:
        if self._master is not None:
            self._state, out = simulated.tick(self._state, now_ms=_now_ms())
            self._send(out)
        seen = self.seen()
        if seen != self._last:
            self._last = seen
            line = msgspec.json.encode(seen) + b"\n"
            for writer in self._watchers:
                writer.write(line)

    def _readable(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        messages = [message for body in self._reader.feed(data) if (message := decode_to_panel(body)) is not None]
        self._state, out = simulated.hear(self._state, messages, now_ms=_now_ms())
        self._send(out)

    def _send(self, messages: Iterable[FromPanel]) -> None:
        for message in messages:
            if self._master is not None:
                with contextlib.suppress(OSError):  # a full line loses bytes, as a real one does
                    os.write(self._master, encode(message))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._watchers.add(writer)
        self._last = None
        try:
            while line := await reader.readline():
                try:
                    self.do(msgspec.json.decode(line, type=Command))
                except (msgspec.MsgspecError, ValueError) as error:
                    writer.write(msgspec.json.encode({"error": str(error)}) + b"\n")
        except (ConnectionError, ValueError):
            pass
        finally:
            self._watchers.discard(writer)
            writer.close()


def _boot() -> str:
    return secrets.token_hex(4).upper()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
