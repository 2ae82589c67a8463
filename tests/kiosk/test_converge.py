"""A real kiosk process brought to what its issuer desires, over a real broker; strangers change nothing."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bus.config import DeviceConfig
from bus.convergence import DesiredIssuer
from bus.entries import DesiredReached, OfficerOnDuty
from bus.envelope import SigningKey
from bus.messages import Reached
from bus.mqtt import Link
from kiosk.config import KioskConfig, KioskFile, PanelConfig
from kiosk.settings import KioskSettings, Officer
from provisioning.toml import write_config
from tests.broker import Broker
from tests.kiosk.bench import ALWAYS_OPEN, BoothBench, records, until
from tests.kiosk.test_panel import panel_at

DEVICE = "s0001-kiosk-1"
ISSUER = "s0001-agent"


class KioskProcess:
    """`commune kiosk`, in the foreground."""

    def __init__(self, folder: Path, broker: Broker, site: str) -> None:
        self.folder, self.site = folder, site
        self.key, self.hub, self.issuer = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
        self.key.save(folder / "kiosk.pem")
        self.hub.save_public(folder / "hub.pub")
        self.issuer.save_public(folder / "issuer.pub")
        config = KioskFile(
            device=DeviceConfig(site, DEVICE, str(folder / "kiosk.pem"), [str(folder / "hub.pub")]),
            broker=broker.config,
            kiosk=KioskConfig(str(folder / "state")),
            panel=[PanelConfig(str(folder / "line"))],
            settings=ALWAYS_OPEN,
            settings_from={ISSUER: str(folder / "issuer.pub")},
        )
        write_config(folder / "kiosk.toml", config)
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kiosk", "--config", self.folder / "kiosk.toml"
        )

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 5) == 0

    def journal(self) -> list[object]:
        """Every record, once the process has ended."""
        bench = BoothBench(self.folder / "state")
        found = [data for _, data in records(bench.journal)]
        bench.close()
        return list(found)


@contextlib.asynccontextmanager
async def issuer_on(
    broker: Broker, site: str, key: SigningKey, folder: Path
) -> AsyncIterator[tuple[DesiredIssuer, dict[str, Reached]]]:
    reached: dict[str, Reached] = {}

    async def hear(device: str, now: dict[str, Reached]) -> None:
        if device == DEVICE:
            reached.update(now)

    link = Link(broker.config, f"{site}-issuer-{time.monotonic_ns()}")
    issuer = DesiredIssuer(
        link,
        site=site,
        issuer=ISSUER,
        key=key,
        state_file=folder / f"issuer-{key.key_id}.json",
        now_ms=lambda: time.time_ns() // 1_000_000,
        on_reported=hear,
    )
    async with link:
        await link.ready()
        yield issuer, reached


@pytest.fixture
async def kiosk(tmp_path: Path, broker: Broker, site: str) -> AsyncIterator[KioskProcess]:
    made = KioskProcess(tmp_path, broker, site)
    async with panel_at(tmp_path / "line"):
        await made.start()
        yield made
        if made.process.returncode is None:
            await made.stop()


SETTINGS = msgspec.structs.replace(
    ALWAYS_OPEN, counter="7", officers=[Officer("CB-07", "Nguyễn Thị Hoa"), Officer("CB-08", "Lò Văn Minh")]
)


async def test_settings_and_officer_converge_and_are_reported(
    kiosk: KioskProcess, broker: Broker, site: str, tmp_path: Path
) -> None:
    async with issuer_on(broker, site, kiosk.issuer, tmp_path) as (issuer, reached):
        await issuer.desire(DEVICE, "configuration", SETTINGS)
        await until(lambda: "configuration" in reached and reached["configuration"].result == "done")
        await issuer.desire(DEVICE, "officer", "CB-08")
        await until(lambda: "officer" in reached and reached["officer"].result == "done")
        await issuer.desire(DEVICE, "officer", "CB-99")
        await until(lambda: reached["officer"].result == "refused")
        assert "CB-99" in reached["officer"].detail
    await kiosk.stop()
    found = kiosk.journal()
    assert OfficerOnDuty("7", "CB-08", "console") in found
    results = [(item.name, item.result) for item in found if isinstance(item, DesiredReached)]
    assert results == [("configuration", "done"), ("officer", "done"), ("officer", "refused")]
    kept = msgspec.json.decode((tmp_path / "state" / "settings.json").read_bytes(), type=KioskSettings)
    assert kept == SETTINGS


async def test_settings_whose_file_is_damaged_are_taken_again(
    kiosk: KioskProcess, broker: Broker, site: str, tmp_path: Path
) -> None:
    file = tmp_path / "state" / "settings.json"
    async with issuer_on(broker, site, kiosk.issuer, tmp_path) as (issuer, reached):
        await issuer.desire(DEVICE, "configuration", SETTINGS)
        await until(lambda: "configuration" in reached and reached["configuration"].result == "done")
        whole = file.read_bytes()
        await kiosk.stop()
        file.write_bytes(whole[: len(whole) // 2])
        await kiosk.start()
        await until(lambda: file.read_bytes() == whole)


async def test_settings_that_make_no_sense_are_refused_whole(
    kiosk: KioskProcess, broker: Broker, site: str, tmp_path: Path
) -> None:
    async with issuer_on(broker, site, kiosk.issuer, tmp_path) as (issuer, reached):
        await issuer.desire(DEVICE, "configuration", {"levels": 9, "counter": "8"})
        await until(lambda: "configuration" in reached)
        assert reached["configuration"].result == "refused"
        assert "levels" in reached["configuration"].detail
        await issuer.desire(DEVICE, "no-such-thing", 1)
        await until(lambda: "no-such-thing" in reached and reached["no-such-thing"].result == "refused")
    assert not (tmp_path / "state" / "settings.json").exists()


async def test_a_stranger_with_another_key_changes_nothing(
    kiosk: KioskProcess, broker: Broker, site: str, tmp_path: Path
) -> None:
    async with issuer_on(broker, site, SigningKey.generate(), tmp_path) as (issuer, reached):
        await issuer.desire(DEVICE, "configuration", SETTINGS)
        await asyncio.sleep(1.0)
        assert reached == {}
    async with issuer_on(broker, site, kiosk.issuer, tmp_path) as (issuer, reached):
        await issuer.desire(DEVICE, "identify", 2.0)
        await until(lambda: "identify" in reached and reached["identify"].result == "done")
    assert not (tmp_path / "state" / "settings.json").exists()


async def test_restart_is_obeyed_once(kiosk: KioskProcess, broker: Broker, site: str, tmp_path: Path) -> None:
    async with issuer_on(broker, site, kiosk.issuer, tmp_path) as (issuer, reached):
        await issuer.desire(DEVICE, "restart", 1)
        assert await asyncio.wait_for(kiosk.process.wait(), 15) == 0
        await kiosk.start()  # as systemd would; the wish is still retained on the broker
        await issuer.desire(DEVICE, "identify", 1.0)
        await until(lambda: "identify" in reached and reached["identify"].result == "done")
        assert kiosk.process.returncode is None
        assert reached["restart"].result == "done"
