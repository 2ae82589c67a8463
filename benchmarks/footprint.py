"""What watching costs: memory and processor time of one agent that probes 30 targets each second.

The whole `commune agent` as it runs on a box, in a namespace over veth, with its journal, its broker and `/metrics`
read every 15 s. Beside it, in the same namespace, with the same targets each second: mosquitto, blackbox_exporter, and
vmagent which scrapes it. Memory is the proportional set (PSS): shared pages count once among those who share them.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.report import Bound, Row
from bus.envelope import SigningKey
from tests.agent.senses.netlab import Lab

_TARGETS: Final = 30
_SETTLE_S: Final = 60
_WATCH_S: Final = 120
_MB: Final = 1_000_000
_SCRAPE_S: Final = 15

_AGENT: Final = """
[device]
site = "s0001"
id = "s0001-agent"
key = "{folder}/agent.pem"
hub_keys = []
[agent]
state = "{folder}/state"
[pages]
port = {metrics}
[broker]
port = {broker}
[lan]
port = "up0"
router = "10.9.0.2"
[[line]]
id = "vnpt"
name = "VNPT"
network = "internet"
hosts = ["10.9.0.100", "10.9.0.101"]
"""
_HOST: Final = """
[[host]]
id = "host-{index}"
name = "Host {index}"
host = "10.9.0.{last}"
"""
_BLACKBOX: Final = "modules:\n  icmp:\n    prober: icmp\n    timeout: 1s\n"
_SCRAPE: Final = """
scrape_configs:
- job_name: links
  scrape_interval: 1s
  scrape_timeout: 1s
  metrics_path: /probe
  params: {{module: [icmp]}}
  static_configs: [{{targets: [{targets}]}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{target_label: __address__, replacement: "127.0.0.1:{port}"}}
"""


def run(scale: float) -> list[Row]:
    """Start all, let them settle, look."""
    settle_s, watch_s = max(5.0, _SETTLE_S * scale), max(5.0, _WATCH_S * scale)
    with _lab() as lab, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ports = _free_ports(4)
        peers = [stack.enter_context(_started(lab, command)) for command in _peers(Path(folder), ports)]
        agent = stack.enter_context(_started(lab, _agent(Path(folder), ports)))
        _watch(ports[1], settle_s)
        before = [_cpu_s(process) for process in (agent, *peers)]
        begun = time.monotonic()
        probed = _probes(ports[1])
        _watch(ports[1], watch_s)
        took_s = time.monotonic() - begun
        probed = _probes(ports[1]) - probed
        agent_cpu, *peers_cpu = (
            (_cpu_s(process) - cpu_s) / took_s * 100 for process, cpu_s in zip((agent, *peers), before, strict=True)
        )
        memory = [_pss(process) / _MB for process in peers]
        named = "mosquitto + blackbox_exporter + vmagent"
        bounds = (Bound("value", at_most=40), Bound("ratio", at_most=1))
        return [
            Row(f"agent's PSS, {_TARGETS} targets a second", _pss(agent) / _MB, "MB", named, sum(memory), bounds),
            Row("agent's processor time", agent_cpu, "% of a core", named, sum(peers_cpu)),
            Row("probes a second", probed / took_s, "", "wanted", _TARGETS, (Bound("ratio", at_least=0.95),)),
        ]


@contextlib.contextmanager
def _lab() -> Iterator[Lab]:
    lab = Lab()
    try:
        for index in range(_TARGETS):
            lab.peer.ip("addr", "add", f"10.9.0.{100 + index}/24", "dev", "down0")
        with lab.box.inside():
            yield lab
    finally:
        lab.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in taken]


def _agent(folder: Path, ports: list[int]) -> list[str]:
    """The router and the line's two hosts are targets too: 27 hosts make 30."""
    SigningKey.generate().save(folder / "agent.pem")
    hosts = "".join(_HOST.format(index=index, last=102 + index) for index in range(_TARGETS - 3))
    config = folder / "agent.toml"
    text = _AGENT.format(folder=folder, metrics=ports[1], broker=ports[0]) + hosts
    config.write_text(text, encoding="utf-8")
    return [str(Path(sys.executable).parent / "commune"), "agent", "--config", str(config)]


def _peers(folder: Path, ports: list[int]) -> list[list[str]]:
    mosquitto, blackbox, scrape = folder / "mosquitto.conf", folder / "blackbox.yml", folder / "scrape.yml"
    mosquitto.write_text(f"listener {ports[0]} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    blackbox.write_text(_BLACKBOX, encoding="utf-8")
    targets = ", ".join(f'"10.9.0.{100 + index}"' for index in range(_TARGETS))
    scrape.write_text(_SCRAPE.format(targets=targets, port=ports[2]), encoding="utf-8")
    return [
        ["mosquitto", "-c", str(mosquitto)],
        [
            "prometheus-blackbox-exporter",
            f"--config.file={blackbox}",
            f"--web.listen-address=127.0.0.1:{ports[2]}",
        ],
        [
            "vmagent",
            f"-promscrape.config={scrape}",
            # Nobody takes its samples, as when the province is out of reach.
            "-remoteWrite.url=http://127.0.0.1:9/api/v1/write",
            f"-remoteWrite.tmpDataPath={folder / 'vmagent'}",
            f"-httpListenAddr=127.0.0.1:{ports[3]}",
        ],
    ]


@contextlib.contextmanager
def _started(lab: Lab, command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """`ip netns exec` replaces itself by the command, so the process is the command's own."""
    with tempfile.TemporaryFile() as log:
        with subprocess.Popen(lab.box.command(*command), stdout=log, stderr=log) as process:
            try:
                yield process
            finally:
                ended = process.poll()
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
        if ended is not None:
            log.seek(0)
            raise RuntimeError(f"{command[0]} ended with {ended}: {log.read()[-2000:].decode('utf-8', 'replace')}")


def _watch(port: int, seconds: float) -> None:
    """Let them run, reading `/metrics` as a Prometheus of the commune would."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        with contextlib.suppress(OSError):
            _metrics(port)
        time.sleep(min(_SCRAPE_S, left_s))


def _probes(port: int) -> float:
    lines = _metrics(port).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("commune_probe_bursts_total{"))


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def _pss(process: "subprocess.Popen[bytes]") -> int:
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def _cpu_s(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # USER_HZ is 100 on every Linux (man 5 proc)
