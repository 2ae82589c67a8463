"""What the kiosk shows: a pure state machine.

    idle --vote--> thanks --low rating, touch, reasons set--> reasons --choice, skip or time--> thanks --> idle
      ^                \\--else, after thanks_s----------------------------------------------------------^

A vote always shows its thanks, whatever else is wrong: it is on disk by then. The thanks are the same for every level,
since the vote is secret. For the same reason what follows a low rating (the question why, the thanks for its answer) is
`aside`: it is for the page that was touched alone; no other screen shows it, and nothing of it is heard.

Over the idle picture stand the conditions, the first that holds: counter closed, panel unplugged; a network that is
down is only a line of text ("the counter goes on"). A kiosk whose votes come from a panel asks no reasons: a button
never changes its meaning.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, assert_never

from kiosk.settings import KioskSettings, asks_why

# Long enough to read the question twice; then the next citizen finds the first language again.
LANGUAGE_RESET_MS: Final = 30_000


class View(StrEnum):
    """The picture on the screen."""

    IDLE = "idle"
    THANKS = "thanks"
    REASONS = "reasons"
    CLOSED = "closed"
    NO_PANEL = "no-panel"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is so, beside the citizen's doing. `panel` is None for a kiosk without one."""

    counter_open: bool = True
    network_up: bool = True
    panel: bool | None = None
    disk_ok: bool = True


@dataclass(frozen=True, slots=True)
class Flow:
    """State: which picture, until when (monotonic ms; 0 for ever), for which press, in which language.

    `aside` says that the picture is only for the page of that press; all others see the one between citizens.
    """

    view: View = View.IDLE
    until_ms: int = 0
    press: str = ""
    ask_reason: bool = False
    aside: bool = False
    language: str = "vi"
    touched_ms: int = 0
    conditions: Conditions = Conditions()


@dataclass(frozen=True, slots=True)
class Voted:
    """A press is on disk, of `levels`. `touch` says that the citizen can touch the screen."""

    press: str
    level: int
    touch: bool
    levels: int = 5


@dataclass(frozen=True, slots=True)
class ReasonGiven:
    """The citizen touched a reason of the settings."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The citizen wants to give no reason."""


@dataclass(frozen=True, slots=True)
class LanguageChosen:
    """The citizen touched a language."""

    language: str


@dataclass(frozen=True, slots=True)
class Now:
    """Time has passed, or the conditions have changed."""

    conditions: Conditions


Input = Voted | ReasonGiven | Skipped | LanguageChosen | Now


@dataclass(frozen=True, slots=True)
class Prompt:
    """Speak: `thanks` or `question`, in a language."""

    name: str
    language: str


@dataclass(frozen=True, slots=True)
class KeepReason:
    """Record the reason for a press."""

    press: str
    reason: str


Effect = Prompt | KeepReason


def step(flow: Flow, happened: Input, settings: KioskSettings, *, now_ms: int) -> tuple[Flow, list[Effect]]:
    """Take one input at monotonic `now_ms`."""
    match happened:
        case Voted(press, level, touch, levels):
            ask = touch and asks_why(settings, level, levels)
            flow = replace(flow, press=press, ask_reason=ask, aside=False, touched_ms=now_ms)
            return _thank(flow, settings, now_ms), [Prompt("thanks", flow.language)]
        case ReasonGiven(reason):
            if flow.view is not View.REASONS or reason not in {choice.id for choice in settings.reasons}:
                return flow, []
            kept = KeepReason(flow.press, reason)
            return _thank(replace(flow, touched_ms=now_ms), settings, now_ms), [kept]
        case Skipped():
            return (at_rest(flow), []) if flow.view is View.REASONS else (flow, [])
        case LanguageChosen(language):
            if language not in settings.languages:
                return flow, []
            return replace(flow, language=language, touched_ms=now_ms), [Prompt("question", language)]
        case Now(conditions):
            return _pass_time(replace(flow, conditions=conditions), settings, now_ms)
        case _:
            assert_never(happened)


def _thank(flow: Flow, settings: KioskSettings, now_ms: int) -> Flow:
    return replace(flow, view=View.THANKS, until_ms=now_ms + round(settings.thanks_s * 1000))


def _pass_time(flow: Flow, settings: KioskSettings, now_ms: int) -> tuple[Flow, list[Effect]]:
    if flow.view in (View.THANKS, View.REASONS) and now_ms < flow.until_ms:
        return flow, []
    if flow.view is View.THANKS and flow.ask_reason:
        until_ms = now_ms + round(settings.reason_s * 1000)
        return replace(flow, view=View.REASONS, ask_reason=False, aside=True, until_ms=until_ms), []
    flow = at_rest(flow)
    if flow.language != settings.languages[0] and now_ms - flow.touched_ms > LANGUAGE_RESET_MS:
        flow = replace(flow, language=settings.languages[0])
    return flow, []


def at_rest(flow: Flow) -> Flow:
    """The picture between citizens."""
    view = View.IDLE
    if not flow.conditions.counter_open:
        view = View.CLOSED
    elif flow.conditions.panel is False:
        view = View.NO_PANEL
    return replace(flow, view=view, until_ms=0, press="", ask_reason=False, aside=False)
