"""Bytes on the wire a day for a box's samples, against vmagent's remote write of the same series.

Ours: a real journal, courier, Mosquitto and hub; everything between courier and broker is counted in both
directions: batches, receipts, acknowledgements, beacons and keep-alives. The peer: vmagent scraping the same values
from an exporter, with the same labels and no series of its own, writing to Prometheus; its requests and answers count.
Both go through one kind of counting TCP proxy, so both figures are TCP payload, without TLS. The step of 15 s is
pressed together: what a block costs is measured by itself, what time costs (beacons, keep-alives) by itself, and a day
is summed up from the two.
"""

import asyncio
import contextlib
import http.server
import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from benchmarks.report import Bound, Row
from bus.clock import Quality, Stamp
from bus.config import BrokerConfig, JournalConfig
from bus.courier import Courier, Doorbell
from bus.entries import SampleBlock
from bus.journal import Journal
from bus.mqtt import Link
from hub.config import HubConfig
from tests.broker import Broker
from tests.hub.process import HubProcess
from tests.hub.sender import Sender
from tests.hub.timeseries import TimeSeriesStore
from tests.tools import find_tool, free_port

_STEP_S = 15
_DAY_S = 86_400
_TARGETS = 30
_BLOCKS = 40
_IDLE_S = 60.0
_SCRAPE_S = 2
_PORTS = ("eth0", "eth1")


