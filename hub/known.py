"""The known list as it is now: read again when its file has changed, and taken over into the store.

A file with a mistake changes nothing: the list that was good stays, and the mistake is logged and counted.
"""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bus.errors import UnavailableError, WrongInputError
from bus.logs import fields
from hub.live import Live
from hub.roster import Roster
from hub.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_LOOK_S: Final = 2.0


class KnownList:
    """The roster of one file. `listeners` are told of each new one."""

    def __init__(self, path: Path, live: Live) -> None:
        self._path = path
        self._live = live
        self._seen = _mark(path)
        self.now = Roster.load(path)
        self.listeners: list[Callable[[Roster], None]] = []

    def current(self) -> Roster:
        """The list as it stands."""
        return self.now

    async def watch(self, store: Store) -> None:
        """Follow the file until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            mark = _mark(self._path)
            if mark == self._seen:
                continue
            try:
                roster = await asyncio.to_thread(Roster.load, self._path)
                await asyncio.to_thread(store.sync_roster, roster)
            except WrongInputError as error:
                self._live.roster_failures += 1
                log.error("known list not taken over %s", fields(error=str(error)))
            except UnavailableError as error:
                log.warning("known list waits for the store %s", fields(error=str(error).split("\n")[0]))
                continue
            except Exception:  # a list that reader or store cannot bear is a list with a mistake
                self._live.roster_failures += 1
                log.exception("known list not taken over")
            else:
                self.now = roster
                for listener in self.listeners:
                    listener(roster)
                log.info("known list taken over %s", fields(sites=len(roster.sites), devices=len(roster.members)))
            self._seen = mark


def _mark(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
