"""The ballot box on a real journal: on disk before anyone is told, the same after a restart."""

import asyncio
import hashlib
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import EntryData, OfficerOnDuty, RatingDay, RatingFlagged, RatingPressed, RatingReason
from bus.errors import UnavailableError
from bus.journal import Journal
from bus.timekeeper import Simulation
from hub.ratings.days import recount
from kiosk.ballots import Ballot, BallotBox
from kiosk.days import Days
from kiosk.flow import View
from kiosk.panel.session import Known
from kiosk.settings import LOCAL, Hours, KioskSettings
from tests.kiosk.bench import BoothBench, presses, records, until

MASHED = [RatingFlagged(["P-1/0000000A/1", "P-1/0000000A/2"], "mashing")]
AT = Stamp("b" * 32, 0, 1_764_000_000_000, Quality.TRUSTED)
NEXT_DAY = Stamp("b" * 32, 90_000_000_000_000, 1_764_090_000_000, Quality.TRUSTED)


def flags(bench: BoothBench) -> list[RatingFlagged]:
    return [data for _, data in records(bench.journal) if isinstance(data, RatingFlagged)]


def ballot(bench: BoothBench, seq: int, level: int = 1, *, ago_ms: int = 0) -> Ballot:
    return Ballot(f"P-1/0000000A/{seq}", "panel", level, 5, bench.booth.now_ms() - ago_ms)


