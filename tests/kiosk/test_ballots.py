"""The ballot box on a real journal: on disk before anyone is told, the same after a restart."""

import asyncio
import hashlib
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.clock import Quality, Stamp
from bus.entries import EntryData, OfficerOnDuty, RatingDay, RatingFlagged, RatingPressed, RatingReason
from bus.errors import UnavailableError
from bus.timekeeper import Simulation
from hub.ratings.days import recount
from kiosk.ballots import Ballot
from kiosk.days import Days
from kiosk.flow import View
from kiosk.panel.session import Known
from kiosk.settings import Hours, KioskSettings
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
    bench.booth.box.officer = "CB-07"  # as if its record were there no more
    await bench.booth.put(ballot(bench, 1))
    bench = bench.again()
    assert bench.booth.box.officer == "CB-07"
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
