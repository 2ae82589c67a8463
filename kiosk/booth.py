"""The booth: where presses from any source meet the ballot box, and where what is shown is decided.

    panel, keypad, touch page --Ballot--> BallotBox (disk) --> Flow --> Picture --> screens
                                             |                  +--> prompts (sound)
                                             +--> the source is told: only now does a panel light up

It knows no device and no screen: they subscribe. Everything runs on the event loop.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bus.clock import Quality
from bus.errors import UnavailableError
from bus.logs import fields
from bus.timekeeper import Timekeeper
from kiosk.ballots import Ballot, BallotBox
from kiosk.flow import (
    Conditions,
    Flow,
    Input,
    KeepReason,
    LanguageChosen,
    Now,
    Prompt,
    ReasonGiven,
    Skipped,
    Voted,
    at_rest,
    step,
)
from kiosk.picture import Picture, draw
from kiosk.settings import KioskSettings, is_open, local_time

log = logging.getLogger("kiosk.booth")

TICK_S: Final = 0.1
# A press that is older when it is on disk (the line or the kiosk was down), or of an unsure age, was made by somebody
# who has left: thanks would puzzle whoever stands there now, and the question why would ask them for another's reason.
THANKED_WITHIN_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Source:
    """A source of presses: is it there, and how many buttons it has told of."""

    present: bool = False
    buttons: int = 0


class Booth:
    """One counter's kiosk. `settings` may be replaced at any time by `use`."""

    def __init__(self, box: BallotBox, clock: Timekeeper, settings: KioskSettings) -> None:
        self.box: Final = box
        self.settings = settings
        self._clock = clock
        self._conditions = Conditions()
        self._inputs: dict[str, _Source] = {}
        self._flow = Flow(language=settings.languages[0])
        self._pictures: list[Callable[[Picture], None]] = []
        self._prompts: list[Callable[[Prompt], None]] = []
        self._reasons: set[asyncio.Task[None]] = set()
        self.picture = self._draw(self._flow)
        self._aside: Picture | None = None

    def picture_for(self, page: str) -> Picture:
        """What this page shows (`page` begins the names of its presses): `picture`, or what is for it alone."""
        return self._aside if self._aside is not None and self._flow.press.startswith(f"{page}/") else self.picture

    def on_picture(self, show: Callable[[Picture], None]) -> Callable[[], None]:
        """Call `show` with each new picture that all may see, and now; returns how to stop.

        It is called too when what is for one page alone has changed (`picture_for`).
        """
        self._pictures.append(show)
        show(self.picture)
        return lambda: self._pictures.remove(show)

    def on_prompt(self, speak: Callable[[Prompt], None]) -> Callable[[], None]:
        """Call `speak` when something is to be said; returns how to stop."""
        self._prompts.append(speak)
        return lambda: self._prompts.remove(speak)

    def use(self, settings: KioskSettings) -> None:
        """New settings hold from now on."""
        self.settings = settings
        if self._flow.language not in settings.languages:
            self._flow = replace(self._flow, language=settings.languages[0])
        self.tick()

    def panel(self, *, present: bool, buttons: int | None = None, source: str = "panel") -> None:
        """A source of presses with buttons (the panels, a keypad) has come or gone; one that is there is enough.

        The faces are those of the buttons that are there, the panel's before a keypad's.
        """
        before = self._inputs.get(source, _Source())
        self._inputs[source] = _Source(present, before.buttons if buttons is None else buttons)
        self._conditions = replace(self._conditions, panel=any(one.present for one in self._inputs.values()))
        self.tick()

    def network(self, *, up: bool) -> None:
        """The commune's broker is reached, or is not."""
        if up != self._conditions.network_up:
            self._conditions = replace(self._conditions, network_up=up)
            self.tick()

    def put(self, ballot: Ballot, *, on_disk: Callable[[], None] = lambda: None) -> "asyncio.Future[bool]":
        """A press: True once on disk, False when known already; `UnavailableError` when it could not be written.

        `on_disk` is called the moment it is there, before anything is drawn: the lamp waits for nothing but the disk.
        """
        ballot = replace(ballot, language=self._flow.language)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.box.put(ballot).add_done_callback(partial(self._boxed, ballot, on_disk, answer))
        return answer

    def _boxed(
        self,
        ballot: Ballot,
        on_disk: Callable[[], None],
        answer: "asyncio.Future[bool]",
        boxed: "asyncio.Future[bool]",
    ) -> None:
        error = boxed.exception()
        if error is None:
            on_disk()
        else:
            log.error("press not written %s", fields(error=error))
        if not answer.done():  # done: whoever asked has given up
            if error is None:
                answer.set_result(boxed.result())
            else:
                answer.set_exception(error)
        self._disk(ok=error is None)
        late = ballot.age_unsure or self.now_ms() - ballot.pressed_ms > THANKED_WITHIN_MS
        if error is None and boxed.result() and not late:
            self._step(Voted(ballot.press, ballot.level, touch=ballot.source == "touch", levels=ballot.levels))

    def reason(self, press: str, reason: str) -> None:
        """The citizen touched a reason for their press; another press has come meanwhile: too late."""
        if press == self._flow.press:
            self._step(ReasonGiven(reason))

    def skip(self) -> None:
        """The citizen wants to give no reason."""
        self._step(Skipped())

    def language(self, language: str) -> None:
        """The citizen chose a language."""
        self._step(LanguageChosen(language))

    def tick(self) -> None:
        """Time has passed; call every `TICK_S`."""
        stamp = self._clock.now()
        # A counter is not closed on the word of a clock that nobody vouches for.
        unsure = stamp.quality is Quality.UNKNOWN
        self._conditions = replace(
            self._conditions, counter_open=unsure or is_open(self.settings, local_time(stamp.wall_ms))
        )
        self._step(Now(self._conditions))

    def now_ms(self) -> int:
        """The monotonic clock of stamps, in milliseconds."""
        return self._clock.now().mono_ns // 1_000_000

    def _disk(self, *, ok: bool) -> None:
        if ok != self._conditions.disk_ok:
            self._conditions = replace(self._conditions, disk_ok=ok)
            self.tick()

    def _step(self, happened: Input) -> None:
        self._flow, effects = step(self._flow, happened, self.settings, now_ms=self.now_ms())
        picture = self._draw(at_rest(self._flow) if self._flow.aside else self._flow)
        aside = self._draw(self._flow) if self._flow.aside else None
        if (picture, aside) != (self.picture, self._aside):
            self.picture, self._aside = picture, aside
            for show in list(self._pictures):
                show(picture)
        for effect in effects:
            match effect:
                case Prompt():
                    for speak in list(self._prompts):
                        speak(effect)
                case KeepReason(press, reason):
                    task = asyncio.get_running_loop().create_task(self._keep_reason(press, reason))
                    self._reasons.add(task)
                    task.add_done_callback(self._reasons.discard)

    def _buttons(self) -> int:
        """Of the source whose faces are shown; 0 where none has told of its buttons."""
        ranked = sorted(self._inputs.items(), key=lambda item: (not item[1].present, item[0] != "panel"))
        return next((one.buttons for _, one in ranked if one.buttons), 0)

    async def _keep_reason(self, press: str, reason: str) -> None:
        try:
            await self.box.give_reason(press, reason)
        except UnavailableError as error:
            log.error("reason not written %s", fields(error=error))

    def _draw(self, flow: Flow) -> Picture:
        stamp = self._clock.now()
        unsure = stamp.quality is Quality.UNKNOWN
        clock = "" if unsure else local_time(stamp.wall_ms).strftime("%H:%M")
        levels = self._buttons() or self.settings.levels
        return draw(flow, self.settings, levels=levels, clock=clock, officer=self.box.officer)