def run(scale: float) -> list[Row]:
    """Both in one run, on the same values."""
    with tempfile.TemporaryDirectory(prefix="wire-bench-", dir=os.environ.get("COMMUNE_BENCH_DIR")) as name:
        folder = Path(name)
        blocks = max(int(_BLOCKS * scale), 4)
        block_bytes, idle_bytes_s = asyncio.run(_ours(folder, blocks, max(_IDLE_S * scale, 10.0)))
        peer_bytes = _vmagent(folder, max(blocks // 2, 3))
    steps = _DAY_S / _STEP_S
    series = len(_values(random.Random(1)))
    mib = 1024 * 1024
    return [
        Row(
            f"wire bytes a day, {series} series each {_STEP_S} s",
            (block_bytes * steps + idle_bytes_s * _DAY_S) / mib,
            "MiB",
            "vmagent remote write",
            peer_bytes * steps / mib,
            bounds=(Bound("ratio", at_most=1.0),),
        ),
        Row("of it beacons and keep-alives", idle_bytes_s * _DAY_S / mib, "MiB"),
        Row("one block, its receipt and acknowledgements", block_bytes, "bytes", "one scrape", peer_bytes),
    ]


def _values(rng: random.Random) -> dict[str, float]:
    """What an agent with 30 targets says in a step."""
    values: dict[str, float] = {}
    for number in range(_TARGETS):
        of = f'{{target="target-{number}"}}'
        rtt_s = rng.lognormvariate(-4.5, 0.6)
        values[f"commune_probe_success{of}"] = 1.0 if rng.random() > 0.01 else 0.9333
        values[f"commune_probe_loss_ratio{of}"] = 0.0 if rng.random() > 0.05 else 0.01333
        values[f"commune_probe_rtt_seconds{of}"] = float(f"{rtt_s:.4g}")
        values[f"commune_probe_jitter_seconds{of}"] = float(f"{rtt_s * rng.random() / 4:.4g}")
    for port in _PORTS:
        for name in ("received", "sent"):
            values[f'commune_port_{name}_bytes_total{{port="{port}"}}'] = float(rng.randrange(10**10))
        values[f'commune_port_carrier{{port="{port}"}}'] = 1.0
        values[f'commune_port_carrier_changes_total{{port="{port}"}}'] = 3.0
    for name in ("cpu_busy_ratio", "temperature_celsius", "load", "clock_offset_seconds", "ups_load_ratio"):
        values[f"commune_{name}"] = float(f"{rng.random():.4g}")
    for name in ("memory_available", "memory_size", "disk_free", "disk_size", "device_written"):
        values[f"commune_{name}_bytes"] = float(rng.randrange(10**9))
    for name in ("clock_synchronised", "throttled", "under_voltage", "ups_on_mains", "ups_battery_low"):
        values[f"commune_{name}"] = 1.0
    return values


class _Counter:
    """A TCP proxy in a thread that counts what goes through it, both ways."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self.port = 0
        self._to = port
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._up.wait()

    def _serve(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._accept())
        self._loop.close()

    async def _accept(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                self.bytes += len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)


async def _ours(folder: Path, blocks: int, idle_s: float) -> tuple[float, float]:
    """Bytes a block, and bytes a second of doing nothing."""
    broker, sender = Broker(folder / "broker"), Sender()
    broker.start()
    counter = _Counter(broker.port)
    hub = HubProcess(folder / "hub", broker.config, "sqlite:///hub.db", sender, beacon_s=HubConfig().beacon_s)
    try:
        hub.start()
        async with _box(folder, counter.port, sender, hub) as (journal, courier):
            rng = random.Random(1)
            await _keep(journal, courier, rng)  # the epoch is begun, the first questions are asked and answered
            await asyncio.sleep(6)
            idle_began, quiet = time.monotonic(), counter.bytes
            await asyncio.sleep(idle_s)
            idle_bytes_s = (counter.bytes - quiet) / (time.monotonic() - idle_began)
            began, before = time.monotonic(), counter.bytes
            for _ in range(blocks):
                await _keep(journal, courier, rng)
            spent = counter.bytes - before - idle_bytes_s * (time.monotonic() - began)
        return spent / blocks, idle_bytes_s
    finally:
        hub.kill()
        counter.close()
        broker.stop()


@contextlib.asynccontextmanager
async def _box(folder: Path, port: int, sender: Sender, hub: HubProcess) -> AsyncIterator[tuple[Journal, Courier]]:
    bell = Doorbell()
    journal = Journal(folder / "journal", stamp=_stamp, config=JournalConfig(), on_durable=bell.ring)
    link = Link(BrokerConfig(port=port), sender.device)
    courier = Courier(
        link,
        journal,
        site=sender.site,
        device=sender.device,
        key=sender.key,
        hub_keys={hub.key.key_id: hub.key.public_bytes},
        bell=bell,
    )
    courier.start()
    link.start()
    try:
        yield journal, courier
    finally:
        await courier.close()
        await link.close()
        journal.close()


async def _keep(journal: Journal, courier: Courier, rng: random.Random) -> None:
    """One step's block, made durable, sent and receipted before the next one."""
    block = SampleBlock(1_790_000_000_000, _STEP_S * 1000, {name: [value] for name, value in _values(rng).items()})
    await asyncio.wrap_future(journal.append(block))
    await asyncio.wrap_future(journal.flush())
    assert await courier.settle(20), "BUG: the hub gives no receipt"


def _stamp() -> Stamp:
    return Stamp("b" * 32, time.monotonic_ns(), time.time_ns() // 1_000_000, Quality.TRUSTED)


def _vmagent(folder: Path, scrapes: int) -> float:
    """Bytes a scrape."""
    store = TimeSeriesStore("prometheus", folder / "prometheus")
    store.start()
    counter = _Counter(store.port)
    try:
        with _exporter() as served:
            config = folder / "scrape.yml"
            config.write_text(
                "scrape_configs:\n"
                f"- job_name: box\n  scrape_interval: {_SCRAPE_S}s\n"
                f"  static_configs:\n  - targets: ['127.0.0.1:{served.server_port}']\n"
            )
            relabel = folder / "relabel.yml"  # the series that it adds itself, and the labels that ours do not have
            relabel.write_text(
                "- action: drop\n  source_labels: [__name__]\n  regex: up|scrape_.*\n"
                "- action: labeldrop\n  regex: job|instance\n"
            )
            argv = [
                find_tool("vmagent"),
                f"-promscrape.config={config}",
                f"-remoteWrite.url=http://127.0.0.1:{counter.port}/api/v1/write",
                f"-remoteWrite.urlRelabelConfig={relabel}",
                *(f"-remoteWrite.label={name}={value}" for name, value in _LABELS.items()),
                f"-remoteWrite.tmpDataPath={folder}/vmagent",
                f"-httpListenAddr=127.0.0.1:{free_port()}",
            ]
            with (folder / "vmagent.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as agent:
                time.sleep(_SCRAPE_S * (scrapes + 1))
                agent.terminate()  # it sends what it holds
                agent.wait(20)
            assert served.scrapes > scrapes // 2, "BUG: vmagent does not scrape"
            return counter.bytes / served.scrapes
    finally:
        counter.close()
        store.stop()


_LABELS = {"commune": "code-s0001", "site": "s0001", "device": "s0001-agent"}


class _Exporter(http.server.ThreadingHTTPServer):
    scrapes = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    rng = random.Random(1)

    def do_GET(self) -> None:
        assert isinstance(self.server, _Exporter)
        self.server.scrapes += 1
        body = "".join(f"{name} {value:g}\n" for name, value in _values(self.rng).items()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


@contextlib.contextmanager
def _exporter() -> Iterator[_Exporter]:
    server = _Exporter(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