async def test_a_press_is_one_record_however_often_it_is_offered(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    offered = await asyncio.gather(*(bench.booth.put(ballot(bench, 1)) for _ in range(5)))
    assert sorted(offered) == [False] * 4 + [True]
    assert [press.press for press in presses(bench.journal)] == ["P-1/0000000A/1"]
    bench.close()


async def test_after_a_restart_the_same_press_is_known(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    await bench.booth.put(ballot(bench, 1))
    bench = bench.again()
    assert bench.booth.box.known("P-1/0000000A/1") is Known.DURABLE
    assert await bench.booth.put(ballot(bench, 1)) is False
    assert await bench.booth.put(ballot(bench, 2, level=5)) is True
    assert presses(bench.journal)[-1].replaces == "P-1/0000000A/1"  # the memory of the last minute survives too
    bench.close()


async def test_the_record_tells_when_the_press_was_made(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    await bench.booth.put(ballot(bench, 1, ago_ms=40_000))
    assert 40_000 <= presses(bench.journal)[0].age_ms < 42_000
    bench.close()


async def test_a_press_of_an_unsure_age_is_held_against_no_other_and_stays_in_filtered_figures(tmp_path: Path) -> None:
    """Those that a tablet kept under a wrong clock all seem to be of one moment: none may replace another."""
    bench = BoothBench(tmp_path)
    await bench.booth.put(ballot(bench, 1))
    for seq in range(2, 12):
        kept = Ballot(f"touch-a/0000000B/{seq}", "touch", 2, 5, bench.booth.now_ms(), age_unsure=True)
        await bench.booth.put(kept)
    assert bench.booth.picture.view is View.THANKS  # of the first, which is the panel's
    bench = bench.again()
    await bench.booth.put(ballot(bench, 12, level=5))
    first, *unsure, last = presses(bench.journal)
    assert [(press.flags, press.replaces) for press in unsure] == [(["age-unsure"], "")] * 10
    assert (last.flags, last.replaces) == ([], first.press)
    assert flags(bench) == []
    days = Days()
    for entry, data in records(bench.journal):
        days.take(data, entry.at)
    (told,) = days.due(KioskSettings(), NEXT_DAY)
    assert (told.counted, told.filtered) == ([0, 10, 0, 0, 1], [0, 10, 0, 0, 1])
    recounted = recount(data for _, data in records(bench.journal) if isinstance(data, RatingPressed))
    assert (list(recounted.counted), list(recounted.filtered)) == (told.counted, told.filtered)
    bench.close()


async def test_nobody_is_thanked_for_a_press_of_an_unsure_age(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    await bench.booth.put(Ballot("touch-a/0000000B/1", "touch", 5, 5, bench.booth.now_ms(), age_unsure=True))
    assert bench.booth.picture.view is View.IDLE
    bench.close()


async def test_misuse_flags_the_earlier_presses_by_a_record_of_their_own(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    for seq in (1, 2, 3):
        await bench.booth.put(ballot(bench, seq, level=seq))
    await until(lambda: flags(bench) == MASHED)
    bench.close()
    bench = BoothBench(tmp_path)
    await bench.booth.box.write_flags()
    assert flags(bench) == MASHED  # and not again
    bench.close()


async def test_flags_that_were_not_written_before_the_end_are_written_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = BoothBench(tmp_path)
    append = bench.journal.append

    def refuse_flags(data: EntryData, **more: Any) -> Any:
        if isinstance(data, RatingFlagged):
            raise UnavailableError("no room")
        return append(data, **more)

    with monkeypatch.context() as patched:
        patched.setattr(bench.journal, "append", refuse_flags)
        for seq in (1, 2, 3):
            assert await bench.booth.put(ballot(bench, seq, level=seq)) is True  # the press itself is on disk
    assert flags(bench) == []
    bench = bench.again()
    await bench.booth.box.close_days()
    assert flags(bench) == MASHED
    bench.close()


async def test_whoever_offers_a_press_that_is_being_written_waits_though_the_first_gave_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = BoothBench(tmp_path)
    append, reached, held = bench.journal.append, asyncio.Event(), Future[Any]()
    written: list[Future[Any]] = []

    def late(data: EntryData, **more: Any) -> Any:
        written.append(append(data, **more))
        reached.set()
        return held

    monkeypatch.setattr(bench.journal, "append", late)
    first = bench.booth.put(ballot(bench, 1))
    await reached.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = bench.booth.put(ballot(bench, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not second.done()
    held.set_result(written[0].result())
    assert await second is False
    bench.close()


async def test_the_officer_is_known_though_the_record_of_coming_on_duty_has_left_the_journal(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    told = (("CB-06", 5_000), ("CB-07", 50), ("CB-06", 4_000), ("", 3_600_000 * 24 * 400))  # late ones stand behind
    for seq, (officer, age_ms) in enumerate(told):
        await bench.journal.record(RatingPressed(f"P-1/0000000A/{seq}", "panel", 1, 5, age_ms, "1", officer))
    bench = bench.again()
    assert bench.booth.box.officer == "CB-07"
    bench.close()


async def test_who_signed_off_stays_off_over_a_restart_though_a_press_was_under_way(tmp_path: Path) -> None:
    """A press that is appended while the duty is being written names the officer before, and stands after it."""
    bench = BoothBench(tmp_path)
    await bench.booth.box.set_officer("CB-07", "console")
    leaving = asyncio.ensure_future(bench.booth.box.set_officer("", "console"))
    await asyncio.sleep(0)
    assert bench.booth.box.officer == "CB-07"
    await asyncio.gather(bench.booth.put(ballot(bench, 1)), leaving)
    assert isinstance([data for _, data in records(bench.journal)][-1], RatingPressed)
    assert presses(bench.journal)[0].officer == "CB-07"
    bench = bench.again()
    assert bench.booth.box.officer == ""
    bench.close()


class Box:
    """A ballot box whose time is told: `at("14:05")` on one Monday, its boot at midnight."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at("06:00")
        self.journal = Journal(folder, stamp=lambda: self.stamp, config=JournalConfig())
        self.box = BallotBox(self.journal, stamp=lambda: self.stamp, settings=KioskSettings)

    def at(self, clock: str) -> int:
        """It is this time now; returns it as the monotonic clock has it."""
        moment = datetime.fromisoformat(f"2026-09-21T{clock}").replace(tzinfo=LOCAL)
        wall_ms = round(moment.timestamp() * 1000)
        since_ms = (moment.hour * 60 + moment.minute) * 60_000
        self.stamp = Stamp("b" * 32, since_ms * 1_000_000, wall_ms, Quality.TRUSTED)
        return since_ms

    def again(self) -> "Box":
        self.journal.close()
        return Box(self.folder)


async def test_a_late_press_gets_the_hours_and_the_officer_of_when_it_was_made(tmp_path: Path) -> None:
    bench, names = Box(tmp_path), iter(range(1, 100))
    for clock, officer in (("07:00", "CB-07"), ("13:30", "CB-08"), ("17:00", "CB-09")):
        bench.at(clock)
        await bench.box.set_officer(officer, "console")

    async def handed_in(made: str, *, age_unsure: bool = False) -> tuple[str, list[str]]:
        pressed_ms = bench.at(made)
        bench.at("17:05")
        late = Ballot(f"touch-a/0000000A/{next(names)}", "touch", 1, 5, pressed_ms, age_unsure=age_unsure)
        await bench.box.put(late)
        return presses(bench.journal)[-1].officer, presses(bench.journal)[-1].flags

    for _ in range(2):  # before and after a restart
        assert await handed_in("14:05") == ("CB-08", [])
        assert await handed_in("09:15") == ("CB-07", [])
        assert await handed_in("12:00") == ("CB-07", ["out-of-hours"])
        assert await handed_in("06:30") == ("", ["out-of-hours"])
        assert await handed_in("17:04") == ("CB-09", ["out-of-hours"])
        assert await handed_in("14:05", age_unsure=True) == ("", ["age-unsure"])
        assert bench.box.officer == "CB-09"
        bench = bench.again()
    bench.journal.close()


async def test_flags_that_a_press_brought_which_could_not_be_written_come_with_its_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = BoothBench(tmp_path)
    for seq in (1, 2):
        await bench.booth.put(ballot(bench, seq, level=seq))
    refused: Future[Any] = Future()
    refused.set_exception(UnavailableError("no room"))
    third = ballot(bench, 3, level=3)
    with monkeypatch.context() as patched:
        patched.setattr(bench.journal, "append", lambda *_, **__: refused)
        with pytest.raises(UnavailableError):
            await bench.booth.put(third)
    await bench.booth.put(third)
    await until(lambda: flags(bench) == MASHED)
    bench.close()


async def test_whoever_handed_a_press_in_may_give_up_while_it_is_written(tmp_path: Path) -> None:
    """The touch page's handler is cancelled with its request; the press is stored and thanked for all the same."""
    bench = BoothBench(tmp_path)
    lit: list[bool] = []

    async def handler() -> None:
        await bench.booth.put(ballot(bench, 1), on_disk=lambda: lit.append(True))

    request = asyncio.create_task(handler())
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await until(lambda: bench.booth.picture.view is View.THANKS)
    assert lit == [True]
    assert [press.press for press in presses(bench.journal)] == ["P-1/0000000A/1"]
    assert await bench.booth.put(ballot(bench, 1)) is False
    bench.close()


async def test_the_lamp_is_told_before_anything_is_drawn_or_said(tmp_path: Path) -> None:
    bench, order = BoothBench(tmp_path), list[str]()
    bench.booth.on_picture(lambda picture: order.append(picture.view))
    bench.booth.on_prompt(lambda prompt: order.append(f"say {prompt.name}"))
    order.clear()
    await bench.booth.put(ballot(bench, 1), on_disk=lambda: order.append("lamp"))
    await until(lambda: len(order) == 3)
    assert order == ["lamp", "thanks", "say thanks"]
    bench.close()


async def test_a_press_that_is_being_written_at_the_end_is_stored(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    pressed = [bench.booth.put(ballot(bench, seq)) for seq in range(1, 20)]
    await asyncio.to_thread(bench.journal.close)
    assert await asyncio.gather(*pressed) == [True] * 19
    bench = BoothBench(tmp_path)
    assert len(presses(bench.journal)) == 19
    bench.close()


async def test_the_faces_are_of_the_buttons_that_are_there(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)

    def faces(source: str, *, present: bool, buttons: int | None = None) -> int:
        bench.booth.panel(present=present, buttons=buttons, source=source)
        return len(bench.booth.picture.levels)

    assert faces("k", present=False, buttons=3) == 3  # the keypad tells of its keys before it is plugged in
    assert faces("panel", present=True, buttons=5) == 5
    assert faces("k", present=True, buttons=3) == 5  # the panel's before a keypad's
    assert faces("k", present=False, buttons=3) == 5
    assert faces("k", present=True, buttons=3) == 5
    assert faces("panel", present=False) == 3
    assert faces("panel", present=True, buttons=4) == 4
    bench.close()


async def test_a_badge_holds_for_the_day_and_the_consoles_word_until_the_next(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    yesterday = msgspec.json.encode(Simulation(offset_ms=-86_400_000))
    for source, left in (("console", "CB-07"), ("badge", "")):
        bench.time_file.write_bytes(yesterday)
        await bench.booth.box.set_officer("", "console")
        await bench.booth.box.set_officer("CB-07", source)  # type: ignore[arg-type] # one of the two
        await bench.booth.box.close_days()
        assert bench.booth.box.officer == "CB-07"
        bench = bench.again()  # the clock is right again
        await bench.booth.box.close_days()
        assert bench.booth.box.officer == left
    bench.close()


async def test_who_is_on_duty_is_seen_on_the_screen(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    for code, counter in (("CB-07", "Quầy số 1, cán bộ CB-07"), ("", "Quầy số 1")):
        await bench.booth.box.set_officer(code, "badge")
        bench.booth.tick()
        assert bench.booth.picture.counter == counter
    bench.close()


def test_totals_are_not_told_again_from_what_is_left_of_a_day() -> None:
    """Records leave the journal a segment at a time: a start then finds the end of a day and its totals."""
    whole, rest = Days(), Days()
    day = [RatingPressed(f"P-1/0000000A/{seq}", "panel", 1, 5, 0, "1") for seq in range(1, 6)]
    for data in day:
        whole.take(data, AT)
    told = whole.due(KioskSettings(), NEXT_DAY)
    assert [sum(totals.pressed) for totals in told] == [5]
    remains: list[EntryData] = [*day[3:], *told]
    for left in remains:
        rest.take(left, AT)
    assert rest.due(KioskSettings(), NEXT_DAY) == []
    whole.take(day[0], AT)
    whole.take(told[0], AT)
    whole.take(RatingPressed("P-1/0000000A/9", "panel", 1, 5, 0, "1"), AT)
    assert [sum(totals.pressed) for totals in whole.due(KioskSettings(), NEXT_DAY)] == [6]


async def test_what_cannot_be_written_was_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = BoothBench(tmp_path)
    await bench.booth.put(ballot(bench, 1))

    def refuse(*_: object, **__: object) -> "Future[Any]":
        refused: Future[Any] = Future()
        refused.set_exception(UnavailableError("no room"))
        return refused

    with monkeypatch.context() as patched:
        patched.setattr(bench.journal, "append", refuse)
        with pytest.raises(UnavailableError):
            await bench.booth.put(ballot(bench, 2, level=5))
        assert bench.booth.box.known("P-1/0000000A/2") is Known.NEW
        assert bench.booth.picture.trouble
    assert await bench.booth.put(ballot(bench, 2, level=5)) is True
    assert [(press.press, press.replaces) for press in presses(bench.journal)] == [
        ("P-1/0000000A/1", ""),
        ("P-1/0000000A/2", "P-1/0000000A/1"),
    ]
    assert not bench.booth.picture.trouble
    bench.close()


async def test_a_reason_and_the_officer_are_recorded(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    await bench.booth.box.set_officer("CB-07", "badge")
    await bench.booth.put(Ballot("touch-a/0000000A/1", "touch", 5, 5, bench.booth.now_ms()))
    await bench.booth.box.give_reason("touch-a/0000000A/1", "waiting")
    kinds = [data for _, data in records(bench.journal)]
    assert OfficerOnDuty("1", "CB-07", "badge") in kinds
    assert RatingReason("touch-a/0000000A/1", "waiting", "1") in kinds
    assert presses(bench.journal)[0].officer == "CB-07"
    bench = bench.again()
    assert bench.booth.box.officer == "CB-07"
    bench.close()


async def test_the_day_is_closed_once_with_totals_and_a_digest_that_anyone_can_compute(tmp_path: Path) -> None:
    # Open from 00:00, closed by 00:01 of whatever day it is: the day's business is over.
    settings = KioskSettings(hours=[Hours([1, 2, 3, 4, 5, 6, 7], "00:00", "00:01")])
    bench = BoothBench(tmp_path, settings)
    for seq, level in ((1, 1), (2, 5)):  # the second replaces the first
        await bench.booth.put(ballot(bench, seq, level))
    await bench.booth.box.close_days()
    bench = bench.again()
    await bench.booth.box.close_days()
    days = [data for _, data in records(bench.journal) if isinstance(data, RatingDay)]
    assert len(days) == 1
    lines = "".join(f"{press.press},{press.level}\n" for press in presses(bench.journal))
    assert days[0].digest == hashlib.sha256(lines.encode()).hexdigest()
    assert (days[0].pressed, days[0].counted) == ([1, 0, 0, 0, 1], [0, 0, 0, 0, 1])
    assert days[0].filtered == [0, 0, 0, 0, 0]  # out of hours, so flagged
    bench.close()


async def test_a_day_that_ended_without_power_is_closed_later(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    bench.time_file.write_bytes(msgspec.json.encode(Simulation(offset_ms=-2 * 86_400_000)))
    await bench.booth.put(ballot(bench, 1))
    bench.time_file.write_bytes(msgspec.json.encode(Simulation()))
    bench = bench.again()
    await bench.booth.box.close_days()
    days = [data for _, data in records(bench.journal) if isinstance(data, RatingDay)]
    assert [day.pressed for day in days] == [[1, 0, 0, 0, 0]]
    bench.close()


async def test_the_booth_thanks_only_after_the_disk(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    shown: list[tuple[View, int]] = []
    bench.booth.on_picture(lambda picture: shown.append((picture.view, len(presses(bench.journal)))))
    await bench.booth.put(ballot(bench, 1))
    assert shown == [(View.IDLE, 0), (View.THANKS, 1)]
    bench.close()


async def test_a_press_that_was_long_under_way_is_stored_and_nobody_else_is_thanked_or_asked_for_it(
    tmp_path: Path,
) -> None:
    bench = BoothBench(tmp_path)
    late = Ballot("touch-abcd/0000000A/1", "touch", 5, 5, bench.booth.now_ms() - 60_000)
    assert await bench.booth.put(late) is True
    assert bench.booth.picture.view is View.IDLE
    bench.close()


def test_records_of_other_kinds_do_not_disturb(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    assert all(not isinstance(data, RatingPressed) for _, data in records(bench.journal))
    bench.close()
