"""The hub's sign of life, `ce/1/hub/beacon`: signed, every few seconds, and only while the store answers.

Devices send while it is fresh (three intervals), so that an outage of the store is an outage they wait out rather than
one into which they pour what they hold.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bus import envelope, topics
from bus.envelope import SigningKey
from bus.errors import CommuneError, UnavailableError
from bus.logs import fields
from bus.messages import BEACON_TYPE, Beacon, encode
from bus.mqtt import Link
from hub.live import Live
from hub.store import Store

log = logging.getLogger(__name__)

_WAIT_S: Final = 5.0


async def send_beacons(
    link: Link, store: Store, key: SigningKey, interval_s: int, live: Live, progress: Callable[[], None]
) -> None:
    """Send one each interval, until cancelled.

    `progress` is called while the broker is waited for as well: its being away is no reason to start the hub anew.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, "beacon")  # its own: whatever else asks the store does not keep it waiting
    try:
        while True:
            await _await_broker(link, progress)
            try:
                run, at_ms = await loop.run_in_executor(thread, store.beacon)
                sealed = envelope.seal(encode(Beacon(run, at_ms, interval_s)), BEACON_TYPE, key)
                await link.publish_sealed(topics.BEACON, sealed, expiry_s=3 * interval_s)
            except UnavailableError as error:
                log.warning("no beacon %s", fields(error=str(error).split("\n")[0]))
            except CommuneError as error:
                log.error("beacon refused %s", fields(error=str(error)))
            else:
                live.beacons += 1
            progress()
            await asyncio.sleep(interval_s)
    finally:
        thread.shutdown(wait=False)


async def _await_broker(link: Link, progress: Callable[[], None]) -> None:
    while True:
        progress()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(link.ready(), _WAIT_S)
            return
