"""Sends receipts, signed by the hub's key. Of a journal only the newest waits: it says all that is held.

A receipt that cannot be sent is counted and dropped: the device asks again.
"""

import asyncio
import time
from typing import Final

from msgspec import structs

from bus import envelope, topics
from bus.envelope import SigningKey
from bus.errors import CommuneError
from bus.messages import RECEIPT_TYPE, Receipt, Refused, encode
from bus.mqtt import Link
from hub.live import Live
from hub.roster import Roster

_SENDERS: Final = 16
_QUARANTINED: Final = 1_000  # of earlier receipts, in one that took their place
_EXPIRY_S: Final = 60  # a receipt that came later than this has been asked for again

_Key = tuple[str, str, str]


class Postman:
    """`post` never waits; `run` sends until `close`, then what is left."""

    def __init__(self, link: Link, key: SigningKey, live: Live) -> None:
        self._link = link
        self._key = key
        self._live = live
        self._outbox: dict[_Key, tuple[Receipt, float]] = {}
        self._posted = asyncio.Event()
        self._closing = False
        self._sites: dict[str, str] = {}

    def use(self, roster: Roster) -> None:
        """Learn which site a device belongs to."""
        self._sites = {device: member.site for device, member in roster.members.items()}

    def post(self, receipt: Receipt, asked_s: float) -> None:
        """Send soon. `asked_s`: when (monotonic seconds) the first batch that it answers arrived."""
        key = (receipt.device, receipt.epoch, receipt.klass)
        if (older := self._outbox.get(key)) is not None:
            receipt = structs.replace(receipt, refused=_joined(older[0].refused, receipt.refused))
            asked_s = older[1]
        self._outbox[key] = (receipt, asked_s)
        self._posted.set()

    async def run(self) -> None:
        """Work until `close`."""
        await asyncio.gather(*(self._send_all() for _ in range(_SENDERS)))

    def close(self) -> None:
        """Send what is left, and end."""
        self._closing = True
        self._posted.set()

    async def _send_all(self) -> None:
        while True:
            if not self._outbox:
                if self._closing:
                    return
                self._posted.clear()
                await self._posted.wait()
                continue
            receipt, asked_s = self._outbox.pop(next(iter(self._outbox)))
            await self._send(receipt, asked_s)

    async def _send(self, receipt: Receipt, asked_s: float) -> None:
        site = self._sites.get(receipt.device)
        if site is None:  # it left the known list while we worked
            self._live.receipts_unsent += 1
            return
        topic = topics.receipt(site, receipt.device, receipt.consumer)
        sealed = envelope.seal(encode(receipt), RECEIPT_TYPE, self._key)
        try:
            await self._link.publish_sealed(topic, sealed, expiry_s=_EXPIRY_S)
        except CommuneError:
            self._live.receipts_unsent += 1
            return
        self._live.receipts += 1
        self._live.answer.add(time.monotonic() - asked_s)


def _joined(older: list[Refused], newer: list[Refused]) -> list[Refused]:
    """The newer receipt's, and what the older one had to say of single entries: on conflicts each stands for itself."""
    before = [one for one in older if one.verdict == "quarantined"][-_QUARANTINED:]
    return list({(one.seq, one.verdict): one for one in [*before, *newer]}.values())
