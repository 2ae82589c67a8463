"""Births and last wills of devices, retained on the broker: hints of what runs where, kept beside the entries.

After a connect thousands may come at once, so they are gathered and written together. They are not signed: the broker's
access list says who may write them, and nothing but a version, a boot id and a light on a page hangs on them.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from bus import topics
from bus.errors import UnavailableError, WrongInputError
from bus.link import Incoming
from bus.logs import fields
from bus.messages import Status
from bus.mqtt import Link
from hub.live import Live
from hub.roster import Roster
from hub.store import Store

log = logging.getLogger(__name__)

_GATHER_S: Final = 1.0
_status = msgspec.json.Decoder(Status)


class Statuses:
    """Hears them on a link and writes them to the store."""

    def __init__(self, link: Link, store: Store, roster: Callable[[], Roster], live: Live) -> None:
        self._store = store
        self._roster = roster
        self._live = live
        self._gathered: dict[str, Status] = {}
        self._heard = asyncio.Event()
        link.subscribe(f"{topics.ROOT}/+/+/status", self._take)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._heard.wait()
            await asyncio.sleep(_GATHER_S)
            self._heard.clear()
            gathered, self._gathered = self._gathered, {}
            try:
                await asyncio.to_thread(self._store.take_statuses, list(gathered.values()))
            except UnavailableError as error:
                log.warning("statuses not written %s", fields(error=str(error).split("\n")[0]))
                self._gathered = gathered | self._gathered
                self._heard.set()

    def _take(self, incoming: Incoming) -> None:
        if not incoming.body:
            return  # a retained message that was taken away
        try:
            place = topics.read_device_topic(incoming.topic)
            status = _status.decode(incoming.body)
        except (WrongInputError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._live.statuses_refused += 1
            return
        member = self._roster().members.get(place.device)
        if member is None or member.site != place.site or status.device != place.device:
            self._live.statuses_refused += 1
            return
        self._gathered[status.device] = status
        self._heard.set()
