"""Draws sights with Textual and takes a few keys. It looks once a second, and a slow answer never holds the keys up."""

import time
from datetime import datetime
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from agent.top.sight import Sight, see
from agent.top.sources import Source
from agent.top.view import lay_out

_LOOK_S: Final = 1.0


class Top(App[None]):
    """`sources` are the communes; one is shown at a time, all are remembered."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: black; color: #ffffff; overflow: hidden; } #all { width: 100%; height: 100%; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,ctrl+c", "quit", show=False, priority=True),
        Binding("l", "language", show=False),
        Binding("n,right,down", "turn(1)", show=False),
        Binding("p,left,up", "turn(-1)", show=False),
    ]

    def __init__(self, sources: list[Source], *, language: str = "vi", live: bool = True) -> None:
        super().__init__()
        self._sources = sources
        self._language = language
        self._live = live
        self._shown = 0
        self._sights = [Sight(source.place) for source in sources]

    def compose(self) -> ComposeResult:
        """One drawing."""
        yield Static(id="all")

    def on_mount(self) -> None:
        """Look at once, and then again and again."""
        self._draw()
        self.run_worker(self._look(), exclusive=True)
        if self._live:
            self.set_interval(_LOOK_S, lambda: self.run_worker(self._look(), exclusive=False, group="look"))

    def on_resize(self) -> None:
        """A window of another size is drawn anew."""
        self._draw()

    def action_language(self) -> None:
        """The other language."""
        self._language = "en" if self._language == "vi" else "vi"
        self._draw()

    def action_turn(self, step: int) -> None:
        """Another commune."""
        self._shown = (self._shown + step) % len(self._sources)
        self._draw()

    async def look(self) -> None:
        """Look at the commune that is shown, once."""
        shown = self._shown
        look = await self._sources[shown].look()
        self._sights[shown] = see(self._sights[shown], look)
        self._draw()

    async def _look(self) -> None:
        if not self._looking:
            self._looking = True
            try:
                await self.look()
            finally:
                self._looking = False

    _looking = False

    def clock(self) -> str:
        """The time as the head shows it."""
        return datetime.now().astimezone().strftime("%H:%M:%S")

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def _draw(self) -> None:
        if not self.is_running:
            return
        count = len(self._sources)
        lines = lay_out(
            self._sights[self._shown],
            self.size.width,
            self.size.height,
            language=self._language,
            clock=self.clock(),
            page=f"{self._shown + 1}/{count}" if count > 1 else "",
            now_ms=self.now_ms(),
        )
        self.query_one("#all", Static).update(Text("\n").join(lines))
