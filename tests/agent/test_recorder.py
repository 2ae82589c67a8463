"""The recorder: in order, on through a broken disk, bounded, each loss counted."""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from agent.recorder import Recorder
from bus.clock import Quality, Stamp
from bus.entries import EntryData, EventNoted, LinkMinute, SampleBlock
from bus.errors import UnavailableError, WrongInputError

STAMP = Stamp("b", 1, 2, Quality.TRUSTED)


class Disk:
    """A journal whose disk may be full."""

    def __init__(self) -> None:
        self.full = False
        self.kept: list[EntryData] = []
        self.refused = asyncio.Event()
        self.tries = 0

    def append(self, data: EntryData, *, at: Stamp | None = None) -> "Future[Any]":
        done: Future[Any] = Future()
        if isinstance(data, EventNoted) and data.event == "huge":
            raise WrongInputError("an entry of kind event.noted has 200000 bytes")
        if self.full:
            done.set_exception(UnavailableError("no room"))
            self.tries += 1
            if self.tries == 3:
                self.refused.set()
        else:
            self.kept.append(data)
            done.set_result(None)
        return done


def recorder(disk: Disk, on_health: Callable[[], None] = lambda: None, limit: int = 100) -> Recorder:
    return Recorder(disk, lambda: STAMP, on_health=on_health, retry_s=0.01, limit=limit)


async def test_records_are_kept_in_order_and_the_future_tells_when() -> None:
    disk = Disk()
    one = recorder(disk)
    task = asyncio.create_task(one.run())
    durable = [one.put(EventNoted(str(number))) for number in range(20)]
    await asyncio.gather(*durable)
    assert disk.kept == [EventNoted(str(number)) for number in range(20)]
    assert (one.recorded, one.waiting) == (20, 0)
    task.cancel()


async def test_a_full_disk_is_told_once_and_nothing_is_lost_when_there_is_room_again() -> None:
    disk, health = Disk(), []
    disk.full = True
    one = recorder(disk, lambda: health.append(one.healthy))
    task = asyncio.create_task(one.run())
    durable = one.put(EventNoted("a"))
    one.put(EventNoted("b"))
    await disk.refused.wait()
    await asyncio.sleep(0)
    assert not one.healthy
    disk.full = False
    await durable
    await one.drained()
    assert disk.kept == [EventNoted("a"), EventNoted("b")]
    assert health == [False, True]
    task.cancel()


async def test_what_was_under_way_when_the_writing_was_cancelled_is_not_written_again() -> None:
    """As at the end of the process: `run` is cancelled, and run again to drain."""

    class Slow(Disk):
        def append(self, data: EntryData, *, at: Stamp | None = None) -> "Future[Any]":
            self.kept.append(data)
            self.under_way: Future[Any] = Future()
            self.under_way.set_running_or_notify_cancel()  # the journal's thread has taken it
            return self.under_way

    disk = Slow()
    one = recorder(disk)
    task = asyncio.create_task(one.run())
    durable = one.put(EventNoted("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = asyncio.create_task(one.run())
    asyncio.get_running_loop().call_later(0.01, lambda: disk.under_way.set_result(None))
    await durable
    assert disk.kept == [EventNoted("a")]
    assert (one.recorded, one.waiting) == (1, 0)
    again.cancel()


async def test_what_waits_is_bounded_and_minutes_go_first() -> None:
    disk = Disk()
    disk.full = True
    one = recorder(disk, limit=4)
    for data in (EventNoted("a"), LinkMinute(1, {}), EventNoted("b"), LinkMinute(2, {}), EventNoted("c")):
        one.put(data)
    assert (one.waiting, one.dropped) == (4, 1)
    one.put(EventNoted("d"))
    one.put(EventNoted("e"))
    assert (one.waiting, one.dropped) == (4, 3)
    disk.full = False
    task = asyncio.create_task(one.run())
    await one.drained()
    assert disk.kept == [EventNoted("a"), EventNoted("c"), EventNoted("d"), EventNoted("e")]
    task.cancel()


async def test_a_record_that_no_journal_takes_is_given_up_and_the_others_are_kept() -> None:
    disk = Disk()
    one = recorder(disk)
    first, huge, last = one.put(EventNoted("a")), one.put(EventNoted("huge")), one.put(EventNoted("b"))
    task = asyncio.create_task(one.run())
    await asyncio.wait([last])
    await one.drained()
    assert disk.kept == [EventNoted("a"), EventNoted("b")]
    assert (one.recorded, one.unfit, one.waiting, one.healthy) == (2, 1, 0, True)
    assert first.exception() is None
    assert isinstance(huge.exception(), WrongInputError)
    task.cancel()


async def test_who_waits_for_a_record_that_had_to_go_learns_it() -> None:
    """An error, not a cancellation: whoever awaits one that is cancelled ends without a word."""
    one = recorder(Disk(), limit=2)
    one.put(EventNoted("a"))
    gone = one.put(EventNoted("b"))
    one.put(EventNoted("c"))
    assert isinstance(gone.exception(), UnavailableError)
    assert one.dropped == 1


@pytest.mark.filterwarnings("error")
async def test_a_lost_record_that_nobody_waits_for_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    one = recorder(Disk(), limit=2)
    for event in "abc":
        one.put(EventNoted(event))
    gc.collect()
    await asyncio.sleep(0)
    assert one.dropped == 1
    assert not caplog.records


async def test_samples_that_no_journal_takes_are_counted() -> None:
    class Small(Disk):
        def append(self, data: EntryData, *, at: Stamp | None = None) -> "Future[Any]":
            raise WrongInputError("too large")

    one = recorder(Small())
    one.sample(SampleBlock(0, 1000, {}))
    assert one.samples_lost == 1


@pytest.mark.parametrize("full", [False, True])
async def test_samples_are_not_retried_and_a_lost_one_is_counted(*, full: bool) -> None:
    disk = Disk()
    disk.full = full
    one = recorder(disk)
    one.sample(SampleBlock(0, 1000, {}))
    assert (len(disk.kept), one.samples_lost) == ((0, 1) if full else (1, 0))
