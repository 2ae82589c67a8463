"""The hub with a real journal and courier: a backlog drains, and what is live meanwhile does not wait behind it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.courier import Courier, Doorbell
from bus.entries import EventNoted
from bus.journal import Journal
from bus.mqtt import Link
from tests.broker import Broker
from tests.evidence import rounds
from tests.hub.process import HubProcess
from tests.hub.sender import START_MS, Sender

QUEUED = rounds(small=5_000, full=100_000)


def stamp() -> Stamp:
    return Stamp("b" * 32, time.monotonic_ns(), START_MS, Quality.TRUSTED)


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_a_backlog_drains_through_kills_of_broker_and_hub(
    tmp_path: Path, new_broker: Callable[[], Broker], site: str, evidence: Callable[[str], None]
) -> None:
    broker, sender = new_broker(), Sender(site, f"{site}-agent")
    hub = HubProcess(tmp_path / "hub", broker.config, "sqlite:///hub.db", sender)
    hub.start()
    bell = Doorbell()
    journal = Journal(tmp_path / "journal", stamp=stamp, config=JournalConfig(), on_durable=bell.ring)
    for first in range(0, QUEUED, 5_000):
        for future in [journal.append(EventNoted("queued", str(first + number))) for number in range(5_000)]:
            await asyncio.wrap_future(future)
    link = Link(broker.config, sender.device)
    courier = Courier(
        link,
        journal,
        site=site,
        device=sender.device,
        key=sender.key,
        hub_keys={hub.key.key_id: hub.key.public_bytes},
        bell=bell,
    )
    courier.start()
    link.start()
    await link.ready()
    for victim in (hub, broker):
        await asyncio.sleep(0.4)
        await asyncio.to_thread(victim.kill)
        await asyncio.wrap_future(journal.append(EventNoted("meanwhile")))
        await asyncio.to_thread(victim.start)
    assert await courier.settle(300)
    head = QUEUED + 1 + 2
    (view,) = journal.epochs()
    assert view.stored["hub"] == [(1, head)]
    await courier.close()
    await link.close()
    journal.close()
    journals = hub.get("/api/v1/journals").json()["items"]
    assert [(one["first"], one["last"], one["stored"], one["missing"]) for one in journals] == [(1, head, head, 0)]
    evidence(f"backlog of {QUEUED} through a kill of hub and broker each: {head} written, {head} stored")
    assert hub.stop() < 5
