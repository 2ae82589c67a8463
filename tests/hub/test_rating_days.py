"""The kiosk's own totals and digest, from the real ballot box, beside what the hub computes from the same entries."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from bus.entries import EventNoted, RatingDay, RatingPressed
from bus.identifiers import DeviceId
from bus.messages import Batch
from bus.timekeeper import Simulation
from hub.admission import Admitted
from hub.database import Database
from hub.ratings import days
from hub.ratings.days import Checked, recount
from hub.ratings.periods import DAY_MS, start_ms
from hub.store import Store
from kiosk.ballots import Ballot
from kiosk.settings import KioskSettings
from tests.hub.sender import Sender, roster_of
from tests.kiosk.bench import BoothBench, presses

KIOSK: DeviceId = "s0001-kiosk-1"


@dataclass
class Province:
    """A hub's store that is given the journal of one kiosk."""

    store: Store
    sender: Sender

    def take(self, bench: BoothBench, *, skip: tuple[int, ...] = ()) -> None:
        """Everything that the kiosk's journal holds, but for the sequence numbers in `skip`."""
        member = roster_of(self.sender).members[KIOSK]
        for view in bench.journal.epochs():
            if view.klass != "record" or not view.head:
                continue
            for seq in range(view.first_held, view.head + 1):
                if seq in skip:
                    continue
                chunk = bench.journal.read(view.epoch, "record", seq, max_count=1, max_bytes=1 << 20)
                raws = [msgspec.Raw(raw) for raw in chunk.entries]
                batch = Batch(KIOSK, view.epoch, "record", 1, view.head, raws, chunk.chain, [], first=seq)
                self.store.ingest([Admitted(member, batch, 1000)])

    def check(self) -> list[Checked]:
        with self.store.database.read() as connection:
            told = days.told(connection, sites=None, first="2000-01-01", last="2100-01-01")
            return days.check(connection, told)


@pytest.fixture
def hub(database: Database) -> Province:
    sender = Sender(device=KIOSK, part="kiosk")
    store = Store(database)
    store.open(roster_of(sender))
    return Province(store, sender)


def booth(folder: Path) -> BoothBench:
    folder.mkdir()
    made = BoothBench(folder, KioskSettings(hours=[]))
    set_day(made, ago=1)
    return made


def set_day(bench: BoothBench, *, ago: int) -> None:
    bench.time_file.write_bytes(msgspec.json.encode(Simulation(offset_ms=-ago * DAY_MS)))


async def vote(bench: BoothBench, seq: int, level: int, *, ago_ms: int = 0) -> None:
    await bench.booth.put(Ballot(f"P-1/0000000A/{seq}", "panel", level, 5, bench.booth.now_ms() - ago_ms))


async def a_day(bench: BoothBench, first: int = 1) -> None:
    """Votes far apart, one changed twice, one heard late, and somebody at all the buttons."""
    for number, (level, ago_s) in enumerate([(1, 3000), (2, 2500), (5, 2498), (4, 2496), (1, 2000), (3, 2499)]):
        await vote(bench, first + number, level, ago_ms=ago_s * 1000)
    for number, level in enumerate([1, 2, 3, 4, 5, 1]):
        await vote(bench, first + 10 + number, level, ago_ms=60_000 - number * 900)


async def test_the_hub_counts_a_day_as_the_kiosk_closed_it(hub: Province, tmp_path: Path) -> None:
    bench = booth(tmp_path / "k")
    await a_day(bench)
    set_day(bench, ago=0)
    await a_day(bench, first=100)
    await bench.booth.box.close_days()
    hub.take(bench)
    (checked,) = hub.check()
    assert checked.agrees is True
    assert checked.found == checked.told.totals
    assert sum(checked.found.pressed) == 12
    assert sum(checked.found.pressed) > sum(checked.found.counted) > sum(checked.found.filtered) > 0
    bench.close()


