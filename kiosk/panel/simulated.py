"""A panel without hardware: the reference firmware's behaviour as a pure core.

It keeps what kiosk/firmware/panel.c keeps: a press is repeated every 250 ms until it is acknowledged, a full queue
takes no press, and lamps and beep answer an acknowledgement alone, alike for every button. A test holds the two
against each other on the same script. `panel.bench` puts it on a pty.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from kiosk.panel.frames import Ack, FromPanel, Heartbeat, Hello, Led, Press, ToPanel, Who

REPEAT_MS: Final = 250
HEARTBEAT_MS: Final = 1_000
ANSWER_LAMP_MS: Final = 1_200
ANSWER_BEEP_MS: Final = 120
QUEUE: Final = 16
BLINK_MS: Final = 400


@dataclass(frozen=True, slots=True)
class Waiting:
    """A press that nobody has acknowledged yet."""

    seq: int
    button: int
    pressed_ms: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Panel:
    """The panel's state; times on any monotonic clock in milliseconds."""

    panel: str
    boot: str
    buttons: int
    started_ms: int
    beat_ms: int
    last_seq: int = 0
    waiting: tuple[Waiting, ...] = ()
    dropped: int = 0
    acknowledged: int = 0
    answered_ms: int | None = None
    led: Led = field(default_factory=lambda: Led(0, 0))


def power_up(panel: str, boot: str, buttons: int, *, now_ms: int) -> tuple[Panel, list[FromPanel]]:
    """A fresh panel says hello."""
    state = Panel(panel, boot, buttons, started_ms=now_ms, beat_ms=now_ms)
    return state, [Hello(panel, boot, buttons)]


def press(state: Panel, button: int, *, now_ms: int) -> tuple[Panel, list[FromPanel]]:
    """A button goes down. A full queue takes nothing: nothing will light up."""
    if not 1 <= button <= state.buttons or len(state.waiting) >= QUEUE:
        return replace(state, dropped=state.dropped + 1), []
    waiting = Waiting(state.last_seq + 1, button, pressed_ms=now_ms, sent_ms=now_ms)
    state = replace(state, last_seq=waiting.seq, waiting=(*state.waiting, waiting))
    return state, [_frame(state, waiting, now_ms)]


def hear(state: Panel, messages: Iterable[ToPanel], *, now_ms: int) -> tuple[Panel, list[FromPanel]]:
    """What the kiosk says."""
    answers: list[FromPanel] = []
    for message in messages:
        match message:
            case Who():
                answers.append(Hello(state.panel, state.boot, state.buttons))
            case Led():
                state = replace(state, led=message)
            case Ack(boot, seq):
                left = tuple(one for one in state.waiting if (state.boot, one.seq) != (boot, seq))
                if left != state.waiting:
                    acknowledged = state.acknowledged + 1
                    state = replace(state, waiting=left, answered_ms=now_ms, acknowledged=acknowledged)
    return state, answers


def tick(state: Panel, *, now_ms: int) -> tuple[Panel, list[FromPanel]]:
    """Repeat what waits, and beat. Call every few milliseconds."""
    out: list[FromPanel] = []
    waiting = []
    for one in state.waiting:
        if now_ms - one.sent_ms >= REPEAT_MS:
            one = replace(one, sent_ms=now_ms)
            out.append(_frame(state, one, now_ms))
        waiting.append(one)
    state = replace(state, waiting=tuple(waiting))
    if now_ms - state.beat_ms >= HEARTBEAT_MS:
        state = replace(state, beat_ms=state.beat_ms + HEARTBEAT_MS)
        out.append(Heartbeat(state.boot, (now_ms - state.started_ms) // 1000))
    return state, out


def lamps(state: Panel, *, now_ms: int) -> int:
    """Which lamps are on, bit i for button i + 1."""
    everything = (1 << state.buttons) - 1
    if state.answered_ms is not None and now_ms - state.answered_ms < ANSWER_LAMP_MS:
        return everything
    on = state.led.mode == 1 or (state.led.mode == 2 and (now_ms // BLINK_MS) % 2 == 0)
    return state.led.mask & everything if on else 0


def beeping(state: Panel, *, now_ms: int) -> bool:
    """Is the buzzer on?"""
    return state.answered_ms is not None and now_ms - state.answered_ms < ANSWER_BEEP_MS


def _frame(state: Panel, waiting: Waiting, now_ms: int) -> Press:
    return Press(state.boot, waiting.seq, waiting.button, now_ms - waiting.pressed_ms)
