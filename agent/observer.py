"""The agent's mind at work: hands observations to `agent.judgement` and its records to where they are kept.

Ports and routes are judged at once (a cable that is pulled is on record within milliseconds), probes a few times a
second. Outages go to disk in the order that `agent.watchlog` asks for.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from agent import judgement
from agent.diagnosis import PowerView
from agent.judgement import State
from agent.metrics import Metrics
from agent.minutes import Tally, add, begin
from agent.observations import NetworkState, ProbeResult
from agent.outages import Moment, Outage, announcement
from agent.recorder import Recorder
from agent.samples import Sample, block
from agent.watchlog import Watched, WatchLog
from bus.clock import Stamp
from bus.entries import DiagnosisChanged, EntryData, OutageClosed, OutageOpened
from bus.errors import UnavailableError
from bus.logs import fields

_LOG: Final = logging.getLogger(__name__)
_LOOK_S: Final = 0.2
_KEEP_S: Final = 60.0
_CLOCK_SET_MS: Final = 2_000


class Observer:
    """Holds the state of judgement. Use from one event loop; runs while `run` and `keep` do."""

    def __init__(
        self,
        state: State,
        recorder: Recorder,
        watchlog: WatchLog,
        metrics: Metrics,
        *,
        stamp: Callable[[], Stamp],
        unannounced: list[str],
        on_turn: Callable[[], None] = lambda: None,
        on_kept: Callable[[], None] = lambda: None,
        keep_s: float = _KEEP_S,
    ) -> None:
        self.state = state
        self._recorder = recorder
        self._watchlog = watchlog
        self._metrics = metrics
        self._stamp = stamp
        self._on_turn = on_turn
        self._on_kept = on_kept
        self._keep_s = keep_s
        self._dirty = asyncio.Event()
        self._events: asyncio.Queue[OutageOpened | OutageClosed] = asyncio.Queue()
        self._on_disk: dict[str, Outage] = {outage.outage: outage for outage in state.book.open.values()}
        self._unannounced = set(unannounced)
        self._ends: dict[str, asyncio.Future[None]] = {}  # by outage: its closing record, once it is put
        self._step = begin(0)
        self._said: tuple[DiagnosisChanged, int] | None = None  # with the monotonic time of its `since_ms`

    # -- what comes in

    def take_result(self, result: ProbeResult) -> None:
        """A probe has ended."""
        self._metrics.take_result(result)
        self.state = judgement.take_result(self.state, result)
        self._step = add(self._step, result)
        if not result.success:
            self._dirty.set()

    def take_network(self, network: NetworkState) -> None:
        """Ports or routes have changed: conclude at once."""
        self._metrics.take_network(network)
        self.state, records = judgement.take_network(self.state, network)
        self._emit(records)
        self.conclude()

    def take_power(self, power: PowerView | None) -> None:
        """The UPS has spoken, or is not known now."""
        self.state = replace(self.state, power=power)
        self._dirty.set()

    def take_light(self, low: Mapping[str, float]) -> None:
        """Lines whose light is too weak."""
        self.state = replace(self.state, light_low=dict(low))

    def take_recording(self, *, healthy: bool) -> None:
        """Whether the journal takes records."""
        self.state = replace(self.state, recording=healthy)
        self._dirty.set()

    # -- what follows

    def conclude(self) -> None:
        """Draw the conclusions of this moment."""
        stamp = self._stamp()
        now = Moment(time.monotonic_ns(), stamp.wall_ms)
        self.state, records = judgement.conclude(self.state, now)
        self._emit(records)

    def say_again(self) -> None:
        """Record the diagnosis once more, as it stands: the province hears it before any backlog from older days.

        Without this an alert would hang on how far the backlog is: last week's fault would hold until it has drained.
        """
        if self._said is None:
            return
        record, since_ns = self._said
        since_ms = self._stamp().wall_ms - (time.monotonic_ns() - since_ns) // 1_000_000
        if abs(since_ms - record.since_ms) > _CLOCK_SET_MS:
            record = msgspec.structs.replace(record, since_ms=since_ms)
        self._recorder.put(record)

    async def run(self) -> None:
        """Conclude a few times a second, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._dirty.wait()
            except TimeoutError:
                pass
            self._dirty.clear()
            self.conclude()
            self._on_turn()
            await asyncio.sleep(_LOOK_S / 4)

    async def keep(self) -> None:
        """Keep outages on disk in the right order, and a mark each minute that we watched; until cancelled.

        `on_kept` is called each minute at the latest.
        """
        for outage in list(self._on_disk.values()):
            if outage.outage in self._unannounced:
                self._announce(announcement(self.state.book, outage))
        while True:
            self._on_kept()
            try:
                async with asyncio.timeout(self._keep_s):
                    event = await self._events.get()
            except TimeoutError:
                await self.write()
                continue
            await self._keep_event(event)

    async def close(self) -> None:
        """Record what there is; call after `run` and `keep` have ended, and `write` once it is durable."""
        stamp = self._stamp()
        self.state, records = judgement.end(self.state, Moment(time.monotonic_ns(), stamp.wall_ms))
        self._emit(records)
        while not self._events.empty():
            await self._keep_event(self._events.get_nowait(), wait=False)

    def take_step(self) -> Mapping[str, Tally]:
        """The probes' sums since the step before."""
        targets, self._step = self._step.targets, begin(0)
        return targets

    def _emit(self, records: list[EntryData]) -> None:
        for record in records:
            match record:
                case OutageOpened() | OutageClosed():
                    _LOG.info(
                        "outage %s", fields(event=type(record).__name__, subject=record.subject, cause=record.cause)
                    )
                    self._events.put_nowait(record)
                case DiagnosisChanged():
                    _LOG.warning(
                        "diagnosis %s", fields(cause=record.cause, subject=record.subject, says=record.says.vi)
                    )
                    self._recorder.put(record)
                    age_ms = self._stamp().wall_ms - record.since_ms
                    self._said = record, time.monotonic_ns() - age_ms * 1_000_000
                    self._metrics.take_diagnosis(record.cause, record.subject)
                case _:
                    self._recorder.put(record)

    async def _keep_event(self, event: OutageOpened | OutageClosed, *, wait: bool = True) -> None:
        match event:
            case OutageOpened():
                outage = self.state.book.open.get(event.subject)
                if outage is not None and outage.outage == event.outage:
                    self._on_disk[event.outage] = outage
                    self._unannounced.add(event.outage)
                    await self.write()
                self._announce(event)
            case OutageClosed():
                self._end(event)
                if wait:
                    await self._see_ended(event)

    def _announce(self, event: OutageOpened) -> None:
        def forget(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                self._unannounced.discard(event.outage)

        self._recorder.put(event).add_done_callback(forget)

    def _end(self, event: OutageClosed) -> None:
        self._ends[event.outage] = self._recorder.put(event)

    async def _see_ended(self, event: OutageClosed) -> None:
        """Return once its closing record is on disk, or is one that no journal takes, and the watch log knows it."""
        while event.outage in self._ends:
            await asyncio.wait([self._ends[event.outage]], timeout=self._keep_s)
            if _is_lost(self._ends[event.outage]):
                self._end(event)  # it had to make room: without it the outage would last for ever at the hub
            self._on_kept()
            await self.write()

    async def write(self) -> None:
        """Write the watch log: what is open, and what has ended without its closing record being durable."""
        for name in [name for name, durable in self._ends.items() if durable.done() and not _is_lost(durable)]:
            del self._ends[name]
            self._on_disk.pop(name, None)
            self._unannounced.discard(name)
        stamp = self._stamp()
        now_open = {outage.outage: outage for outage in self.state.book.open.values()}
        self._on_disk = {name: now_open.get(name, outage) for name, outage in self._on_disk.items()}
        watched = Watched(
            boot=stamp.boot,
            seen_ms=stamp.wall_ms,
            open=list(self._on_disk.values()),
            unannounced=sorted(self._unannounced),
            best_mbit={name: port.best_mbit for name, port in self.state.ports.items() if port.best_mbit},
        )
        await asyncio.to_thread(self._watchlog.write, watched)


def _is_lost(durable: asyncio.Future[None]) -> bool:
    """Whether a record had to go before the journal took it. One that no journal takes is not tried again."""
    return durable.done() and isinstance(durable.exception(), UnavailableError)


async def sample(
    observer: Observer,
    recorder: Recorder,
    metrics: Metrics,
    *,
    look: Callable[[], NetworkState | None],
    stamp: Callable[[], Stamp],
    step_s: int,
    on_turn: Callable[[], None] = lambda: None,
) -> None:
    """Put a block of measurements into the journal at each step, until cancelled. `look` reads the ports' counters."""
    loop = asyncio.get_running_loop()
    due = loop.time() + step_s
    while True:
        await asyncio.sleep(due - loop.time())
        due = max(due + step_s, loop.time())
        if (network := look()) is not None:
            metrics.take_network(network)
        standing = [Sample(s.name, s.labels, s.value) for family in metrics.collect() for s in family.samples]
        recorder.sample(block(stamp().wall_ms - step_s * 1000, step_s * 1000, observer.take_step(), standing))
        on_turn()
