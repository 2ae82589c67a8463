"""A device under load, as a process to be killed: `python -m tests.system.load DIR BROKER_PORT SITE HUB_KEY RATE`.

It has what every part has (journal, courier, link) and records numbered notes as fast as it is told to. Before each
append it says `offered N`, and `kept N EPOCH SEQ` once the journal has told it so, in a log that survives it: whatever
is `kept` there has been accepted and may never be lost. SIGTERM ends it.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from bus.clock import Quality, Stamp
from bus.config import BrokerConfig, JournalConfig
from bus.courier import Courier, Doorbell
from bus.entries import EventNoted
from bus.envelope import SigningKey, load_public_keys
from bus.errors import UnavailableError
from bus.journal import Journal
from bus.mqtt import Link
from bus.timekeeper import boot_id

_AT_ONCE = 8  # appends under way, so that several share one fsync


def log_path(folder: Path) -> Path:
    """Where a load device writes what it offered and what was kept. Not in its state: a disk restored keeps no log."""
    return folder.with_suffix(".log")


async def run(folder: Path, port: int, site: str, hub_key: Path, rate: float) -> None:
    boot = boot_id()

    def stamp() -> Stamp:
        return Stamp(boot, time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns() // 1_000_000, Quality.TRUSTED)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    device, bell = f"{site}-load", Doorbell()
    journal = Journal(folder / "journal", stamp=stamp, config=JournalConfig(), on_durable=bell.ring)
    link = Link(BrokerConfig(port=port), device)
    courier = Courier(
        link,
        journal,
        site=site,
        device=device,
        key=SigningKey.load(folder / "key.pem"),
        hub_keys=load_public_keys([hub_key]),
        bell=bell,
    )
    out = os.open(log_path(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def write(worker: int) -> None:
        turn = 0
        while not stop.is_set():
            serial = f"{os.getpid()}-{time.monotonic_ns()}-{worker}"
            os.write(out, f"offered {serial}\n".encode())
            try:
                key = await journal.record(EventNoted("load", detail=serial))
            except UnavailableError:
                continue
            os.write(out, f"kept {serial} {key.epoch} {key.seq}\n".encode())
            turn += 1
            if rate:
                await asyncio.sleep(_AT_ONCE / rate)

    courier.start()
    link.start()
    os.write(out, f"started {os.getpid()}\n".encode())
    try:
        if rate:
            async with asyncio.TaskGroup() as group:
                for worker in range(_AT_ONCE):
                    group.create_task(write(worker))
        await stop.wait()
    finally:
        await courier.close()
        await link.close()
        journal.close()
        os.close(out)


if __name__ == "__main__":
    _, state, broker_port, site_id, key_file, records_a_second = sys.argv
    asyncio.run(run(Path(state), int(broker_port), site_id, Path(key_file), float(records_a_second)))
