"""Composes the agent: senses, judgement, journal, uplink, `/metrics`, supervision. Decides nothing itself.

The order of ending matters: senses stop first, what they said is written, then the journal closes; all within 5 s.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from agent import judgement
from agent.certificate import days_left
from agent.config import Config
from agent.control import Answer, ControlServer, Request
from agent.exposition import MetricsServer
from agent.judgement import Rules
from agent.ladder import NS_PER_S, Pace
from agent.layout import Layout, lay_out
from agent.log_tail import LogTail
from agent.metrics import Metrics
from agent.neighbours import Neighbours
from agent.observer import Observer, sample
from agent.outages import Book
from agent.recorder import Recorder
from agent.rounds import Rounds
from agent.senses.linkwatch import LinkWatch
from agent.senses.port_changes import PortHistory
from agent.senses.prober import Prober
from agent.standing import standing
from agent.watchlog import Watched, WatchLog, gap_since
from bus.clock import Stamp
from bus.courier import Doorbell
from bus.entries import ClockAnchor
from bus.errors import UnavailableError
from bus.journal import Journal
from bus.logs import fields
from bus.supervision import Progress, notify, watchdog_interval_s
from bus.timekeeper import Timekeeper
from bus.tls import server_context

_LOG: Final = logging.getLogger(__name__)
_DRAIN_S: Final = 1.2
_NOTE_S: Final = 0.3
_GOODBYE_S: Final = 1.5
_CLOSE_S: Final = 1.5
_CLOCK_LOOK_S: Final = 1.0
_LIMITS_S: Final = {
    "judgement": 15.0,
    "links": 120.0,
    "probes": 60.0,
    "record": 60.0,
    "outages": 180.0,
    "neighbours": 60.0,
}


class Resident:
    """One agent. `run` lives until `stop` is set, or until something breaks that a restart may mend."""

    def __init__(self, config: Config) -> None:
        self._config = config
        state_dir = Path(config.agent.state)
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"the state folder {state_dir} cannot be made: {error}") from error
        simulated = Path(config.clock.simulated) if config.clock.simulated else None
        self._timekeeper = Timekeeper(state_dir, simulated=simulated)
        self._bell = Doorbell()
        self._journal = Journal(
            state_dir / "journal", stamp=self._timekeeper.now, config=config.journal, on_durable=self._bell.ring
        )
        self._watchlog = WatchLog(state_dir / "watch.json")
        self._progress = Progress(time.monotonic, {**_LIMITS_S, "samples": 60.0 + 2 * config.agent.sample_step_s})
        self._metrics = Metrics()
        self._server = MetricsServer(self._metrics.text)
        self._layout: Layout = lay_out(config)
        self._log = LogTail()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop`."""
        logging.getLogger().addHandler(self._log)
        watched = self._watchlog.read()
        recorder = Recorder(
            self._journal, self._timekeeper.now, on_health=lambda: observer.take_recording(healthy=recorder.healthy)
        )
        observer = self._observer(watched, recorder)
        links = LinkWatch(observer.take_network)
        prober = Prober(self._layout.targets, observer.take_result)
        neighbours = Neighbours(
            self._config,
            self._journal,
            recorder,
            stamp=self._timekeeper.now,
            bell=self._bell,
            on_heard=observer.say_again,
            on_turn=lambda: self._progress.turn("neighbours"),
        )
        control = ControlServer(Path(self._config.agent.state) / "control.sock", self._answers(observer, neighbours))
        try:
            await control.start()
        except UnavailableError as error:  # a broken disk: without a door, but watching
            _LOG.error("no control socket %s", fields(error=error))
        pages = self._config.pages
        await self._server.start(pages.host, pages.port, tls=server_context(pages.tls) if pages.tls else None)
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = [
                    group.create_task(work, name=name)
                    for name, work in {
                        **self._work(watched, recorder, observer, links, prober),
                        "neighbours": neighbours.run(),
                    }.items()
                ]
                notify("READY=1")
                _LOG.info("agent watches %s", fields(site=self._config.device.site, targets=len(self._layout.targets)))
                await stop.wait()
                notify("STOPPING=1")
                for task in self._tasks:
                    task.cancel()
        finally:
            await control.close()
            logging.getLogger().removeHandler(self._log)
            await self._end(recorder, observer, neighbours)

    def _work(
        self, watched: Watched, recorder: Recorder, observer: Observer, links: LinkWatch, prober: Prober
    ) -> dict[str, Coroutine[Any, Any, None]]:
        stamp = self._timekeeper.now
        rounds = Rounds(
            self._config, self._metrics, stamp=stamp, on_power=observer.take_power, on_light=observer.take_light
        )
        step_s = self._config.agent.sample_step_s
        return {
            "links": links.run(),
            "probes": prober.run(),
            "judgement": observer.run(),
            "outages": observer.keep(),
            "record": recorder.run(),
            "samples": sample(
                observer,
                recorder,
                self._metrics,
                look=links.look,
                stamp=stamp,
                step_s=step_s,
                on_turn=lambda: self._progress.turn("samples"),
            ),
            "rounds": rounds.run(),
            "clock": self._watch_clock(watched, recorder),
            "supervision": self._supervise(recorder, links, prober),
        }

    def _answers(self, observer: Observer, neighbours: Neighbours) -> dict[str, Answer]:
        async def now(_: Request) -> dict[str, Any]:
            waiting = self._journal.waiting("hub")
            return standing(
                observer.state,
                neighbours.company,
                waiting=waiting,
                connected=neighbours.link.connected,
                bridged=neighbours.bridged,
                certificate_days=await self._certificate_days(),
                log=self._log.lines,
            )

        async def desire(request: Request) -> dict[str, Any]:
            return {"version": await neighbours.desire(request.device, request.name, request.value)}

        async def reached(request: Request) -> dict[str, Any]:
            return {"reached": neighbours.reached(request.device)}

        return {"now": now, "desire": desire, "reached": reached}

    async def _certificate_days(self) -> float | None:
        """Of the certificate that the box shows to its broker; None where it shows none, or it cannot be read."""
        if self._config.broker.tls is None:
            return None
        try:
            return await asyncio.to_thread(
                days_left, Path(self._config.broker.tls.cert), self._timekeeper.now().wall_ms
            )
        except UnavailableError:
            return None

    def _observer(self, watched: Watched, recorder: Recorder) -> Observer:
        config, pace = self._config, self._config.pace
        rules = Rules(
            port=config.lan.port,
            speed_mbit=config.lan.speed_mbit or None,
            pace=Pace(int(pace.loss_window_s * NS_PER_S), int(pace.flap_window_s * NS_PER_S)),
            flap_count=pace.flap_count,
            loss_hold_s=pace.loss_hold_s,
        )
        book = Book(
            device=config.device.id,
            providers={line.id: line.provider for line in config.lines},
            # A file of an earlier release names no boot for an outage: it was of the boot that wrote the file.
            open={
                outage.subject: outage if outage.boot else structs.replace(outage, boot=watched.boot)
                for outage in watched.open
            },
            boot=self._timekeeper.now().boot,
        )
        ports = {name: PortHistory(best_mbit=best) for name, best in watched.best_mbit.items()}
        return Observer(
            judgement.start(self._layout, rules, book, time.monotonic_ns(), ports=ports),
            recorder,
            self._watchlog,
            self._metrics,
            stamp=self._timekeeper.now,
            unannounced=watched.unannounced,
            on_turn=lambda: self._progress.turn("judgement"),
            on_kept=lambda: self._progress.turn("outages"),
        )

    async def _watch_clock(self, watched: Watched, recorder: Recorder) -> None:
        """Journal this boot's anchor once time is trusted, and what was not watched once time is known at all."""
        started_ns = time.monotonic_ns()
        told = False
        while True:
            if (anchor := self._timekeeper.anchor_due()) is not None:
                recorder.put(ClockAnchor(), at=anchor)
            now = self._timekeeper.now()
            if not told and now.quality != "unknown":
                told = True
                begun_ms = now.wall_ms - (time.monotonic_ns() - started_ns) // 1_000_000
                begun = Stamp(now.boot, now.mono_ns, begun_ms, now.quality)
                if (gap := gap_since(watched, begun)) is not None:
                    recorder.put(gap)
            await asyncio.sleep(_CLOCK_LOOK_S)

    async def _supervise(self, recorder: Recorder, links: LinkWatch, prober: Prober) -> None:
        """Feed systemd's watchdog while every loop gets somewhere."""
        interval_s = watchdog_interval_s()
        seen: dict[str, object] = {}
        while True:
            marks: dict[str, object] = {"links": links.readings, "probes": prober.done, "record": recorder.recorded}
            for loop, mark in marks.items():
                idle = (loop == "record" and not recorder.waiting) or (loop == "probes" and not self._layout.targets)
                if idle or seen.get(loop) != mark or (loop == "record" and not recorder.healthy):
                    self._progress.turn(loop)
                seen[loop] = mark
            if not self._journal.healthy:
                raise RuntimeError("BUG: the journal's writer has stopped; the next start opens it soundly")
            if lost := [task.get_name() for task in self._tasks if task.cancelled()]:  # the group says nothing of it
                raise RuntimeError(f"BUG: cancelled from within, before the end: {', '.join(lost)}")
            if stuck := self._progress.stuck():
                _LOG.error("no progress %s", fields(loops=",".join(stuck)))
            else:
                notify("WATCHDOG=1")
            await asyncio.sleep(interval_s or 5.0)

    async def _end(self, recorder: Recorder, observer: Observer, neighbours: Neighbours) -> None:
        """Write what was said, then close. Each step has its limit: a broken disk must not hold the end up."""
        writing = asyncio.create_task(recorder.run())
        await _within(_DRAIN_S, _finish(observer, recorder))
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await _within(_NOTE_S, observer.write())  # after the draining: what has ended on disk is open no more
        await _within(_GOODBYE_S, neighbours.close())
        await _within(_CLOSE_S, asyncio.to_thread(self._close))
        await self._server.close()  # last: others can hold it up

    def _close(self) -> None:
        self._journal.close()
        self._timekeeper.close()


async def _finish(observer: Observer, recorder: Recorder) -> None:
    await observer.close()
    await recorder.drained()


async def _within(limit_s: float, work: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await work
    except TimeoutError:
        _LOG.error("gave up ending in order %s", fields(after_s=limit_s))


def run_agent(config: Config, stop_on: Callable[[asyncio.Event], None]) -> None:
    """Run one agent to its end. `stop_on` gets the event that ends it, inside the loop."""

    async def live() -> None:
        stop = asyncio.Event()
        stop_on(stop)
        await Resident(config).run(stop)

    asyncio.run(live())
