"""`commune top` as it is typed: in a real terminal, beside a real agent."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.exposition import MetricsServer
from agent.metrics import Metrics
from agent.observations import ProbeResult
from agent.top.command import main
from agent.top.sources import BoxSource, MetricsSource, find_boxes, read_metrics
from bus.errors import WrongInputError
from bus.unix_sockets import connect_to, listen_at
from tests.agent.test_process import Agent, service
from tests.tmux import terminal

COMMAND = [sys.executable, "-m", "provisioning.command", "top"]


def test_the_live_view_of_a_real_agent_at_80x24(tmp_path: Path) -> None:
    with service() as port, terminal(tmp_path, columns=80, rows=24) as window:
        agent = Agent(tmp_path, port)
        try:
            agent.wait_for("diagnosis cause=fine")
            window.start([*COMMAND, "--state", str(tmp_path)])
            shown = window.wait_for(lambda text: "Một cửa" in text and "hoạt động" in text)
            assert len(shown.splitlines()) == 24
            assert "diagnosis cause=fine" in shown, "the log's tail"
            window.keys("l")
            window.wait_for(lambda text: "Everything works." in text)
        finally:
            agent.end()
        shown = window.wait_for(lambda text: "The agent does not answer" in text)
        assert "Một cửa" in shown, "what was last seen stays"
        window.keys("q")
        assert window.ended_with() == 0


def test_json_looks_once_for_scripts(tmp_path: Path) -> None:
    with service() as port:
        agent = Agent(tmp_path, port)
        try:
            agent.wait_for("diagnosis cause=fine")
            told = subprocess.run(
                [*COMMAND, "--json", "--state", str(tmp_path)], capture_output=True, text=True, check=True
            )
        finally:
            agent.end()
    seen = json.loads(told.stdout)
    assert seen["now"]["diagnosis"]["cause"] == "fine"
    assert {rung["id"] for rung in seen["now"]["rungs"]} == {"router", "mot-cua"}
    assert not seen["error"]


async def test_the_address_that_the_demo_tells_is_enough() -> None:
    """The demo names an agent's server, and not the page on it."""
    metrics = Metrics()
    metrics.take_diagnosis("fine", "")
    metrics.take_result(ProbeResult("vnpt/203.0.113.1", 1, success=True, duration_ms=3, loss_pct=20, rtt_ms=14.2))
    server = MetricsServer(metrics.text)
    await server.start("127.0.0.1", 0)
    try:
        for url in (f"http://127.0.0.1:{server.port}", f"http://127.0.0.1:{server.port}/metrics"):
            look = await MetricsSource(url).look()
            assert look.now is not None, look.error
            assert look.now.diagnosis is not None
            assert look.now.diagnosis.says.en == "Everything works."
            (rung,) = look.now.rungs
            assert (rung.id, rung.state, rung.loss_pct) == ("vnpt/203.0.113.1", "up", 20)
        assert "404" in (await MetricsSource(f"http://127.0.0.1:{server.port}/else").look()).error
    finally:
        await server.close()


async def test_kiosks_that_hang_keep_nobody_waiting_and_are_named(tmp_path: Path) -> None:
    """Listeners that never accept: one with room in its backlog, one whose backlog is full."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"uplink":"vnpt"}\n')
        writer.close()

    folders = [tmp_path / name for name in ("agent", "kiosk-1", "kiosk-2/state", "kiosk-3")]
    for folder in folders:
        folder.mkdir(parents=True)
    agent, *kiosks = (folder / "s.sock" for folder in folders)
    server = await asyncio.start_unix_server(answer, sock=listen_at(agent))
    hung = [listen_at(path) for path in kiosks]
    hung[2].listen(0)
    hung.append(connect_to(kiosks[2]))
    try:
        started = time.monotonic()
        look = await BoxSource("s0001", agent, tuple(kiosks)).look()
        assert time.monotonic() - started < 2.5
        assert look.now is not None, look.error
        assert look.now.uplink == "vnpt"
        assert look.silent == ("kiosk-1", "kiosk-2", "kiosk-3")
    finally:
        for one in hung:
            one.close()
        server.close()


def test_a_folder_without_parts_and_one_that_is_none_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match=r"no part runs in .*control\.sock"):
        find_boxes(tmp_path)
    with pytest.raises(WrongInputError, match="is no folder"):
        find_boxes(tmp_path / "nothing")


def test_without_a_terminal_it_says_how_to_look_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--agent", "http://127.0.0.1:9/metrics"]) == 2
    assert "--json" in capsys.readouterr().err


def test_an_agent_away_is_a_failure_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--agent", "http://127.0.0.1:9/metrics", "--agent", "file:///etc/passwd"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "refused" in first["error"]
    assert "not an http" in second["error"]


def test_the_metrics_page_gives_the_sentence_and_the_links() -> None:
    now = read_metrics(
        'commune_diagnosis_info{cause="hub-unreachable",subject="hub"} 1.0\n'
        'commune_probe_success{target="hub"} 0.0\ncommune_probe_success{target="vnpt/203.0.113.1"} 1.0\n'
        'commune_probe_rtt_seconds{target="vnpt/203.0.113.1"} 0.0142\n'
        'commune_certificate_left_seconds{target="hub"} 864000.0\n'
    )
    assert now.diagnosis is not None
    assert now.diagnosis.says.vi != now.diagnosis.says.en
    hub, line = now.rungs
    assert (hub.state, hub.certificate_days) == ("down", 10)
    assert line.state == "up"
    assert line.rtt_ms == pytest.approx(14.2)
    newer = read_metrics('commune_diagnosis_info{cause="of-a-newer-agent",subject=""} 1.0\n').diagnosis
    assert newer is not None
    assert newer.says.en == "of-a-newer-agent"
