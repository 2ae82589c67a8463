"""The ballot box: a press goes in once, is on disk, and only then is anyone told.

It holds the ledger of known presses, the memory of the last minute for `kiosk.votes`, and the days' totals; all three
are rebuilt from the journal at start, so that a kiosk killed at any point knows what it had taken.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bus.clock import Quality, Stamp
from bus.entries import AGE_UNSURE, EntryData, OfficerOnDuty, RatingFlagged, RatingPressed, RatingReason, read_data
from bus.errors import UnavailableError, WrongInputError
from bus.journal import Journal, Key
from bus.logs import fields
from bus.messages import Entry
from kiosk.days import Days
from kiosk.duty import Duty, come, on_duty, rebooted
from kiosk.ledger import PressLedger
from kiosk.panel.session import Known
from kiosk.settings import KioskSettings, is_open, local_time
from kiosk.votes import Judged, Pressed, Recent, forget, judge, judge_unsure

if TYPE_CHECKING:
    from concurrent.futures import Future

log = logging.getLogger("kiosk.ballots")

Source = Literal["panel", "keypad", "touch"]
DutySource = Literal["badge", "console", "settings"]

_CHUNK: Final = 512


@dataclass(frozen=True, slots=True)
class Ballot:
    """One press as a source hands it in. `pressed_ms` is on the monotonic clock of stamps (CLOCK_BOOTTIME).

    `age_unsure`: that moment is the word of a clock that nobody vouches for, and may be wrong by any time.
    """

    press: str
    source: Source
    level: int
    levels: int
    pressed_ms: int
    language: str = "vi"
    age_unsure: bool = False


class BallotBox:
    """Lives on the event loop; `stamp` gives this moment, `settings` what holds now."""

    def __init__(self, journal: Journal, *, stamp: Callable[[], Stamp], settings: Callable[[], KioskSettings]) -> None:
        self._journal = journal
        self._stamp = stamp
        self._settings = settings
        self._ledger = PressLedger()
        self._recent: Recent = ()
        self._writing: dict[str, list[asyncio.Future[bool]]] = {}
        self._days = Days()
        self._unflagged: list[RatingFlagged] = []
        self._flagging = asyncio.Lock()
        self._flag_tasks: set[asyncio.Future[None]] = set()
        self._duty: Duty = ()
        self._badged: Stamp | None = None
        self._recover()

    @property
    def officer(self) -> str:
        """The code of who is on duty now; "" for nobody."""
        return self._duty[-1].officer if self._duty else ""

    def known(self, press: str) -> Known:
        """New, being written, or on disk."""
        return self._ledger.known(press)

    def put(self, ballot: Ballot) -> "asyncio.Future[bool]":
        """Take a press; done once it is on disk: True, or False where it had been offered before.

        `UnavailableError` where it could not be written: nothing was taken, and the source must offer it again. Whoever
        waits may give up: the press goes on being written, and who offers it meanwhile waits for that.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if (waiting := self._writing.get(ballot.press)) is not None:
            waiting.append(answer)
        elif self._ledger.known(ballot.press) is not Known.NEW:
            answer.set_result(False)
        else:
            self._take(ballot, answer)
        return answer

    def _take(self, ballot: Ballot, answer: "asyncio.Future[bool]") -> None:
        settings, stamp = self._settings(), self._stamp()
        pressed = Pressed(ballot.press, ballot.pressed_ms, ballot.level, settings.counter)
        # The hours and the officer are those of the press: it may have been long under way.
        age_ms = max(0, stamp.mono_ns // 1_000_000 - ballot.pressed_ms)
        # Nobody is out of hours on the word of a clock that nobody vouches for.
        unsure = ballot.age_unsure or stamp.quality is Quality.UNKNOWN
        was_open = unsure or is_open(settings, local_time(stamp.wall_ms - age_ms))
        if ballot.age_unsure:
            recent, judged = self._recent, judge_unsure()
        else:
            recent, judged = judge(self._recent, pressed, counter_open=was_open)
        record = RatingPressed(
            press=ballot.press,
            source=ballot.source,
            level=ballot.level,
            levels=ballot.levels,
            age_ms=age_ms,
            counter=settings.counter,
            officer="" if ballot.age_unsure else on_duty(self._duty, ballot.pressed_ms),
            question=settings.question.id,
            language=ballot.language,
            replaces=judged.replaces,
            flags=judged.flags,
        )
        written = self._journal.append(record, at=stamp)
        self._recent = recent
        self._ledger.begin(ballot.press)
        self._writing[ballot.press] = [answer]
        # One hop from the journal's thread, no task: this is the way from the disk to the lamp.
        loop, settle = asyncio.get_running_loop(), partial(self._settle, record, judged, stamp)
        written.add_done_callback(lambda done: loop.call_soon_threadsafe(settle, done))

    def _settle(self, record: RatingPressed, judged: Judged, stamp: Stamp, written: "Future[Key]") -> None:
        """The press is on disk, or could not be written: whoever waits hears of it first."""
        first, *others = self._writing.pop(record.press)
        error = written.exception()
        if error is None:
            self._ledger.keep(record.press)
        else:
            self._ledger.give_up(record.press)
            self._recent = forget(self._recent, record.press, judged)
        for answer in (first, *others):
            if answer.done():
                continue  # given up
            if error is None:
                answer.set_result(answer is first)
            else:
                answer.set_exception(error)
        if error is None:
            self._days.take(record, stamp)
            self._suspect(judged)
            self._flag_soon()

    async def give_reason(self, press: str, reason: str) -> None:
        """Record why. `UnavailableError` where it could not be written: a reason may be lost, a vote may not."""
        await self._write(RatingReason(press=press, reason=reason, counter=self._settings().counter), self._stamp())

    async def set_officer(self, code: str, source: DutySource) -> None:
        """From now on ratings belong to this officer; "" for nobody. On disk before it holds.

        A badge holds for the day: whoever forgot to sign off is not rated for those who come tomorrow.
        """
        if code == self.officer:
            return
        duty, stamp = OfficerOnDuty(self._settings().counter, code, source), self._stamp()
        await self._write(duty, stamp)
        self._come_on_duty(duty, stamp)

    async def close_days(self) -> None:
        """Journal what the end of a day brings: its totals, and the sign-off of a badge. Call now and then."""
        await self.write_flags()
        now = self._days.local(self._stamp())
        if now is not None and self._badged is not None:
            since = self._days.local(self._badged)
            if since is None or since.date() != now.date():
                await self.set_officer("", "badge")
        for totals in self._days.due(self._settings(), self._stamp()):
            await self._write(totals, self._stamp())

    def _come_on_duty(self, duty: OfficerOnDuty, stamp: Stamp) -> None:
        self._duty = come(self._duty, stamp.mono_ns // 1_000_000, duty.officer)
        self._badged = stamp if duty.officer and duty.source == "badge" else None

    async def write_flags(self) -> None:
        """Journal the flags of earlier presses that are not on disk yet; a press never waits for them."""
        async with self._flagging:
            while self._unflagged:
                record = self._unflagged[0]
                await self._write(record, self._stamp())
                self._unflagged.remove(record)

    def _suspect(self, judged: Judged) -> None:
        self._unflagged += [RatingFlagged(presses, flag) for flag, presses in judged.flagged_earlier.items()]

    def _flag_soon(self) -> None:
        if self._unflagged and not self._flagging.locked():
            task = asyncio.ensure_future(self._try_flags())
            self._flag_tasks.add(task)
            task.add_done_callback(self._flag_tasks.discard)

    async def _try_flags(self) -> None:
        try:
            await self.write_flags()
        except UnavailableError as error:
            log.error("flags not written, tried again later %s", fields(error=error))

    async def _write(self, data: EntryData, stamp: Stamp) -> None:
        await asyncio.wrap_future(self._journal.append(data, at=stamp))
        self._days.take(data, stamp)

    def _recover(self) -> None:
        presses, boot = 0, self._stamp().boot
        told, boot_read = False, ""
        for entry, data in _records(self._journal):
            if entry.at.boot != boot_read:
                self._duty, boot_read = rebooted(self._duty), entry.at.boot
            match data:
                case RatingPressed():
                    presses += 1
                    self._ledger.keep(data.press)
                    pressed_ms = entry.at.mono_ns // 1_000_000 - data.age_ms
                    sure = AGE_UNSURE not in data.flags
                    # The record of who came on duty may have left the journal long ago: then presses tell. Once there
                    # is one they do not: a press written beside it, or late, names whoever was there before.
                    if sure and not told and on_duty(self._duty, pressed_ms) != data.officer:
                        self._duty = come(self._duty, pressed_ms, data.officer)
                    if sure and entry.at.boot == boot:
                        pressed = Pressed(data.press, pressed_ms, data.level, data.counter)
                        self._recent, judged = judge(self._recent, pressed, counter_open=True)
                        self._suspect(judged)
                case OfficerOnDuty():
                    told = True
                    self._come_on_duty(data, entry.at)
                case RatingFlagged():
                    self._unflagged = [flag for flag in self._unflagged if flag != data]
                case _:
                    pass
            self._days.take(data, entry.at)
        if boot_read != boot:
            self._duty = rebooted(self._duty)
        log.info("ballots recovered %s", fields(presses=presses))


def _records(journal: Journal) -> Iterator[tuple[Entry, EntryData]]:
    """Every record still in the journal, in order; what cannot be read is the hub's to quarantine."""
    for view in journal.epochs():
        seq = view.first_held
        while view.klass == "record" and seq <= view.head:
            chunk = journal.read(view.epoch, view.klass, seq, max_count=_CHUNK, max_bytes=1 << 20)
            if not chunk.entries:
                break
            for body in chunk.entries:
                try:
                    entry = msgspec.json.decode(body, type=Entry)
                    data = read_data(entry.kind, entry.data)
                except (msgspec.MsgspecError, WrongInputError):
                    continue
                if data is not None:
                    yield entry, data
            seq = chunk.first + len(chunk.entries)
