"""The settings a kiosk runs on: the last that were accepted, on disk, so that they hold when the network is down."""

import asyncio
import logging
from pathlib import Path
from typing import Final

import msgspec

from bus.errors import WrongInputError
from bus.files import replace_file
from bus.logs import fields
from kiosk.settings import KioskSettings

log = logging.getLogger("kiosk.settings")

PROPERTY = "configuration"


class SettingsStore:
    """`first` holds until others have been accepted. `kept` says that there were such, readable, at the start."""

    def __init__(self, path: Path, first: KioskSettings) -> None:
        self._path = path
        self._keeping = asyncio.Lock()
        kept = self._read()
        self.kept: Final = kept is not None
        self.settings = kept or first

    async def accept(self, document: bytes) -> KioskSettings:
        """Check, keep and return new settings; `WrongInputError` refuses them whole, `OSError` when not kept."""
        try:
            settings = msgspec.json.decode(document, type=KioskSettings)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WrongInputError(f"kiosk settings: {error}") from error
        async with self._keeping:  # two at once: the file and what holds are of the same
            await asyncio.to_thread(replace_file, self._path, msgspec.json.encode(settings))
            self.settings = settings
        return settings

    def _read(self) -> KioskSettings | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=KioskSettings)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("kept settings are unreadable, the file's hold %s", fields(path=self._path, error=error))
            return None
