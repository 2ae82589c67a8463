"""A crash test of the whole: what was accepted is at the hub, once, whatever is killed or restored.

The load device says what it was told to have been kept; the journals' own files and the hub's own store are compared
entry by entry, by digest. Parts are those of the running demo, killed with SIGKILL at random points.
"""

import contextlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from bus import config
from bus.envelope import SigningKey
from hub.roster import DeviceRow, RosterFile
from provisioning.toml import write_config
from tests.evidence import rounds
from tests.system.accounts import (
    assert_exact,
    journal_digests,
    journal_entries,
    serials,
    serials_kept,
    set_aside,
    stored_rows,
)
from tests.system.demo import Demo, kill9, until
from tests.system.load import log_path

SITE = "s0001"
AGENT, LOAD = f"{SITE}-agent", f"{SITE}-load"
KILLS = rounds(small=6, full=100)
RATE = 150
PARTS = ["agent", "broker", "load", "hub", "province broker"]
pytestmark = [pytest.mark.prove, pytest.mark.timeout(600 + 20 * KILLS)]


class Load:
    """The load device of one demo's folder: its state, and its process while it runs."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        self.demo = demo
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        if not (folder / "key.pem").exists():
            SigningKey.generate().save(folder / "key.pem")

    def enrol(self) -> None:
        """Put it on the hub's known list, which the hub reads again when it changes."""
        path = self.demo.state / "province" / "hub" / "roster.toml"
        public = SigningKey.load(self.folder / "key.pem").public_bytes.hex()
        (site,) = config.load(path, RosterFile).site
        site.device.append(DeviceRow(id=LOAD, part="kiosk", key=public))
        write_config(path, RosterFile(site=[site]))

    def start(self, rate: int = RATE) -> None:
        """Run it; at rate 0 it only sends what it has."""
        port = self.demo.ready["communes"][0]["broker"]["port"]
        hub_key = self.demo.state / "province" / "hub" / "hub.pub"
        argv = [sys.executable, "-m", "tests.system.load", str(self.folder), str(port), SITE, str(hub_key), str(rate)]
        with self.folder.with_suffix(".err").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        pid = str(self.process.pid)
        until(lambda: pid in self.said("started"), limit_s=30, what="the load device runs")

    def stop(self) -> None:
        """SIGTERM."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(10) == 0
        self.process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self, word: str) -> list[str]:
        """Serial numbers that the log has as `offered` or `kept`."""
        with contextlib.suppress(FileNotFoundError):
            lines = log_path(self.folder).read_text().splitlines()
            return [line.split()[1] for line in lines if line.startswith(word + " ")]
        return []

    def run_for(self, records: int) -> None:
        """Until that many more have been kept."""
        before = len(self.said("kept"))
        until(lambda: len(self.said("kept")) >= before + records, limit_s=60, what=f"{records} more records kept")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def store_of(demo: Demo) -> Path:
    return demo.state / "province" / "hub" / "hub.db"


def drain(demo: Demo, load: Load, *, limit_s: float = 120) -> None:
    """End the load, and wait until the hub has every record that the device was told is kept."""
    load.stop()
    load.start(rate=0)
    kept = set(load.said("kept"))
    until(
        lambda: kept <= serials(stored_rows(store_of(demo), LOAD)).keys(),
        limit_s=limit_s,
        every_s=0.5,
        what=f"all {len(kept)} kept records at the hub",
    )
    load.stop()
    for _ in range(2):  # twice: an epoch of which the hub has not heard yet is missing nothing
        until(lambda: missing(demo) == 0, limit_s=limit_s, every_s=0.5, what="nothing missing of any journal")
        time.sleep(2)


def missing(demo: Demo) -> int:
    """Entries that the hub knows of and does not have."""
    return sum(item["missing"] for item in demo.items("/api/v1/journals"))


def reckon(demo: Demo, load: Load) -> int:
    """With everything ended: the exact comparison. Returns how many records of the load are at the hub."""
    rows = stored_rows(store_of(demo), LOAD)
    at_hub, kept, offered = serials(rows), load.said("kept"), set(load.said("offered"))
    assert len(set(kept)) == len(kept)
    assert [serial for serial in kept if at_hub[serial] == 0] == [], "kept, but not at the hub"
    assert [serial for serial, times in at_hub.items() if times > 1] == [], "at the hub twice"
    assert at_hub.keys() - offered == set(), "at the hub, but never offered to the journal"
    entries = journal_entries(load.folder / "journal")
    assert all(times == 1 for times in serials_kept(entries).values())
    assert_exact(journal_digests(load.folder / "journal"), rows, whose=LOAD)
    agent = journal_digests(demo.state / "communes" / SITE / "agent" / "state" / "journal")
    assert agent, "the agent has a journal"
    assert_exact(agent, stored_rows(store_of(demo), AGENT), whose=AGENT, unsent=True)
    assert set_aside(store_of(demo)) == 0
    return len(at_hub)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with Demo(tmp_path / "state") as running:
        yield running


@pytest.fixture
def load(demo: Demo, tmp_path: Path) -> Iterator[Load]:
    with Load(demo, tmp_path / "load") as made:
        made.enrol()
        yield made


def test_killed_at_random_under_load(demo: Demo, load: Load, evidence: Callable[[str], None]) -> None:
    draw = random.Random(20261124)
    load.start()
    load.run_for(50)
    killed: dict[str, int] = {}
    for number in range(KILLS):
        if number % len(PARTS) == 0:  # each of them in every round, in another order
            draw.shuffle(PARTS)
        part = PARTS[number % len(PARTS)]
        running = demo.running()
        if part == "load":
            load.kill()
            load.start()
        else:
            where = running if part in ("hub", "province broker") else running["communes"][0]
            if (pid := where["pids"].get(part.split()[-1])) is None:
                continue  # it is down already, waiting for its restart
            kill9(pid)
        killed[part] = killed.get(part, 0) + 1
        time.sleep(draw.uniform(0.1, 2.5))
    demo.stop()
    demo.start()
    drain(demo, load)
    demo.stop()
    count = reckon(demo, load)
    evidence(f"{KILLS} kills ({killed}), {count} records under load: none lost, none twice, none invented")


def test_a_card_restored_from_yesterday(
    demo: Demo, load: Load, tmp_path: Path, evidence: Callable[[str], None]
) -> None:
    agent = demo.state / "communes" / SITE / "agent" / "state"
    load.start()
    load.run_for(100)
    demo.stop()
    load.run_for(100)  # the hub is away: these wait on the card
    load.kill()
    yesterday = tmp_path / "yesterday"
    shutil.copytree(load.folder, yesterday / "load")
    shutil.copytree(agent, yesterday / "agent")

    demo.start()
    load.start()
    load.run_for(200)
    drain(demo, load)  # what has not left a card is lost with it, so all has
    demo.stop()
    for folder, image in ((load.folder, yesterday / "load"), (agent, yesterday / "agent")):
        shutil.rmtree(folder)
        shutil.copytree(image, folder)

    demo.start()
    load.start()
    load.run_for(100)
    drain(demo, load)
    demo.stop()
    count = reckon(demo, load)
    epochs = {row.place[0] for row in stored_rows(store_of(demo), LOAD)}
    assert len(epochs) >= 3, "today, yesterday's card and the first run each have their own epoch"
    evidence(f"card restored with 100 records waiting, {count} records: none lost, none twice, none swallowed")


def test_a_store_restored_from_yesterday(
    demo: Demo, load: Load, tmp_path: Path, evidence: Callable[[str], None]
) -> None:
    load.start()
    load.run_for(200)
    drain(demo, load)
    demo.stop()
    yesterday = tmp_path / "yesterday.db"
    shutil.copy(store_of(demo), yesterday)
    assert not list(store_of(demo).parent.glob("hub.db-wal")), "the hub closed its store: the copy is whole"

    demo.start()
    load.start()
    load.run_for(200)
    drain(demo, load)
    demo.stop()
    before = len(serials(stored_rows(store_of(demo), LOAD)))
    shutil.copy(yesterday, store_of(demo))
    gone = before - len(serials(stored_rows(store_of(demo), LOAD)))
    assert gone > 0

    demo.start()
    load.start()
    load.run_for(50)
    drain(demo, load)
    demo.stop()
    count = reckon(demo, load)
    evidence(f"store restored with {gone} receipted records gone, {count} records: all offered again, none twice")
