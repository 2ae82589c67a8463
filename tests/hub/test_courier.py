"""The hub with a real journal and courier: a backlog drains, and what is live meanwhile does not wait behind it."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.courier import Courier, Doorbell
from bus.entries import EventNoted, SampleBlock
from bus.journal import Journal
from bus.messages import Lost
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


async def test_samples_shed_while_the_line_was_away_are_lost_and_not_missing(
    tmp_path: Path, new_broker: Callable[[], Broker], site: str
) -> None:
    broker, sender = new_broker(), Sender(site, f"{site}-agent")
    hub = HubProcess(tmp_path / "hub", broker.config, "sqlite:///hub.db", sender)
    journal = Journal(tmp_path / "journal", stamp=stamp, config=JournalConfig(sample_mib=1), segment_bytes=65_536)
    # Random values: a block of 4 kB stays one on the disk, whatever is compressed on the way.
    for _ in range(15):
        blocks = [SampleBlock(START_MS, 1000, {"x": [random.random() for _ in range(200)]}) for _ in range(40)]
        for future in [journal.append(block) for block in blocks]:
            await asyncio.wrap_future(future)
        await asyncio.wrap_future(journal.flush())
    (shed,) = [view for view in journal.epochs() if view.klass == "sample"]
    assert shed.head == 600
    assert shed.lost == [Lost(1, shed.first_held - 1, "shed")]
    hub.start()
    link = Link(broker.config, sender.device)
    hub_keys = {hub.key.key_id: hub.key.public_bytes}
    courier = Courier(link, journal, site=site, device=sender.device, key=sender.key, hub_keys=hub_keys)
    try:
        courier.start()
        link.start()
        assert await courier.settle(60)
    finally:
        await courier.close()
        await link.close()
        journal.close()
    (samples,) = hub.get("/api/v1/journals?class=sample").json()["items"]
    assert samples["lost"] == {"shed": shed.first_held - 1}
    assert samples["stored"] == 600 - (shed.first_held - 1)
    assert samples["missing"] == 0
    (told,) = [line for line in hub.get("/metrics").text.splitlines() if line.startswith("commune_journal_lost_")]
    assert 'class="sample"' in told
    assert told.endswith(f" {shed.first_held - 1}.0")
    assert hub.stop() < 5
