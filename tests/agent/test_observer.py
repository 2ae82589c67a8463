"""The keeper of outages: it goes on whatever becomes of a record, and an end that is on disk is told once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.metrics import Metrics
from agent.observer import Observer
from agent.outages import Outage
from agent.recorder import Recorder
from agent.watchlog import WatchLog
from bus.clock import Quality, Stamp
from bus.entries import EntryData, EventNoted, LinkMinute, OutageClosed
from bus.errors import UnavailableError, WrongInputError
from tests.agent.world import WALL_MS, World

STAMP = Stamp("boot-1", 1, WALL_MS, Quality.TRUSTED)
GONE = Outage("o-1", "gone", "line-down", WALL_MS - 60_000, WALL_MS - 1_000, boot="boot-1")


class Disk:
    """A journal that takes what it is allowed to; `slow` leaves it under way until `finish`."""

    def __init__(self) -> None:
        self.full = self.slow = self.strict = False
        self.kept: list[EntryData] = []
        self.under_way: list[Future[Any]] = []

    def append(self, data: EntryData, *, at: Stamp | None = None) -> "Future[Any]":
        done: Future[Any] = Future()
        if self.strict and isinstance(data, OutageClosed):
            raise WrongInputError("too large")
        if self.full:
            done.set_exception(UnavailableError("no room"))
            return done
        self.kept.append(data)
        if self.slow:
            done.set_running_or_notify_cancel()
            self.under_way.append(done)
        else:
            done.set_result(None)
        return done

    def finish(self) -> None:
        while self.under_way:
            self.under_way.pop().set_result(None)

    @property
    def closings(self) -> list[EntryData]:
        return [data for data in self.kept if isinstance(data, OutageClosed)]


class Box:
    """An observer that holds an open outage of a line that is no longer in its file: it ends at the first look."""

    def __init__(self, folder: Path, *, limit: int = 100) -> None:
        self.disk = Disk()
        self.recorder = Recorder(self.disk, lambda: STAMP, on_health=lambda: None, retry_s=0.01, limit=limit)
        self.log = WatchLog(folder / "watch.json")
        self.turns = 0
        world = World()
        book = replace(world.state.book, open={"gone": GONE})
        self.observer = Observer(
            replace(world.state, book=book),
            self.recorder,
            self.log,
            Metrics(),
            stamp=lambda: STAMP,
            unannounced=[],
            on_kept=self.turn,
            keep_s=0.02,
        )
        self.writing = asyncio.create_task(self.recorder.run())
        self.keeping = asyncio.create_task(self.observer.keep())

    def turn(self) -> None:
        self.turns += 1

    async def end(self) -> None:
        """In the order in which the resident does it."""
        for task in (self.keeping, self.writing):
            task.cancel()
        await asyncio.gather(self.keeping, self.writing, return_exceptions=True)
        writing = asyncio.create_task(self.recorder.run())
        await self.observer.close()
        self.disk.finish()
        await self.recorder.drained()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await self.observer.write()

    @property
    def held(self) -> list[str]:
        return [outage.outage for outage in self.log.read().open]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # what is awaited here has no event of its own
            await asyncio.sleep(0.005)


async def test_a_closing_record_that_had_to_make_room_is_put_again_and_the_keeper_goes_on(tmp_path: Path) -> None:
    box = Box(tmp_path, limit=3)
    box.disk.full = True
    box.observer.conclude()  # the diagnosis, which stands at the journal, and the closing
    await until(lambda: box.recorder.waiting == 2 and box.held == ["o-1"])
    for number in range(2):
        box.recorder.put(EventNoted(str(number)))
    assert box.recorder.dropped == 1
    await until(lambda: box.recorder.dropped == 2)  # the closing is back, in another's place
    assert box.held == ["o-1"]
    box.disk.full = False
    await until(lambda: box.held == [])
    assert len(box.disk.closings) == 1
    assert not box.keeping.done()
    turns = box.turns
    await until(lambda: box.turns > turns + 1)
    await box.end()


async def test_the_keeper_gets_somewhere_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.disk.full = True
    box.observer.conclude()
    await until(lambda: box.turns > 5)
    box.disk.full = False
    await until(lambda: box.held == [] and bool(box.disk.closings))
    await box.end()


async def test_an_outage_whose_end_no_journal_takes_is_not_held_for_ever(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.disk.strict = True
    box.observer.conclude()
    await until(lambda: box.recorder.unfit == 1)
    await until(lambda: box.held == [])
    await box.end()


async def test_an_end_that_was_under_way_at_the_stop_is_open_no_more_at_the_next_start(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.disk.slow = True
    box.observer.conclude()
    await until(lambda: bool(box.disk.under_way))
    box.disk.finish()  # the diagnosis
    await until(lambda: bool(box.disk.closings))
    box.disk.slow = False
    await box.end()
    assert len(box.disk.closings) == 1
    assert box.held == []


async def test_an_end_that_the_disk_did_not_take_is_open_at_the_next_start(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.disk.full = True
    box.observer.conclude()
    await until(lambda: box.recorder.refused > 0)
    for task in (box.keeping, box.writing):
        task.cancel()
    await asyncio.gather(box.keeping, box.writing, return_exceptions=True)
    await box.observer.close()
    await box.observer.write()
    assert box.held == ["o-1"]


async def test_the_minute_under_way_is_recorded_at_the_end(tmp_path: Path) -> None:
    box = Box(tmp_path)
    world = World()
    world.run(20)
    box.observer.state = replace(box.observer.state, minute=world.state.minute, clock_ms=None)
    await box.end()
    (minute,) = [data for data in box.disk.kept if isinstance(data, LinkMinute)]
    assert 18 <= minute.lines["vnpt"].observed_s <= 20
