"""`commune panel` in a terminal: the simulated panel under a person's hand. Keys press, lamps are shown."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Static

from bus.texts import msgid, translator
from kiosk.panel.bench import Command, Seen
from kiosk.picture import draw_levels


class Lamp(Static):
    """One button with its lamp."""

    def __init__(self, button: int, word: str) -> None:
        super().__init__(f"{button}\n\n{word}", classes="lamp")
        self._button = button

    def on_click(self) -> None:
        """The mouse presses too."""
        self.screen.app.action_press(self._button)  # type: ignore[attr-defined] # our own app


class HandPanel(App[None]):
    """Shows `Seen` values as they come and hands `Command`s out."""

    CSS = """
    Screen { layout: vertical; align: center middle; }
    #lamps { height: 9; width: auto; }
    .lamp { border: round $primary; width: 15; height: 7; margin: 0 1; }
    .lamp { content-align: center middle; text-align: center; }
    .lit { background: $success; color: $text; text-style: bold; border: heavy $success; }
    #state { width: 90%; height: 4; text-align: center; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(number), f"press({number})", show=False) for number in range(1, 9)
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, command: Callable[[Command], None], *, language: str) -> None:
        super().__init__()
        self._command = command
        self._language = language
        self._seen: Seen | None = None
        self.drawn = asyncio.Event()
        text = translator(language).gettext
        self.bind("u", "cable", description=text(msgid("Cable")))
        self.bind("c", "cycle", description=text(msgid("Power")))
        self.bind("q", "quit", description=text(msgid("Quit")))

    def on_mount(self) -> None:
        """From here on `show` may be called."""
        self.drawn.set()

    def compose(self) -> ComposeResult:
        """Lamps are made when the first `Seen` says how many."""
        yield Horizontal(id="lamps")
        yield Static(id="state")
        yield Footer()

    def action_press(self, button: int) -> None:
        """A button goes down."""
        self._command(Command("press", button))

    def action_cycle(self) -> None:
        """Power off and on."""
        self._command(Command("cycle"))

    def action_cable(self) -> None:
        """Pull the cable, or put it back."""
        self._command(Command("unplug" if self._seen is not None and self._seen.plugged else "plug"))

    async def show(self, seen: Seen) -> None:
        """Draw what is seen now."""
        text = translator(self._language).gettext
        lamps = self.query_one("#lamps", Horizontal)
        if self._seen is None or self._seen.buttons != seen.buttons:
            await lamps.remove_children()
            words = [level.word for level in draw_levels(seen.buttons, self._language)]
            await lamps.mount_all(Lamp(number, word) for number, word in enumerate(words[: seen.buttons], 1))
        self._seen = seen
        for number, lamp in enumerate(self.query(Lamp)):
            lamp.set_class(bool(seen.lamps >> number & 1), "lit")
        cable = text(msgid("plugged in")) if seen.plugged else text(msgid("unplugged"))
        counts = text(msgid("pressed {pressed}, acknowledged {acknowledged}, waiting {waiting}")).format(
            pressed=seen.pressed, acknowledged=seen.acknowledged, waiting=seen.waiting
        )
        beep = "♪" if seen.beeping else " "
        self.query_one("#state", Static).update(f"{seen.line}  ({cable})\n{counts} {beep}")
