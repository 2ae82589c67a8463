"""The hub's sign of life, `ce/1/hub/beacon`: signed, every few seconds, and only while the store answers.

Devices send while it is fresh (three intervals), so that an outage of the store is an outage they wait out rather than
one into which they pour what they hold.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from bus import envelope, topics
from bus.envelope import SigningKey
from bus.errors import CommuneError, UnavailableError
from bus.logs import fields
from bus.messages import BEACON_TYPE, Beacon, encode
from bus.mqtt import Link
from hub.live import Live
from hub.store import Store

log = logging.getLogger(__name__)


async def send_beacons(
    link: Link, store: Store, key: SigningKey, interval_s: int, live: Live, progress: Callable[[], None]
) -> None:
    """Send one each interval, until cancelled."""
    while True:
        await link.ready()
        try:
            run = await asyncio.to_thread(store.run)
            beacon = Beacon(run, time.time_ns() // 1_000_000, interval_s)
            sealed = envelope.seal(encode(beacon), BEACON_TYPE, key)
            await link.publish_sealed(topics.BEACON, sealed, expiry_s=3 * interval_s)
        except UnavailableError as error:
            log.warning("no beacon %s", fields(error=str(error).split("\n")[0]))
        except CommuneError as error:
            log.error("beacon refused %s", fields(error=str(error)))
        else:
            live.beacons += 1
        progress()
        await asyncio.sleep(interval_s)
