import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from agent.exposition import MetricsServer
from agent.metrics import Metrics
from agent.observations import (
    BlockDevice,
    DiskSpace,
    Duplex,
    Health,
    NetworkState,
    OpticalPower,
    PortState,
    ProbeResult,
    ProcessUse,
    Route,
    SwitchPort,
    Throttling,
    UpsState,
)
from bus.errors import UnavailableError

GOOD = ProbeResult("router", 1_000_000_000, success=True, duration_ms=3, loss_pct=0, rtt_ms=1.5, jitter_ms=0.5)
BAD = ProbeResult("portal", 2_000_000_000, success=False, duration_ms=900, loss_pct=100, reason="timeout")
UNSENT = ProbeResult("spare", 2_500_000_000, success=False, duration_ms=0, loss_pct=100, reason="error")
WEB = ProbeResult(
    "portal", 2_000_000_000, success=True, duration_ms=90, loss_pct=0, certificate_days=10, http_status=200
)
HEALTH = Health(
    mono_ns=1,
    cpu_pct=12.5,
    load_1m=0.4,
    memory_total_bytes=1 << 30,
    memory_available_bytes=1 << 29,
    uptime_s=77,
    temperature_c=51.2,
    throttling=Throttling(under_voltage=False, throttled=False, under_voltage_seen=True, throttled_seen=False),
    clock_error_ms=2.0,
    clock_offset_ms=-0.5,
    disks=(DiskSpace("/", 100, 40),),
    devices=(BlockDevice("mmcblk0", 4096, 30, 1),),
    processes=(ProcessUse("commune agent", 7, 1.5, 30_000_000),),
)
NETWORK = NetworkState(
    1,
    {
        "eth0": PortState(
            "eth0", present=True, carrier=True, speed_mbit=1000, duplex=Duplex.FULL, rx_errors=1, tx_errors=2
        )
    },
    (Route("10.0.0.1", "eth0", 100),),
)


def filled() -> Metrics:
    metrics = Metrics(now_s=lambda: 4.0)
    metrics.take_result(GOOD)
    metrics.take_result(BAD)
    metrics.take_result(WEB)
    metrics.take_result(UNSENT)
    metrics.take_health(HEALTH)
    metrics.take_network(NETWORK)
    metrics.take_optical("wan", OpticalPower("10.0.0.1", -23.5, sent_dbm=2.0), threshold_dbm=-27, days_left=40)
    metrics.take_switch_port("uplink", SwitchPort("10.0.0.2:1", up=True, speed_mbit=1000, in_errors=3))
    metrics.take_ups(
        UpsState("office", "OL", on_mains=True, battery_low=False, battery_pct=87, runtime_s=1260, load_pct=23)
    )
    metrics.take_diagnosis("fine", "")
    metrics.take_diagnosis("fibre", "vnpt")
    return metrics


def test_prometheus_own_linter_finds_nothing() -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=filled().text(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "line",
    [
        'commune_probe_success{target="router"} 1.0',
        'commune_probe_rtt_seconds{target="router"} 0.0015',
        'commune_probe_age_seconds{target="router"} 3.0',
        'commune_probe_bursts_total{target="portal"} 2.0',
        'commune_probe_failures_total{target="portal"} 1.0',
        'commune_probe_failures_total{target="router"} 0.0',
        'commune_probe_unasked_total{target="spare"} 1.0',
        'commune_certificate_left_seconds{target="portal"} 864000.0',
        'commune_probe_http_status_code{target="portal"} 200.0',
        'commune_port_carrier{port="eth0"} 1.0',
        'commune_port_speed_bytes_per_second{port="eth0"} 1.25e+08',
        'commune_port_errors_total{port="eth0"} 3.0',
        'commune_default_route_metric{gateway="10.0.0.1",port="eth0"} 100.0',
        "commune_cpu_busy_ratio 0.125",
        "commune_temperature_celsius 51.2",
        "commune_clock_synchronised 1.0",
        'commune_under_voltage{when="since_boot"} 1.0',
        'commune_under_voltage{when="now"} 0.0',
        'commune_device_worn_ratio{device="mmcblk0"} 0.3',
        'commune_device_written_bytes_total{device="mmcblk0"} 4096.0',
        'commune_process_memory_bytes{name="commune agent",pid="7"} 3e+07',
        'commune_optical_received_dbm{receiver="wan"} -23.5',
        'commune_optical_threshold_dbm{receiver="wan"} -27.0',
        'commune_optical_left_seconds{receiver="wan"} 3.456e+06',
        'commune_switch_port_errors_total{port="uplink"} 3.0',
        'commune_ups_battery_charge_ratio{ups="office"} 0.87',
        'commune_diagnosis_info{cause="fibre",subject="vnpt"} 1.0',
    ],
)
def test_each_observation_is_there_in_base_units(line: str) -> None:
    assert line in filled().text().decode().splitlines()


