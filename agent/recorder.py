"""Puts records into the journal in order, and goes on when it cannot.

A record that the journal refuses (disk full, read-only) waits in memory and is tried again; meanwhile the agent watches
on and says so (`healthy`). What waits is bounded: then the oldest minute goes first, which is only an average, and
then the oldest record; each loss is counted. A record that no journal would ever take (it is too large) is given up at
once: it must not stand in the way of the others. Samples are not retried.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bus.clock import Stamp
from bus.entries import EntryData, LinkMinute, SampleBlock
from bus.errors import CommuneError, UnavailableError, WrongInputError
from bus.logs import fields

_LOG: Final = logging.getLogger(__name__)
WAITING_LIMIT: Final = 2_000


class Store(Protocol):
    """The part of `bus.journal.Journal` that is used here."""

    def append(self, data: EntryData, *, at: Stamp | None = None) -> Future[Any]:
        """A future of the entry's key once it is durable."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    data: EntryData
    at: Stamp
    durable: asyncio.Future[None]


class Recorder:
    """Runs while `run` does. Use from one event loop."""

    def __init__(
        self,
        store: Store,
        stamp: Callable[[], Stamp],
        *,
        on_health: Callable[[], None],
        retry_s: float = 5.0,
        limit: int = WAITING_LIMIT,
    ) -> None:
        self._store = store
        self._stamp = stamp
        self._on_health = on_health
        self._retry_s = retry_s
        self._limit = limit
        self._waiting: deque[_Waiting] = deque()
        self._under_way: Future[Any] | None = None
        self._rung = asyncio.Event()
        self.healthy = True
        self.recorded = 0
        self.refused = 0
        self.dropped = 0
        self.unfit = 0
        self.samples_lost = 0

    @property
    def waiting(self) -> int:
        """Records not yet durable."""
        return len(self._waiting)

    def put(self, data: EntryData, *, at: Stamp | None = None) -> asyncio.Future[None]:
        """Record `data` as of now, after all put before. The future is done once it is durable; it may be ignored.

        It ends in `UnavailableError` where the record had to go for want of room, and in `WrongInputError` where no
        journal would take it. Wait for it with `asyncio.wait`: then being cancelled leaves it as it is.
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(data, at or self._stamp(), durable))
        self._rung.set()
        while len(self._waiting) > self._limit:
            self._drop_one()
        return durable

    def sample(self, block: SampleBlock) -> None:
        """Keep a block of samples, if there is room."""
        try:
            kept = self._store.append(block)
        except WrongInputError as error:
            self.samples_lost += 1
            _LOG.error("samples given up %s", fields(error=error))
            return
        kept.add_done_callback(self._sampled)

    async def run(self) -> None:
        """Write until cancelled; may be run again."""
        while True:
            await self._rung.wait()
            if not self._waiting:
                self._rung.clear()
                continue
            await self._write_first()

    async def drained(self) -> None:
        """Return once nothing waits."""
        while self._waiting:
            await asyncio.wait([self._waiting[-1].durable])

    async def _write_first(self) -> None:
        first = self._waiting[0]
        try:
            if self._under_way is None:
                self._under_way = self._store.append(first.data, at=first.at)
            # Whoever cancels `run` does not take back what the journal has taken: the next `run` waits for it.
            await asyncio.shield(asyncio.wrap_future(self._under_way))
        except UnavailableError as error:
            self._under_way = None
            self.refused += 1
            self._set_health(healthy=False, why=str(error))
            await asyncio.sleep(self._retry_s)
            return
        except WrongInputError as error:
            self._under_way = None
            self.unfit += 1
            self._waiting.popleft()
            _give_up(first, error)
            _LOG.error("record given up %s", fields(kind=type(first.data).__name__, error=error))
            return
        self._under_way = None
        self.recorded += 1
        self._waiting.popleft()
        if not first.durable.done():
            first.durable.set_result(None)
        self._set_health(healthy=True)

    def _drop_one(self) -> None:
        """Make room. The first may be under way at the journal, so it stays."""
        minute = next((w for w in list(self._waiting)[1:] if isinstance(w.data, LinkMinute)), self._waiting[1])
        self._waiting.remove(minute)
        _give_up(minute, UnavailableError("too many records wait for the journal, and this one had to make room"))
        self.dropped += 1

    def _set_health(self, *, healthy: bool, why: str = "") -> None:
        if healthy is self.healthy:
            return
        self.healthy = healthy
        if healthy:
            _LOG.info("recording again %s", fields(waiting=len(self._waiting), dropped=self.dropped))
        else:
            _LOG.error("cannot record, watching on %s", fields(error=why))
        self._on_health()

    def _sampled(self, done: Future[Any]) -> None:
        """In the journal's thread."""
        if done.cancelled() or done.exception() is not None:
            self.samples_lost += 1


def _give_up(record: _Waiting, error: CommuneError) -> None:
    """Tell whoever waits for it, and nobody else: a future that is ignored says nothing of an error in it."""
    if not record.durable.done():
        record.durable.set_exception(error)
        record.durable.exception()
