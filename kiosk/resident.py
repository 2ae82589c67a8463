"""Composes the kiosk: inputs, ballot box, flow, screens, sound, journal, uplink. Decides nothing itself.

What a citizen needs (panel, disk, lamps, picture) never waits for what may be away (broker, hub, touch page, screen,
sound device): those run beside it and are tried again. Ending: inputs stop, presses being written are written, then the
journal closes; all within 5 s.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from bus.convergence import Converger
from bus.courier import Courier, Doorbell
from bus.entries import ClockAnchor, DesiredReached
from bus.envelope import SigningKey, load_public_keys
from bus.errors import UnavailableError, WrongInputError
from bus.files import replace_file
from bus.journal import Journal
from bus.logs import fields
from bus.messages import Reached
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
from kiosk.settings import local_time, volume_pct
from kiosk.settings_store import PROPERTY, SettingsStore
from media import Output

if TYPE_CHECKING:
    from kiosk.page.app import TouchPage
    from kiosk.page.prompt_files import PromptFiles

log = logging.getLogger("kiosk")

T = TypeVar("T")

_CLOSE_DAYS_EVERY_S: Final = 30.0
_AGAIN_S: Final = 5.0
_DRAIN_S: Final = 2.0
_UNSURE_PCT: Final = 30
_PAGE_RATE_HZ: Final = 22_050
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
        self._touch: TouchPage | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._restart = asyncio.Event()
        self._converge(config)
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
                await _first(stop, self._restart)
                notify("STOPPING=1")
                if self._touch is not None:
                    self._touch.close()  # open pages must not hold the server up
                for task in (*tasks, *self._beside):
                    task.cancel()
        finally:
            await self._end()

    def _converge(self, config: KioskFile) -> None:
        """What the province or the commune may desire of a kiosk."""
        device = config.device
        keys = {issuer: load_public_keys([Path(path)]) for issuer, path in config.settings_from.items()}
        converger = Converger(
            self._link,
            site=device.site,
            device=device.id,
            issuer_keys=keys,
            state_file=self._state / "desired.json",
            on_reached=self._reached,
        )
        converger.handle(PROPERTY, self._take_settings)
        converger.handle("officer", self._take_officer)
        converger.handle("identify", self._identify)
        converger.handle("restart", self._obey_restart, ends_process=True)

    async def _take_settings(self, value: msgspec.Raw) -> str:
        settings = self._store.accept(bytes(value))
        self.booth.use(settings)
        return f"counter {settings.counter}"

    async def _take_officer(self, value: msgspec.Raw) -> str:
        """The console says who is on duty: a code of the settings, or "" for nobody."""
        code = _decode(value, str)
        if code and code not in {officer.code for officer in self.booth.settings.officers}:
            raise WrongInputError(f"officer {code!r} is not in this kiosk's settings")
        await self.booth.box.set_officer(code, "console")
        return code

    async def _identify(self, value: msgspec.Raw) -> None:
        """Blink, so that the person in front of several kiosks sees which one is meant."""
        seconds = _decode(value, float)
        if not 1 <= seconds <= 60:
            raise WrongInputError(f"identify for {seconds} s: 1 to 60 are wanted")
        self._panels.blink(seconds)

    async def _obey_restart(self, value: msgspec.Raw) -> None:
        """End; whoever supervises this process starts it again."""
        self._restart.set()

    async def _reached(self, issuer: str, name: str, reached: Reached) -> None:
        record = DesiredReached(self._config.device.id, issuer, name, reached.version, reached.result, reached.detail)
        try:
            await self._journal.record(record)
        except UnavailableError as error:
            log.error("desired state not recorded %s", fields(name=name, error=error))

    def _work(self) -> dict[str, Coroutine[Any, Any, None]]:
        work = {
            "panels": self._panels.run(),
            "booth": self._tick(),
            "days": self._close_days(),
            "clock": self._watch_clock(),
            "screen": self._screen.run(),
            "supervision": self._supervise(),
        }
        for number, keypad in enumerate(self._keypads, 1):
            work[f"keypad {number}"] = keypad.run()
        if self._config.badge is not None:
            badge = self._config.badge
            work["badge"] = BadgeReader(badge.path, self.booth, baud=badge.baud).run()
        if self._config.sound.enabled:
            work["sound"] = self._sound()
        if self._config.page.enabled:
            work["page"] = self._page()
        return work

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

    async def _sound(self) -> None:
        from kiosk.prompts import Prompter, PromptStore  # only where there is a loudspeaker

        output = await self._open_output()
        try:
            store = PromptStore(self._recordings(), output.rate_hz)
            self.booth.on_prompt(Prompter(output, store, self._volume_pct).play)
            await store.follow(lambda: self.booth.settings)
        finally:
            output.close()

    def _recordings(self) -> Path | None:
        return Path(self._config.sound.recordings) if self._config.sound.recordings else None

    async def _open_output(self) -> Output:
        sound = self._config.sound
        if sound.wav:
            from media.simulated import WavOutput

            return WavOutput(Path(sound.wav))
        from media.portaudio import PortAudioOutput

        told = False
        while True:
            try:
                return await asyncio.to_thread(PortAudioOutput, sound.device)
            except UnavailableError as error:
                if not told:
                    log.error("no sound %s", fields(error=error))
                told = True
                await asyncio.sleep(_AGAIN_S)

    def _volume_pct(self) -> int:
        # On a clock that nobody vouches for it might be the middle of the night: be soft, not silent.
        stamp = self._clock.now()
        if stamp.quality == "unknown":
            return min(_UNSURE_PCT, max((rule.volume_pct for rule in self.booth.settings.volumes), default=0))
        return volume_pct(self.booth.settings, local_time(stamp.wall_ms))

    async def _page(self) -> None:
        from kiosk.page.app import TouchPage  # only where it is served
        from web.server import serve

        page, key = self._config.page, self._page_key()
        prompts = self._page_prompts() if page.sounds else None
        touch = self._touch = TouchPage(self.booth, key, prompts=prompts)

        def listening(port: int) -> None:
            url = f"http://{page.host}:{port}/{key}/"
            replace_file(self._state / "page.json", b'{"url":"%s"}\n' % url.encode(), mode=0o600)

        while True:
            try:
                await serve(touch.app(), host=page.host, port=page.port, on_listening=listening)
            except UnavailableError as error:
                log.error("touch page not served %s", fields(error=error))
            await asyncio.sleep(_AGAIN_S)

    def _page_prompts(self) -> "PromptFiles":
        from kiosk.page.prompt_files import PromptFiles
        from kiosk.prompts import PromptStore

        store = PromptStore(self._recordings(), _PAGE_RATE_HZ)
        following = asyncio.create_task(store.follow(lambda: self.booth.settings), name="page prompts")
        self._beside.add(following)
        return PromptFiles(store, self._volume_pct)

    def _page_key(self) -> str:
        """The secret in the page's address, made at the first start: who can press can vote."""
        path = self._state / "page.key"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            key = secrets.token_urlsafe(32)
            replace_file(path, key.encode(), mode=0o600)
            return key

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
                await self._panels.drain()
                for keypad in self._keypads:
                    await keypad.drain()
                await self._courier.close()
                await self._presence.goodbye()
                await self._link.close()
        except TimeoutError:
            log.error("gave up ending in order %s", fields(after_s=_DRAIN_S))
        await asyncio.to_thread(self._journal.close)
        self._clock.close()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _decode(value: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongInputError(str(error)) from error


def run_kiosk(config: KioskFile, stop_on: Callable[[asyncio.Event], None]) -> None:
    """Run one kiosk to its end. `stop_on` gets the event that ends it, inside the loop."""

    async def live() -> None:
        stop = asyncio.Event()
        stop_on(stop)
        await Resident(config).run(stop)

    asyncio.run(live())
