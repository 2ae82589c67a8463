"""The ballot box on a real journal: on disk before anyone is told, the same after a restart."""

import asyncio
import hashlib
from pathlib import Path

import msgspec
import pytest

from bus.entries import OfficerOnDuty, RatingDay, RatingFlagged, RatingPressed, RatingReason
from bus.errors import UnavailableError
from bus.timekeeper import Simulation
from kiosk.ballots import Ballot
from kiosk.flow import View
from kiosk.panel.session import Known
from kiosk.settings import Hours, KioskSettings
from tests.kiosk.bench import BoothBench, presses, records


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


async def test_misuse_flags_the_earlier_presses_by_a_record_of_their_own(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    for seq in (1, 2, 3):
        await bench.booth.put(ballot(bench, seq, level=seq))
    flagged = [data for _, data in records(bench.journal) if isinstance(data, RatingFlagged)]
    assert flagged == [RatingFlagged(["P-1/0000000A/1", "P-1/0000000A/2"], "mashing")]
    bench.close()


async def test_what_cannot_be_written_was_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = BoothBench(tmp_path)
    await bench.booth.put(ballot(bench, 1))

    def refuse(*_: object, **__: object) -> None:
        raise UnavailableError("no room")

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


def test_records_of_other_kinds_do_not_disturb(tmp_path: Path) -> None:
    bench = BoothBench(tmp_path)
    assert all(not isinstance(data, RatingPressed) for _, data in records(bench.journal))
    bench.close()
