"""Starting a demo when things are in the way: a port taken in between, files a part refuses, nothing that comes up."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.errors import UnavailableError
from provisioning.demo import session
from provisioning.demo.folder import DemoFolder
from provisioning.demo.machine import Machine
from provisioning.demo.ports import LOOPBACK, Ports
from provisioning.demo.session import Demo
from tests.system.demo import is_alive, pids_of, until

pytestmark = pytest.mark.timeout(240)


class Robbed(Ports):
    """Somebody listens on the first ports it gives, from the moment after it looked."""

    def __init__(self, *thieves: socket.socket) -> None:
        super().__init__()
        self._thieves = list(thieves)

    def take(self) -> int:
        port = super().take()
        if self._thieves:
            thief = self._thieves.pop()
            thief.bind((LOOPBACK, port))
            thief.listen()
        return port


async def test_ports_taken_in_between_are_chosen_anew(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    with socket.socket() as broker_thief, socket.socket() as hub_thief:
        demo = Demo(DemoFolder(tmp_path), 1, Machine(), told.append, ports=Robbed(broker_thief, hub_thief))
        try:
            line = await demo.start()
            stolen = {broker_thief.getsockname()[1], hub_thief.getsockname()[1]}
            assert not stolen & {line["broker"]["port"], int(line["hub"]["url"].rpartition(":")[2])}
            assert told == [], "what was restarted before the ready line is nobody's business"
        finally:
            assert await demo.stop() == []
    assert not any(map(is_alive, pids_of(line)))


async def test_files_that_a_part_refuses_end_the_start_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_write_roster", lambda plan: None)  # the hub has no known list
    demo = Demo(DemoFolder(tmp_path), 1, Machine(), tell=lambda event: None)
    try:
        with pytest.raises(UnavailableError, match=r"province/hub refuses the files we wrote[\s\S]*roster\.toml"):
            await demo.start()
    finally:
        await demo.stop()


async def test_what_does_not_come_up_is_named_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "START_LIMIT_S", 0.5)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "mosquitto"
    program.write_text(f"#!{sys.executable}\nprint('never listens', flush=True)\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    demo = Demo(DemoFolder(tmp_path / "state"), 1, Machine(), tell=lambda event: None)
    try:
        with pytest.raises(UnavailableError, match=r"province/broker[\s\S]*never listens"):
            await demo.start()
    finally:
        await demo.stop()


def test_told_to_end_while_it_starts(tmp_path: Path) -> None:
    state = tmp_path / "state"
    argv = [sys.executable, "-m", "provisioning.command", "demo", "--json", "--state", str(state)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until((state / "logs").exists, limit_s=60, what="the first part has been started")
        os.kill(process.pid, signal.SIGTERM)
        out, errors = process.communicate(timeout=6)
    assert process.returncode == 0, errors
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["stopped"]
    assert not (state / "demo.json").exists()


def test_people_are_told_where_to_look_in_both_languages(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "provisioning.command", "demo", "--seconds", "0", "--state", str(tmp_path / "state")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    secrets = json.loads((tmp_path / "state" / "secrets.json").read_text())
    assert done.stdout.count(secrets["password"]) == 2
    assert "Tất cả đã chạy: 1 xã." in done.stdout
    assert "Everything is up: 1 communes." in done.stdout
    assert "Mường Lát" in done.stdout
