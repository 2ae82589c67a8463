"""Composes the kiosk: inputs, ballot box, flow, screens, sound, journal, uplink. Decides nothing itself.

What a citizen needs (panel, disk, lamps, picture) never waits for what may be away (broker, hub, touch page, screen,
sound device): those run beside it and are tried again. Ending: inputs stop, then the journal closes, which writes the
presses that are under way; all within 5 s.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bus.courier import Courier, Doorbell
from bus.entries import ClockAnchor
from bus.envelope import SigningKey, load_public_keys
from bus.errors import UnavailableError
from bus.journal import Journal
from bus.logs import fields
from bus.mqtt import Link
from bus.presence import Presence, last_will
from bus.supervision import Progress, notify, watchdog_interval_s
from bus.timekeeper import Timekeeper
from kiosk.badge import BadgeReader
from kiosk.ballots import BallotBox
from kiosk.booth import TICK_S, Booth
from kiosk.config import KioskFile
from kiosk.keypad import Keypad
from kiosk.panel.desk import Panels
from kiosk.screen_link import ScreenLink
from kiosk.settings_store import SettingsStore
from kiosk.standing import Standing, backlog, serve_standing
from kiosk.wishes import Wishes

if TYPE_CHECKING:
    from kiosk.page.service import PageService

log = logging.getLogger("kiosk")

_CLOSE_DAYS_EVERY_S: Final = 30.0
_DRAIN_S: Final = 2.0
_LIMITS_S: Final = {"booth": 15.0}


class Resident:
    """One kiosk. `run` lives until `stop` is set, or until something breaks that a restart may mend."""

    def __init__(self, config: KioskFile) -> None:
        self._config = config
        self._state = Path(config.kiosk.state)
        try:
            self._state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"the state folder {self._state} cannot be made: {error}") from error
        self._store = SettingsStore(self._state / "settings.json", config.settings)
        simulated = Path(config.clock.simulated) if config.clock.simulated else None
        self._clock = Timekeeper(self._state, simulated=simulated)
        bell = Doorbell()
        self._journal = Journal(
            self._state / "journal", stamp=self._clock.now, config=config.journal, on_durable=bell.ring
        )
        device = config.device
        started = self._clock.now()
        about = {"version": version("commune-edge"), "boot": started.boot}
        self._link = Link(config.broker, device.id, will=last_will(device.site, device.id, "kiosk", **about))
        self._presence = Presence(self._link, device.site, device.id, "kiosk", at_ms=started.wall_ms, **about)
        self._courier = Courier(
            self._link,
            self._journal,
            site=device.site,
            device=device.id,
            key=SigningKey.load(Path(device.key)),
            hub_keys=load_public_keys(map(Path, device.hub_keys)),
            bell=bell,
        )
        box = BallotBox(self._journal, stamp=self._clock.now, settings=lambda: self._store.settings)
        self.booth: Final = Booth(box, self._clock, self._store.settings)
        self._panels = Panels([(panel.path, panel.baud) for panel in config.panel], self.booth)
        self._keypads = [
            Keypad(keypad.path, keypad.keys, self.booth, name=f"{device.id}-keypad-{number}")
            for number, keypad in enumerate(config.keypad, 1)
        ]
        self._screen = ScreenLink(self.booth, self._state / "screen.sock", config.screen)
        self._page: PageService | None = None
        self._wishes = Wishes(
            self._link,
            device,
            {issuer: load_public_keys([Path(path)]) for issuer, path in config.settings_from.items()},
            self._state,
            journal=self._journal,
            booth=self.booth,
            store=self._store,
            blink=self._panels.blink,
        )
        self._progress = Progress(time.monotonic, _LIMITS_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve the counter until `stop`."""
        self._courier.start()
        self._link.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work, name=name) for name, work in self._work().items()]
                notify("READY=1")
                log.info("kiosk serves %s", fields(counter=self.booth.settings.counter, panels=len(self._panels.desks)))
                await _first(stop, self._wishes.restart)
                notify("STOPPING=1")
                if self._page is not None:
                    self._page.close()  # open pages must not hold the server up
                for task in tasks:
                    task.cancel()
        finally:
            await self._end()

    def _work(self) -> dict[str, Coroutine[Any, Any, None]]:
        work = {
            "panels": self._panels.run(),
            "booth": self._tick(),
            "days": self._close_days(),
            "clock": self._watch_clock(),
            "screen": self._screen.run(),
            "standing": serve_standing(self._state, self._stand),
            "supervision": self._supervise(),
        }
        for number, keypad in enumerate(self._keypads, 1):
            work[f"keypad {number}"] = keypad.run()
        if self._config.badge is not None:
            badge = self._config.badge
            work["badge"] = BadgeReader(badge.path, self.booth, baud=badge.baud).run()
        work |= self._voice_and_page()
        return work

    def _voice_and_page(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What only some kiosks have; imported only there."""
        work: dict[str, Coroutine[Any, Any, None]] = {}
        config = self._config
        if not (config.sound.enabled or config.page.enabled):
            return work
        from kiosk.voice import PAGE_RATE_HZ, Voice

        voice = Voice(config.sound, self.booth, self._clock)
        if config.sound.enabled:
            work["voice"] = voice.run()
        if config.page.enabled:
            from kiosk.page.prompt_files import PromptFiles
            from kiosk.page.service import PageService

            prompts = None
            if config.page.sounds:
                store = voice.store(PAGE_RATE_HZ)
                prompts = PromptFiles(store, voice.volume_pct)
                work["page prompts"] = voice.follow(store)
            self._page = PageService(self.booth, config.page, self._state, prompts=prompts)
            work["page"] = self._page.run()
        return work

    def _stand(self) -> Standing:
        screen = self._config.screen.enabled
        return Standing(
            device=self._config.device.id,
            panels={desk.port.path: desk.present for desk in self._panels.desks},
            keypads={keypad.path: keypad.present for keypad in self._keypads},
            broker=self._link.connected,
            disk=not self.booth.picture.trouble,
            screen=self._screen.showing if screen else None,
            screen_restarts=self._screen.restarts,
            waiting=backlog(self._journal.waiting("hub")),
        )

    async def _tick(self) -> None:
        while True:
            self.booth.network(up=self._link.connected)
            self.booth.tick()
            self._progress.turn("booth")
            await asyncio.sleep(TICK_S)

    async def _close_days(self) -> None:
        while True:
            try:
                await self.booth.box.close_days()
            except UnavailableError as error:
                log.error("day's totals not written %s", fields(error=error))
            await asyncio.sleep(_CLOSE_DAYS_EVERY_S)

    async def _watch_clock(self) -> None:
        """Journal this boot's anchor once time is trusted."""
        anchor = None
        while True:
            anchor = anchor or self._clock.anchor_due()
            if anchor is not None:
                try:
                    await self._journal.record(ClockAnchor(), at=anchor)
                    anchor = None
                except UnavailableError as error:
                    log.error("clock anchor not written %s", fields(error=error))
            await asyncio.sleep(1.0)

    async def _supervise(self) -> None:
        interval_s = watchdog_interval_s()
        while True:
            if not self._journal.healthy:
                raise RuntimeError("BUG: the journal's writer has stopped; the next start opens it soundly")
            if stuck := self._progress.stuck():
                log.error("no progress %s", fields(loops=",".join(stuck)))
            else:
                notify("WATCHDOG=1")
            await asyncio.sleep(interval_s or 5.0)

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._courier.close()
                await self._presence.goodbye()
                await self._link.close()
        except TimeoutError:
            log.error("gave up ending in order %s", fields(after_s=_DRAIN_S))
        await asyncio.to_thread(self._journal.close)  # writes the presses that it has been given
        self._clock.close()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def run_kiosk(config: KioskFile, stop_on: Callable[[asyncio.Event], None]) -> None:
    """Run one kiosk to its end. `stop_on` gets the event that ends it, inside the loop."""

    async def live() -> None:
        stop = asyncio.Event()
        stop_on(stop)
        await Resident(config).run(stop)

    asyncio.run(live())
