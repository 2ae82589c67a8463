"""What the province or the commune may desire of a kiosk, and how it is done: settings, officer, identify, restart."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bus.config import DeviceConfig
from bus.convergence import Converger
from bus.entries import DesiredReached
from bus.envelope import KeyId
from bus.errors import UnavailableError, WrongInputError
from bus.identifiers import DeviceId
from bus.journal import Journal
from bus.link import LinkBase
from bus.logs import fields
from bus.messages import Reached
from kiosk.booth import Booth
from kiosk.settings_store import PROPERTY, SettingsStore

log = logging.getLogger("kiosk.wishes")

T = TypeVar("T")

IDENTIFY_S: Final = (1, 60)


class Wishes:
    """Registers the properties. `restart` is set when a restart was desired: whoever supervises starts us again."""

    def __init__(
        self,
        link: LinkBase,
        device: DeviceConfig,
        issuer_keys: Mapping[DeviceId, Mapping[KeyId, bytes]],
        state: Path,
        *,
        journal: Journal,
        booth: Booth,
        store: SettingsStore,
        blink: Callable[[float], None],
    ) -> None:
        self.restart: Final = asyncio.Event()
        self._device = device.id
        self._journal = journal
        self._booth = booth
        self._store = store
        self._blink = blink
        converger = Converger(
            link,
            site=device.site,
            device=device.id,
            issuer_keys=issuer_keys,
            state_file=state / "desired.json",
            on_reached=self._reached,
        )
        converger.handle(PROPERTY, self._settings)
        if not store.kept:
            converger.redo(PROPERTY)  # what was accepted once is gone with its file
        converger.handle("officer", self._officer)
        converger.handle("identify", self._identify)
        converger.handle("restart", self._restart, ends_process=True)

    async def _settings(self, value: msgspec.Raw) -> str:
        settings = await self._store.accept(bytes(value))
        self._booth.use(settings)
        return f"counter {settings.counter}"

    async def _officer(self, value: msgspec.Raw) -> str:
        """The console says who is on duty: a code of the settings, or "" for nobody."""
        code = _decode(value, str)
        if code and code not in {officer.code for officer in self._booth.settings.officers}:
            raise WrongInputError(f"officer {code!r} is not in this kiosk's settings")
        await self._booth.box.set_officer(code, "console")
        return code

    async def _identify(self, value: msgspec.Raw) -> None:
        """Blink, so that the person in front of several kiosks sees which one is meant."""
        seconds = _decode(value, float)
        if not IDENTIFY_S[0] <= seconds <= IDENTIFY_S[1]:
            raise WrongInputError(f"identify for {seconds} s: {IDENTIFY_S[0]} to {IDENTIFY_S[1]} are wanted")
        self._blink(seconds)

    async def _restart(self, value: msgspec.Raw) -> None:
        self.restart.set()

    async def _reached(self, issuer: str, name: str, reached: Reached) -> None:
        record = DesiredReached(self._device, issuer, name, reached.version, reached.result, reached.detail)
        try:
            await self._journal.record(record)
        except UnavailableError as error:
            log.error("desired state not recorded %s", fields(name=name, error=error))


def _decode(value: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongInputError(str(error)) from error