def test_what_was_not_observed_has_no_sample() -> None:
    metrics = Metrics()
    assert b"\ncommune_" not in metrics.text()
    metrics.take_result(GOOD)
    text = metrics.text().decode()
    assert "commune_certificate_left_seconds" not in text
    assert "commune_temperature" not in text


def test_a_probe_that_could_not_be_made_is_no_failure() -> None:
    metrics = filled()
    metrics.take_result(replace(UNSENT, target="router"))
    shown = metrics.text().decode()
    assert 'commune_probe_failures_total{target="router"} 0.0' in shown
    assert 'commune_probe_success{target="router"}' not in shown, "the result before is no news"


def test_what_is_gone_leaves_no_series_behind() -> None:
    metrics = filled()
    metrics.take_optical("wan", None)
    metrics.take_switch_port("uplink", None)
    metrics.take_ups(None)
    metrics.take_network(NetworkState(2))
    text = metrics.text().decode()
    for word in ("optical", "switch", "ups_", "eth0", 'cause="fine"'):
        assert word not in text


@asynccontextmanager
async def serving() -> AsyncIterator[MetricsServer]:
    server = MetricsServer(filled().text)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.close()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_is_served_to_who_asks_and_only_that() -> None:
    async with serving() as server:
        head, _, body = (await ask(server.port, b"GET /metrics?x=1 HTTP/1.1\r\nHost: box\r\n\r\n")).partition(
            b"\r\n\r\n"
        )
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
        assert f"Content-Length: {len(body)}".encode() in head
        assert b"commune_probe_success" in body
        assert (await ask(server.port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
        assert (await ask(server.port, b"GET /etc/passwd HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404")
        assert (await ask(server.port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405")
        assert (await ask(server.port, b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
        assert (await ask(server.port, b"\xff\xfe" * 8 + b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
        assert await ask(server.port, b"x" * 50_000) == b""


async def test_those_who_say_nothing_do_not_keep_others_out_for_ever() -> None:
    async with serving() as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
        async with asyncio.timeout(20):
            while True:
                answer = b""
                try:
                    answer = await ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")
                except OSError:
                    answer = b""
                if answer.startswith(b"HTTP/1.1 200"):
                    break
                await asyncio.sleep(0.2)
        assert server.refused >= 12
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()


async def test_ending_does_not_wait_for_who_is_connected() -> None:
    async with serving() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /metr")
        await ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")  # so the first has been accepted too
        async with asyncio.timeout(1):
            await server.close()
        writer.close()


async def test_an_address_that_is_taken_is_told() -> None:
    async with serving() as server:
        with pytest.raises(UnavailableError, match=str(server.port)):
            await MetricsServer(lambda: b"").start("127.0.0.1", server.port)


def test_a_real_prometheus_client_reads_it_back() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(filled().text().decode())}
    assert families["commune_ups_runtime_seconds"].samples[0].value == 1260
