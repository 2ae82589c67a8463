"""The real `commune agent` as a process: its end on SIGTERM, an outage through SIGKILL, a disk that is full."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bus.entries import DiagnosisChanged, EntryData, LinkMinute, OutageClosed, OutageOpened, WatchGap
from bus.envelope import SigningKey
from tests.agent.journals import of, read_records

FILE = """
[device]
site = "s0001"
id = "s0001-agent"
key = "{folder}/agent.pem"
hub_keys = []
[agent]
state = "{state}"
sample_step_s = 1
[pages]
port = 0
[broker]
port = {closed}
[clock]
simulated = "{folder}/clock.json"
[lan]
port = "lo"
router = "127.0.0.1"
[[service]]
id = "mot-cua"
name = "Một cửa"
network = "any"
tcp = "127.0.0.1:{port}"
interval_s = 0.3
"""


class Agent:
    def __init__(
        self, folder: Path, port: int, *, state: Path | None = None, clock_ms: int = 0, error_ms: int | None = 1
    ) -> None:
        self.folder = folder
        self.state = state or folder / "state"
        if not (folder / "agent.pem").exists():
            SigningKey.generate().save(folder / "agent.pem")
        (folder / "clock.json").write_text(json.dumps({"offset_ms": clock_ms, "error_ms": error_ms}))
        text = FILE.format(folder=folder, state=self.state, port=port, closed=free_port())
        (folder / "agent.toml").write_text(text)
        command = [sys.executable, "-m", "agent", "--config", str(folder / "agent.toml")]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def wait_for(self, words: str) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if words in line:
                return
        raise AssertionError(f"the agent ended without saying {words!r}")

    def drop(self) -> None:
        """Whatever became of it, nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        begun = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code, time.monotonic() - begun

    def records(self) -> list[EntryData]:
        """All that the ended agent's journal holds, in order."""
        return read_records(self.state / "journal")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def service(port: int = 0) -> Iterator[int]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(512)
        yield int(listening.getsockname()[1])


def test_sigterm_ends_it_in_order_and_in_time(tmp_path: Path) -> None:
    with service() as port:
        agent = Agent(tmp_path, port)
        agent.wait_for("diagnosis cause=fine")
        code, took_s = agent.end()
    assert code == 0
    assert took_s < 5
    assert of(agent.records(), DiagnosisChanged)
    assert of(agent.records(), LinkMinute), "the minute under way, as far as it was seen"
    assert json.loads((agent.state / "watch.json").read_text())["seen_ms"] > 0


def test_an_outage_outlives_sigkill_under_its_name(tmp_path: Path) -> None:
    with service() as port:
        agent = Agent(tmp_path, port)
        agent.wait_for("diagnosis cause=fine")
    agent.wait_for("OutageOpened")
    deadline = time.monotonic() + 10
    while (
        b'"open"' not in (tmp_path / "state/watch.json").read_bytes()
        if (tmp_path / "state/watch.json").exists()
        else True
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    agent.end(signal.SIGKILL)
    again = Agent(tmp_path, port, clock_ms=3_600_000)
    again.wait_for("diagnosis cause=service-down")
    with service(port):
        again.wait_for("OutageClosed")
        again.wait_for("diagnosis cause=fine")
        again.end()
    records = again.records()
    (name,) = {record.outage for record in of(records, OutageOpened)}
    assert [record.outage for record in of(records, OutageClosed)] == [name]
    (gap,) = of(records, WatchGap)
    assert 3_590_000 <= gap.to_ms - gap.from_ms <= 3_620_000
    assert gap.reason == "restart"
    (closed,) = of(records, OutageClosed)
    assert 3_590_000 <= closed.unwatched_ms <= 3_620_000


def test_a_power_cut_without_a_clock_is_not_charged(tmp_path: Path) -> None:
    """Cut with the service down; three hours later the box boots with its clock where it stopped; then it is set."""
    with service() as port:
        agent = Agent(tmp_path, port)
        agent.wait_for("diagnosis cause=fine")
    agent.wait_for("OutageOpened")
    kept = tmp_path / "state/watch.json"
    deadline = time.monotonic() + 10
    while not kept.exists() or b'"open"' not in kept.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    agent.end(signal.SIGKILL)
    watched = json.loads(kept.read_text())
    (held,) = watched["open"]
    assert held["boot"] == watched["boot"]
    held["boot"] = watched["boot"] = "0" * 32  # another boot than this one
    kept.write_text(json.dumps(watched))
    again = Agent(tmp_path, port, error_ms=None)
    again.wait_for("diagnosis cause=service-down")
    (tmp_path / "clock.json").write_text(json.dumps({"offset_ms": 3 * 3_600_000, "error_ms": 1}))
    time.sleep(1)  # it looks several times a second
    with service(port):
        again.wait_for("OutageClosed")
        again.end()
    (closed,) = of(again.records(), OutageClosed)
    assert (closed.outage, closed.started_ms, closed.carried) == (held["outage"], held["started_ms"], True)
    assert 10_790_000 <= closed.unwatched_ms <= 10_820_000
    assert 0 <= closed.ended_ms - closed.started_ms - closed.unwatched_ms <= 30_000


def test_a_full_disk_is_told_and_watching_goes_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        (disk / "state").mkdir()
        with service() as port, full(disk / "filler"):
            agent = Agent(tmp_path, port, state=disk / "state")
            agent.wait_for("cannot record")
            agent.wait_for("diagnosis cause=recording-broken")
        agent.wait_for("diagnosis cause=service-down")
        agent.wait_for("recording again")
        code, took_s = agent.end()
        assert code == 0
        assert took_s < 5
        told = [record.cause for record in of(agent.records(), DiagnosisChanged)]
        assert told[:2] == ["recording-broken", "service-down"]
    finally:
        agent.drop()
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def full(filler: Path) -> Iterator[None]:
    """No byte is left on the disk."""
    with filler.open("wb", buffering=0) as held, suppress(OSError):
        while True:
            held.write(b"x" * 65_536)
    yield
    filler.unlink()