async def test_a_restart_in_the_middle_of_the_day_changes_nothing(hub: Province, tmp_path: Path) -> None:
    bench = booth(tmp_path / "k")
    await a_day(bench)
    bench = bench.again()
    set_day(bench, ago=1)
    await a_day(bench, first=50)
    bench = bench.again()
    set_day(bench, ago=0)
    await bench.booth.box.close_days()
    hub.take(bench)
    (checked,) = hub.check()
    assert (checked.agrees, sum(checked.found.pressed)) == (True, 24)
    bench.close()


async def test_a_day_told_twice_is_held_against_the_last_word(hub: Province, tmp_path: Path) -> None:
    bench = booth(tmp_path / "k")
    await a_day(bench)
    set_day(bench, ago=0)
    await bench.booth.box.close_days()
    set_day(bench, ago=1)
    await vote(bench, 900, 1)
    set_day(bench, ago=0)
    await bench.booth.box.close_days()
    hub.take(bench)
    (checked,) = hub.check()
    assert checked.agrees is True
    bench.close()


async def test_while_entries_are_missing_nobody_is_called_wrong(hub: Province, tmp_path: Path) -> None:
    bench = booth(tmp_path / "k")
    await a_day(bench)
    set_day(bench, ago=0)
    await bench.booth.box.close_days()
    hub.take(bench, skip=(3, 4))
    (checked,) = hub.check()
    assert (checked.agrees, checked.missing) == (None, 2)
    hub.take(bench)
    (checked,) = hub.check()
    assert (checked.agrees, checked.missing) == (True, 0)
    bench.close()


async def test_what_is_missing_of_an_earlier_day_does_not_matter(hub: Province, tmp_path: Path) -> None:
    bench = booth(tmp_path / "k")
    set_day(bench, ago=3)
    await a_day(bench)
    set_day(bench, ago=1)
    await asyncio.wrap_future(bench.journal.append(EventNoted("started"), at=bench.clock.now()))
    await a_day(bench, first=100)
    set_day(bench, ago=0)
    await bench.booth.box.close_days()
    hub.take(bench, skip=(3,))
    old, new = hub.check()
    assert (old.agrees, old.missing) == (None, 1)
    assert (new.agrees, new.missing) == (True, 0)
    bench.close()


@pytest.mark.parametrize("change", ["level", "name", "left out", "order", "totals"])
async def test_whatever_is_changed_is_seen(hub: Province, tmp_path: Path, change: str) -> None:
    """A kiosk that closes its day with what its journal does not say."""
    sender = hub.sender
    day, at_ms = "2026-11-02", start_ms(20_759) + 9 * 3_600_000
    mine = [RatingPressed(f"P/0/{number}", "panel", 1 + number % 5, 5, 0, "1") for number in range(6)]
    for number, press in enumerate(mine):
        sender.add(press, sender.stamp(wall_ms=at_ms + number * 60_000))
    said = list(mine)
    match change:
        case "level":
            said[2] = msgspec.structs.replace(said[2], level=1)
        case "name":
            said[2] = msgspec.structs.replace(said[2], press="P/0/77")
        case "left out":
            said.pop()
        case "order":
            said[0], said[1] = said[1], said[0]
    totals = recount(said)
    filtered = list(totals.filtered)
    if change == "totals":
        filtered[0] += 1
    record = RatingDay(day, "1", list(totals.pressed), list(totals.counted), filtered, totals.digest)
    sender.add(record, sender.stamp(wall_ms=at_ms + 8 * 3_600_000))
    hub.store.ingest([sender.admitted(sender.batch())])
    (checked,) = hub.check()
    assert checked.told.day == day
    assert (checked.agrees, checked.missing) == (False, 0)


async def test_the_presses_of_the_box_are_those_that_are_recounted(tmp_path: Path) -> None:
    bench = booth(tmp_path / "k")
    await a_day(bench)
    assert sum(recount(presses(bench.journal)).pressed) == 12
    bench.close()
