"""Draws a `Picture` with Textual: faces and signs of half blocks, which a console font can show; no mouse wanted.

It knows no rule: what is shown is decided in `kiosk.flow`, in another process. Sizes follow the terminal, from 50x15
(800x480 with a 16x32 font) up.
"""

from typing import Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from kiosk.flow import View
from kiosk.picture import Picture
from kiosk.screen import glyphs

_SIGNS: Final = {View.THANKS: glyphs.TICK, View.CLOSED: glyphs.DOOR, View.NO_PANEL: glyphs.PLUG}
_WIDE: Final = 100
_HIGH: Final = 26


class KioskScreen(App[None]):
    """Shows the last picture it was given; until the first, nothing."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: black; color: white; layout: vertical; }
    #head { height: 1; background: #0f4a57; color: white; text-style: bold; }
    #counter { width: 1fr; padding: 0 1; }
    #clock { width: auto; padding: 0 1; }
    #middle { height: 1fr; align: center middle; }
    #headline { width: 100%; height: auto; text-align: center; text-style: bold; padding: 0 2; }
    #sign { width: 100%; height: auto; content-align: center middle; text-align: center; }
    #row { width: 100%; height: auto; align: center middle; margin-top: 1; }
    .answer { width: 1fr; max-width: 24; height: auto; text-align: center; }
    #note { width: 100%; height: auto; text-align: center; color: #c0c0c0; padding: 0 2; }
    #foot { height: auto; width: 100%; }
    #network { width: 100%; height: auto; text-align: center; background: #ffd166; color: black; }
    #trouble { width: 100%; height: auto; text-align: center; background: #b3261e; color: white; text-style: bold; }
    .wide #headline, .wide #note { margin: 1 0; }
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
            yield Static(id="sign")
            yield Static(id="headline", markup=False)
            yield Horizontal(id="row")
            yield Static(id="note", markup=False)
        with Vertical(id="foot"):
            yield Static(id="network", markup=False)
            yield Static(id="trouble", markup=False)

    async def on_mount(self) -> None:
        """Draw what was given at the start."""
        await self._draw()

    async def on_resize(self) -> None:
        """Another console size draws larger or smaller."""
        await self._draw()

    async def show(self, picture: Picture) -> None:
        """From now on this."""
        self._picture = picture
        await self._draw()

    async def _draw(self) -> None:
        picture = self._picture
        if picture is None or not self.is_running:
            return
        times = 2 if self.size.width >= _WIDE and self.size.height >= _HIGH else 1
        self.set_class(times > 1, "wide")
        self._put("counter", picture.counter)
        self._put("clock", picture.clock)
        self._put("headline", picture.headline)
        self._put("note", picture.note)
        self._put("network", picture.network)
        self._put("trouble", picture.trouble)
        sign = _SIGNS.get(picture.view)
        place = self.query_one("#sign", Static)
        place.display = sign is not None
        if sign is not None:
            place.update(glyphs.draw(glyphs.enlarge(sign, times)))
        await self._draw_row(picture, times)

    def _put(self, place: str, text: str) -> None:
        widget = self.query_one(f"#{place}", Static)
        widget.display = bool(text)
        widget.update(text)

    async def _draw_row(self, picture: Picture, times: int) -> None:
        answers: list[Text] = []
        if picture.view is View.IDLE:
            for level in picture.levels:
                drawn = glyphs.draw(glyphs.enlarge(glyphs.face(level.face), times))
                answers.append(_under(drawn, f"{level.level}", level.word))
        elif picture.view is View.REASONS:
            for choice in picture.reasons:
                drawn = glyphs.draw(glyphs.enlarge(glyphs.ICONS.get(choice.icon, glyphs.ICONS["paper"]), times))
                answers.append(_under(drawn, "", choice.word))
        row = self.query_one("#row", Horizontal)
        row.display = bool(answers)
        shown = list(row.query(Static))
        if len(shown) != len(answers):
            await row.remove_children()
            shown = [Static(classes="answer") for _ in answers]
            await row.mount_all(shown)
        for widget, answer in zip(shown, answers, strict=True):
            widget.update(answer)


def _under(picture: Text, number: str, word: str) -> Text:
    """A picture with its number and word below it."""
    label = Text(f"{number} {word}".strip(), style="bold")
    return Text("\n").join([picture, label])
