"""A device on a real broker: it publishes batches and hears receipts and beacons, verified by the hub's key."""

import asyncio
from collections.abc import Callable
from typing import Self

import msgspec

from bus import envelope, topics
from bus.config import BrokerConfig
from bus.envelope import Sealed, SigningKey
from bus.link import Incoming
from bus.messages import BEACON_TYPE, RECEIPT_TYPE, Batch, Beacon, Receipt
from bus.mqtt import Link
from tests.hub.sender import Sender

_PATIENCE_S = 20.0


class Peer:
    """`heard` are its receipts, newest last; `beacons` the hub's."""

    def __init__(self, broker: BrokerConfig, sender: Sender, hub_key: SigningKey) -> None:
        self.sender = sender
        self.heard: list[Receipt] = []
        self.beacons: list[Beacon] = []
        self._keys = {hub_key.key_id: hub_key.public_bytes}
        self._news = asyncio.Event()
        self.link = Link(broker, f"peer-{sender.device}")
        self.link.subscribe(topics.receipt(sender.site, sender.device, "hub"), self._receipt)
        self.link.subscribe(topics.BEACON, self._beacon)

    async def __aenter__(self) -> Self:
        self.link.start()
        await asyncio.wait_for(self.link.ready(), _PATIENCE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.link.close()

    async def send(self, batch: Batch) -> None:
        await self.send_sealed(self.sender.seal(batch))

    async def send_sealed(self, sealed: Sealed) -> None:
        await self.link.publish_sealed(self.sender.topic, sealed)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, looking at each receipt and beacon."""
        async with asyncio.timeout(_PATIENCE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def stored(self, last: int) -> Receipt:
        """The receipt that says 1..last."""
        await self.until(lambda: any(receipt.stored == [(1, last)] for receipt in self.heard))
        return next(receipt for receipt in self.heard if receipt.stored == [(1, last)])

    def _receipt(self, incoming: Incoming) -> None:
        envelope.verify(incoming.sealed, self._keys)
        self.heard.append(msgspec.json.decode(envelope.unseal(incoming.sealed, RECEIPT_TYPE), type=Receipt))
        self._news.set()

    def _beacon(self, incoming: Incoming) -> None:
        envelope.verify(incoming.sealed, self._keys)
        self.beacons.append(msgspec.json.decode(envelope.unseal(incoming.sealed, BEACON_TYPE), type=Beacon))
        self._news.set()
