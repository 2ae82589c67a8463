"""One panel on one line: a pure core.

What always holds, whatever the line, the panel or this process does:

- a press is acknowledged only once its record is on disk, and every time it is repeated after that;
- nothing is acknowledged before the panel has said hello, nor a press of another power-up than it said hello with;
- (panel id, boot, seq) is recorded once, however often it is heard (design, "Panel");
- a panel that has not 3, 4 or 5 buttons is none of ours: its levels would mean nothing, so it stays dark.

`panel.port` moves the bytes; the kiosk's resident records and tells `Durable` back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, assert_never

from kiosk.panel.frames import Ack, FromPanel, Heartbeat, Hello, Press, ToPanel, Who

SILENT_AFTER_MS: Final = 3_500  # three heartbeats and a half
ASK_EVERY_MS: Final = 1_000
SCALES: Final = (3, 4, 5)


class Known(Enum):
    """What the ledger knows of a press."""

    NEW = "new"
    PENDING = "pending"
    DURABLE = "durable"


Ledger = Callable[[str], Known]


@dataclass(frozen=True, slots=True)
class Heard:
    """A sound frame has come."""

    message: FromPanel


@dataclass(frozen=True, slots=True)
class Durable:
    """The record of this press is on disk."""

    press: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The line has been opened."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The line is gone (unplugged, error)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Input = Heard | Durable | Opened | Closed | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Put this on the line."""

    message: ToPanel


@dataclass(frozen=True, slots=True)
class Record:
    """Write this press; answer with `Durable`. `pressed_ms` is on the monotonic clock of this machine."""

    press: str
    button: int
    buttons: int
    pressed_ms: int


@dataclass(frozen=True, slots=True)
class Present:
    """A panel is there and has said hello."""

    panel: str
    buttons: int


@dataclass(frozen=True, slots=True)
class Absent:
    """No panel is heard; `unplugged` says that the line itself is gone."""

    unplugged: bool


Effect = Send | Record | Present | Absent


@dataclass(frozen=True, slots=True)
class Session:
    """State of the line. `refused` counts presses of a button the panel does not have, and panels of no such scale."""

    hello: Hello | None = None
    line_open: bool = False
    heard_ms: int = 0
    asked_ms: int = -ASK_EVERY_MS
    refused: int = 0


def press_name(panel: str, boot: str, seq: int) -> str:
    """The name of a press for ever, at the hub too."""
    return f"{panel}/{boot}/{seq}"


def step(state: Session, happened: Input, *, now_ms: int, ledger: Ledger) -> tuple[Session, list[Effect]]:
    """Take one input at monotonic `now_ms`."""
    match happened:
        case Heard(message):
            return _hear(replace(state, heard_ms=now_ms), message, now_ms, ledger)
        case Durable(press):
            return state, _acknowledge(state, press)
        case Opened():
            return _ask(Session(line_open=True, heard_ms=now_ms, refused=state.refused), now_ms)
        case Closed():
            return Session(refused=state.refused), [Absent(unplugged=True)] if state.line_open else []
        case Tick():
            return _tick(state, now_ms)
        case _:
            assert_never(happened)


def _hear(state: Session, message: FromPanel, now_ms: int, ledger: Ledger) -> tuple[Session, list[Effect]]:
    match message:
        case Hello(_, _, buttons) if buttons not in SCALES:
            state, gone = replace(state, hello=None, refused=state.refused + 1), state.hello is not None
            return state, [Absent(unplugged=False)] if gone else []
        case Hello(panel, _, buttons):
            return replace(state, hello=message), [] if state.hello == message else [Present(panel, buttons)]
        case Heartbeat(boot):
            known = state.hello is not None and state.hello.boot == boot
            return (state, []) if known else _ask(replace(state, hello=None), now_ms)
        case Press(boot):
            if state.hello is None or state.hello.boot != boot:
                return _ask(replace(state, hello=None), now_ms)
            return _take(state, state.hello, message, now_ms, ledger)
        case _:
            assert_never(message)


def _take(state: Session, hello: Hello, message: Press, now_ms: int, ledger: Ledger) -> tuple[Session, list[Effect]]:
    if message.button > hello.buttons:
        return replace(state, refused=state.refused + 1), []
    press = press_name(hello.panel, message.boot, message.seq)
    match ledger(press):
        case Known.NEW:
            return state, [Record(press, message.button, hello.buttons, now_ms - message.age_ms)]
        case Known.PENDING:
            return state, []
        case Known.DURABLE:
            return state, [Send(Ack(message.boot, message.seq))]
        case unreachable:
            assert_never(unreachable)


def _acknowledge(state: Session, press: str) -> list[Effect]:
    panel, boot, seq = press.rsplit("/", 2)
    if state.hello is None or (state.hello.panel, state.hello.boot) != (panel, boot):
        return []  # it will repeat the press once it has said hello
    return [Send(Ack(boot, int(seq)))]


def _ask(state: Session, now_ms: int) -> tuple[Session, list[Effect]]:
    if now_ms - state.asked_ms < ASK_EVERY_MS:
        return state, []
    return replace(state, asked_ms=now_ms), [Send(Who())]


def _tick(state: Session, now_ms: int) -> tuple[Session, list[Effect]]:
    if not state.line_open:
        return state, []
    effects: list[Effect] = []
    if state.hello is not None and now_ms - state.heard_ms > SILENT_AFTER_MS:
        state = replace(state, hello=None)
        effects.append(Absent(unplugged=False))
    if state.hello is None:
        state, asked = _ask(state, now_ms)
        effects += asked
    return state, effects
