"""`commune kiosk` as a process of its own: its file, its log, its pictures, and its journal once it has ended."""

import asyncio
import contextlib
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from bus.clock import Quality, Stamp
from bus.config import BrokerConfig, ClockConfig, DeviceConfig, JournalConfig
from bus.entries import EntryData, RatingPressed
from bus.envelope import SigningKey
from bus.journal import Journal
from bus.messages import Entry
from bus.timekeeper import Simulation
from bus.unix_sockets import connect_to
from kiosk.config import KioskConfig, KioskFile, PageConfig, PanelConfig
from kiosk.flow import View
from kiosk.panel.bench import PanelBench
from kiosk.picture import Picture
from kiosk.settings import KioskSettings
from provisioning.toml import write_config
from tests.kiosk.bench import ALWAYS_OPEN, records, until
from tests.tools import find_tool, free_port

FAST = msgspec.structs.replace(ALWAYS_OPEN, thanks_s=1.0, reason_s=3.0)
DEVICE = "s0001-kiosk-1"


class ResidentKiosk:
    """One kiosk with a panel at `folder`/line. `state` may stand elsewhere; `changes` are of the file's struct."""

    def __init__(
        self,
        folder: Path,
        broker: BrokerConfig,
        *,
        site: str = "s0001",
        device: str = DEVICE,
        state: Path | None = None,
        settings: KioskSettings = FAST,
        **changes: Any,
    ) -> None:
        self.folder, self.state, self.line = folder, state or folder / "state", folder / "line"
        self.log, self.clock = folder / "kiosk.log", folder / "clock.json"
        self.device = device
        self.key, self.hub = SigningKey.generate(), SigningKey.generate()
        self.key.save(folder / "kiosk.pem")
        self.hub.save_public(folder / "hub.pub")
        plain = KioskFile(
            device=DeviceConfig(site, device, str(folder / "kiosk.pem"), [str(folder / "hub.pub")]),
            broker=broker,
            clock=ClockConfig(simulated=str(self.clock)),
            kiosk=KioskConfig(str(self.state)),
            panel=[PanelConfig(str(self.line))],
            settings=settings,
        )
        self.config = msgspec.structs.replace(plain, **changes)
        self.file = folder / "kiosk.toml"
        write_config(self.file, self.config)
        self.set_clock(Simulation())
        self.process: asyncio.subprocess.Process | None = None

    def set_clock(self, simulation: Simulation) -> None:
        part = self.clock.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(simulation))
        part.replace(self.clock)

    async def start(self) -> None:
        """Run it, until it says that it serves."""
        argv = [find_tool("setpriv"), "--pdeathsig", "KILL", sys.executable, "-m", "kiosk", "--config", str(self.file)]
        before = len(self.said())
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
        await until(lambda: "kiosk serves" in self.said()[before:] or self._ended(), within_s=30, what="kiosk serves")
        assert not self._ended(), self.said()

    async def stop(self) -> float:
        """SIGTERM; how long it took to end, which it did well."""
        assert self.process is not None
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), 10)
        assert code == 0, self.said()
        self.process = None
        return time.monotonic() - began

    async def kill(self) -> None:
        """SIGKILL, where it still runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            self.process = None

    def said(self) -> str:
        """Its log."""
        return self.log.read_text() if self.log.exists() else ""

    def page(self) -> str:
        """The address of its touch page."""
        url: str = json.loads((self.state / "page.json").read_text())["url"]
        return url

    def records(self) -> list[tuple[Entry, EntryData]]:
        """Every record of its journal; only while it does not run."""
        assert self.process is None
        stamp = Stamp("0" * 32, 0, 0, Quality.UNKNOWN)
        journal = Journal(self.state / "journal", stamp=lambda: stamp, config=JournalConfig())
        try:
            return list(records(journal))
        finally:
            journal.close()

    def presses(self) -> list[RatingPressed]:
        """The presses among them."""
        return [data for _, data in self.records() if isinstance(data, RatingPressed)]

    def _ended(self) -> bool:
        return self.process is not None and self.process.returncode is not None


class Watched:
    """The pictures that a screen of this kiosk is given, in order."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.at_s: list[float] = []

    @property
    def last(self) -> Picture:
        """What is on the screen."""
        return self.pictures[-1]

    def views(self) -> list[View]:
        """The views, one after the other."""
        return [picture.view for picture in self.pictures]


@contextlib.asynccontextmanager
async def watching(kiosk: ResidentKiosk) -> AsyncIterator[Watched]:
    """A screen on the kiosk's socket."""
    watched = Watched()
    await until((kiosk.state / "screen.sock").exists)
    reader, writer = await asyncio.open_unix_connection(sock=connect_to(kiosk.state / "screen.sock"), limit=256 * 1024)

    async def follow() -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                watched.pictures.append(msgspec.json.decode(line, type=Picture))
                watched.at_s.append(time.monotonic())

    following = asyncio.create_task(follow())
    try:
        await until(lambda: watched.pictures)
        yield watched
    finally:
        following.cancel()
        writer.close()
        await asyncio.gather(following, return_exceptions=True)


async def plugged_in(kiosk: ResidentKiosk, *, times: int = 1) -> None:
    """The kiosk has heard its panel say hello."""
    await until(lambda: kiosk.said().count("panel present") >= times, what="panel present")


def acknowledged(panel: PanelBench) -> set[str]:
    """The presses of the panel's present power-up for which it lit up."""
    state = panel.state
    waiting = {one.seq for one in state.waiting}
    return {f"{state.panel}/{state.boot}/{seq}" for seq in range(1, state.last_seq + 1) if seq not in waiting}


def nowhere() -> BrokerConfig:
    """A broker that does not answer."""
    return BrokerConfig("127.0.0.1", free_port())


def page_at(port: int = 0) -> PageConfig:
    """A touch page on the loopback."""
    return PageConfig(enabled=True, host="127.0.0.1", port=port)


def without_numbers(line: str) -> str:
    """A line of a log without what differs from run to run: times, ids, ports, paths."""
    return re.sub(r"[0-9A-Fa-f]{8,}|\d+|/\S+", "_", line)
