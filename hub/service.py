"""A running hub: the parts composed, their tasks owned, and their end within 5 s with nothing lost.

If a task ends that should not, the hub ends: what supervises it starts it anew, from the store.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from bus.envelope import SigningKey
from bus.errors import UnavailableError
from bus.logs import fields
from bus.mqtt import Link
from bus.supervision import Progress, notify, watchdog_interval_s
from hub.application import create_app
from hub.beacon import send_beacons
from hub.config import HubConfig
from hub.database import Database, log_opened
from hub.export import Exporter
from hub.known import KnownList
from hub.live import Live
from hub.metrics import Metrics
from hub.postman import Postman
from hub.prune import prune
from hub.receiver import WINDOW, Receiver
from hub.rollup import roll
from hub.statuses import Statuses
from hub.store import Store
from web.server import serve

log = logging.getLogger(__name__)

_STORE_END_S: Final = 1.5
_HTTP_END_S: Final = 1
_PRUNE_EVERY_S: Final = 3600.0
_ROLL_EVERY_S: Final = 30.0
# A batch of the devices is far smaller: what is larger never comes from them.
_MAX_PACKET: Final = 8 * 1024 * 1024
_LIMITS_S: Final = {"receiver": 120.0, "beacon": 120.0}


def token_file(config: HubConfig) -> Path:
    """Where the API's tokens stand."""
    return Path(config.http.token)


def users_file(config: HubConfig) -> Path:
    """Where the people stand who may sign in."""
    return Path(config.http.users) if config.http.users else token_file(config).with_name("users.toml")


class Service:
    """One hub. Making it opens the store and raises what is wrong with its files; `run` works until `stop` is set."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self._live = Live()
        self._known = KnownList(Path(config.roster), self._live)
        self._key = SigningKey.load(Path(config.key))
        self._database = Database(config.store)
        self._store = Store(self._database, exporting=config.remote_write is not None)
        self._metrics = Metrics(
            self._database, self._live, silent_after_s=config.silent_after_s, ratings=config.ratings
        )
        self._progress = Progress(time.monotonic, _LIMITS_S)
        self._stopping = threading.Event()  # for work in threads, which nobody can cancel

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`."""
        config = self._config
        run = await asyncio.to_thread(self._store.open, self._known.now)
        log_opened(config.store)
        # A name of its own for each process: hubs that share a store share a subscription, not a session.
        link = Link(
            config.broker,
            config.id if config.broker.tls else f"{config.id}-{secrets.token_hex(4)}",
            window=WINDOW,
            receive_window=WINDOW,
            max_packet_bytes=_MAX_PACKET,
        )
        postman = Postman(link, self._key, self._live)
        postman.use(self._known.now)
        self._known.listeners.append(postman.use)
        receiver = Receiver(link, self._store, self._known.current, postman, self._live)
        statuses = Statuses(link, self._store, self._known.current, self._live)
        work: list[asyncio.Task[None]] = []
        helpers: list[asyncio.Task[None]] = []

        def start(into: list[asyncio.Task[None]], name: str, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            into.append(asyncio.create_task(job, name=name))
            return into[-1]

        receiving = start(work, "receiver", receiver.run(lambda: self._progress.turn("receiver")))
        posting = start(work, "postman", postman.run())
        serving = start(work, "http", self._serve())
        beat = send_beacons(
            link, self._store, self._key, config.beacon_s, self._live, lambda: self._progress.turn("beacon")
        )
        start(helpers, "beacon", beat)
        start(helpers, "statuses", statuses.run())
        start(helpers, "known list", self._known.watch(self._store))
        start(helpers, "prune", self._prune())
        start(helpers, "rollup", self._roll())
        start(helpers, "watchdog", self._feed())
        if config.remote_write is not None:
            start(helpers, "export", Exporter(self._database, config.remote_write, self._live).run())
        stopping = start(helpers, "stop", _wait(stop))
        link.start()
        notify("READY=1")
        log.info("hub up %s", fields(run=run, http=f"{config.http.host}:{config.http.port}"))
        try:
            done, _ = await asyncio.wait([*work, *helpers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            notify("STOPPING=1")
            self._stopping.set()
            receiver.close()
            await asyncio.wait([receiving], timeout=_STORE_END_S)
            postman.close()
            await asyncio.wait([posting], timeout=0.5)
            await link.close()
            serving.cancel()
            await asyncio.wait([serving], timeout=_HTTP_END_S + 0.5)
            for task in [*work, *helpers]:
                task.cancel()
            await asyncio.gather(*work, *helpers, return_exceptions=True)
            self._database.close()
        for task in done - {stopping}:
            task.result()  # raises what ended it
            raise RuntimeError(f"BUG: task {task.get_name()} ended by itself")

    async def _serve(self) -> None:
        http = self._config.http
        app = create_app(
            database=self._database,
            users=users_file(self._config),
            tokens=token_file(self._config),
            metrics=self._metrics.text,
            sessions=token_file(self._config).with_name("sessions.json"),
            secure=http.tls is not None,
            silent_after_s=self._config.silent_after_s,
            ratings=self._config.ratings,
        )
        await serve(app, host=http.host, port=http.port, tls=http.tls, stop_s=_HTTP_END_S)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            now_ms = time.time_ns() // 1_000_000
            gone = await self._round("prune", prune, self._database, self._config.keep, now_ms, self._stopping.is_set)
            if gone is not None:
                log.info("store pruned %s", fields(rows=gone))

    async def _roll(self) -> None:
        while True:
            await asyncio.sleep(_ROLL_EVERY_S)
            await self._round("rollup", roll, self._database, self._stopping.is_set)

    async def _round(self, name: str, work: Callable[..., int], *given: object) -> int | None:
        """One round of a task in a thread; what breaks it is told and counted, and the next round comes."""
        try:
            return await asyncio.to_thread(work, *given)
        except UnavailableError as error:
            log.warning("task waits for the store %s", fields(task=name, error=str(error).split("\n")[0]))
        except Exception:
            self._live.faults[name] += 1
            log.exception("task broke %s", fields(task=name))
        return None

    async def _feed(self) -> None:
        interval_s = watchdog_interval_s()
        while True:
            await asyncio.sleep(interval_s or 10.0)
            if stuck := self._progress.stuck():
                log.error("no progress %s", fields(loops=",".join(stuck)))
            elif interval_s:
                notify("WATCHDOG=1")


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def run_hub(config: HubConfig, stop_on: Callable[[asyncio.Event], None]) -> None:
    """Run one hub to its end. `stop_on` gets the event that ends it, inside the loop."""

    async def live() -> None:
        stop = asyncio.Event()
        stop_on(stop)
        await Service(config).run(stop)

    asyncio.run(live())
