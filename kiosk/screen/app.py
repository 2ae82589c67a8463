"""Draws a `Picture` with Textual: no mouse wanted, and no more colours and characters than a Linux console has.

It knows no rule: what is shown is decided in `kiosk.flow`, in another process, and where it stands in
`kiosk.screen.layout`.
"""

from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from kiosk.picture import Picture
from kiosk.screen.layout import lay_out, wrap


class KioskScreen(App[None]):
    """Shows the last picture it was given; until the first, nothing."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: black; color: white; layout: vertical; overflow: hidden; }
    #head { height: 1; background: #1b3f9c; color: white; text-style: bold; }
    #counter { width: 1fr; padding: 0 1; }
    #clock { width: auto; padding: 0 1; }
    #middle { height: 1fr; align: center middle; }
    #drawing { width: 100%; height: auto; }
    #foot { height: auto; width: 100%; }
    #network { width: 100%; height: auto; text-align: center; background: #ffd166; color: black; }
    #trouble { width: 100%; height: auto; text-align: center; background: #b3261e; color: white; text-style: bold; }
    """

    def __init__(self, picture: Picture | None = None) -> None:
        super().__init__()
        self._picture = picture

    def compose(self) -> ComposeResult:
        """The places; `_draw` fills them."""
        with Horizontal(id="head"):
            yield Static(id="counter", markup=False)
            yield Static(id="clock", markup=False)
        with Vertical(id="middle"):
            yield Static(id="drawing")
        with Vertical(id="foot"):
            yield Static(id="network", markup=False)
            yield Static(id="trouble", markup=False)

    def on_mount(self) -> None:
        """Draw what was given at the start."""
        self._draw()

    def on_resize(self) -> None:
        """Another console size draws larger or smaller."""
        self._draw()

    def show(self, picture: Picture) -> None:
        """From now on this."""
        self._picture = picture
        self._draw()

    def _draw(self) -> None:
        picture = self._picture
        if picture is None or not self.is_running:
            return
        columns, rows = self.size
        self._put("counter", picture.counter)
        self._put("clock", picture.clock)
        foot = [wrap(text, columns) for text in (picture.network, picture.trouble)]
        for place, lines in zip(("network", "trouble"), foot, strict=True):
            self._put(place, "\n".join(lines))
        drawing = lay_out(picture, columns, rows - 1 - sum(map(len, foot)))
        self.query_one("#drawing", Static).update(Text("\n").join(drawing))

    def _put(self, place: str, text: str) -> None:
        widget = self.query_one(f"#{place}", Static)
        widget.display = bool(text)
        widget.update(text)
