"""The hub's ear on MQTT: batches in, one transaction for all that wait, receipts out after the commit.

What always holds:

- A message is acknowledged to the broker once its batch was committed or refused: what the hub can hold in memory is
  the link's receive window, and no more.
- When the store does not answer, batches are dropped and counted: the devices keep what they have and send it again.
- Receipts go out after the commit; `hub.postman` signs and sends them.
- No message ends the work: what cannot be handled is counted and logged, and the next is taken.

Several hubs share one subscription (`$share/hub/...`, MQTT 5, 4.8.2). What a message means is for `hub.admission` and
`hub.ingest`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from bus import topics
from bus.errors import UnavailableError
from bus.link import Incoming
from bus.logs import fields
from bus.mqtt import Link
from hub.admission import Admitted, Rejected, admit
from hub.live import Live
from hub.postman import Postman
from hub.roster import Roster
from hub.store import Outcome, Store

log = logging.getLogger(__name__)

UP_FILTER: Final = f"$share/hub/{topics.ROOT}/+/+/up"
WINDOW: Final = 128  # messages in hand; the link's receive window is the same
_BYTES_A_TURN: Final = 8 * 1024 * 1024
_STORE_AWAY_S: Final = 1.0
_SAY_AGAIN_S: Final = 60.0


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    message: Admitted | Rejected
    arrived_s: float
    done: asyncio.Future[None]


class Receiver:
    """Takes batches from a link to the store. `roster` gives the known list as it is now."""

    def __init__(self, link: Link, store: Store, roster: Callable[[], Roster], postman: Postman, live: Live) -> None:
        self._store = store
        self._roster = roster
        self._postman = postman
        self._live = live
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._said: dict[tuple[str, str], float] = {}
        # One thread: the store's transactions follow each other anyway.
        self._thread: Final = ThreadPoolExecutor(1, "ingest")
        link.subscribe(UP_FILTER, self._take, workers=WINDOW)

    async def run(self, progress: Callable[[], None]) -> None:
        """Work until `close`; `progress` is called at each turn."""
        loop = asyncio.get_running_loop()
        try:
            while not (self._closing and not self._waiting):
                progress()
                if not await self._wait():
                    continue
                turn = self._next_turn()
                try:
                    await self._work(loop, turn)
                finally:
                    for one in turn:
                        if not one.done.done():
                            one.done.set_result(None)
        finally:
            self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Take nothing more; what is in hand is still stored and receipted."""
        self._closing = True
        self._arrived.set()

    async def _take(self, incoming: Incoming) -> None:
        if self._closing:
            return
        self._live.messages += 1
        message = admit(incoming.topic, incoming.sealed, self._roster())
        one = _Waiting(message, time.monotonic(), asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._arrived.set()
        await one.done

    async def _wait(self) -> bool:
        if not self._waiting:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), 5)
            except TimeoutError:
                return False
        return bool(self._waiting)

    def _next_turn(self) -> list[_Waiting]:
        size = 0
        for at, one in enumerate(self._waiting):
            size += one.message.body_bytes if isinstance(one.message, Admitted) else len(one.message.raw or b"")
            if at and size > _BYTES_A_TURN:
                turn, self._waiting = self._waiting[:at], self._waiting[at:]
                return turn
        turn, self._waiting = self._waiting, []
        return turn

    async def _work(self, loop: asyncio.AbstractEventLoop, turn: Sequence[_Waiting]) -> None:
        admitted = [one.message for one in turn if isinstance(one.message, Admitted)]
        rejected = [one.message for one in turn if isinstance(one.message, Rejected)]
        self._say(rejected)
        try:
            if rejected:
                await loop.run_in_executor(self._thread, self._store.reject, rejected)
                rejected = []
            if admitted:
                began_s = time.monotonic()
                outcome = await loop.run_in_executor(self._thread, self._store.ingest, admitted)
                self._live.commit.add(time.monotonic() - began_s)
                self._count(outcome, len(admitted))
                first_s = min(one.arrived_s for one in turn)
                for receipt in outcome.receipts:
                    self._postman.post(receipt, first_s)
        except UnavailableError as error:
            self._live.store_failures += 1
            self._live.dropped["store"] += len(admitted)
            self._live.rejected.update(one.reason.value for one in rejected)
            log.error("store away %s", fields(dropped=len(admitted), error=str(error).split("\n")[0]))
            await asyncio.sleep(_STORE_AWAY_S)
        except Exception:  # what the store makes of these must not stop what others send
            self._live.faults["receiver"] += 1
            self._live.dropped["fault"] += len(admitted)
            self._live.rejected.update(one.reason.value for one in rejected)
            log.exception("messages not taken %s", fields(dropped=len(admitted)))

    def _count(self, outcome: Outcome, batches: int) -> None:
        live = self._live
        live.transactions += 1
        live.batches += batches
        live.entries += outcome.entries
        live.repeats += outcome.repeats
        if outcome.set_aside:
            log.warning("entries set aside %s", fields(**dict(outcome.set_aside)))
        if outcome.breaks:
            log.error("hash chain broken %s", fields(breaks=outcome.breaks))

    def _say(self, rejected: Sequence[Rejected]) -> None:
        """One line a device and reason a minute: whoever floods us must not flood the log."""
        now_s = time.monotonic()
        for one in rejected:
            key = (one.device, one.reason.value)
            if now_s - self._said.get(key, -_SAY_AGAIN_S) >= _SAY_AGAIN_S:
                self._said[key] = now_s
                log.warning("message refused %s", fields(device=one.device, reason=one.reason, detail=one.detail))
