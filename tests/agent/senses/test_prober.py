import asyncio
import os
import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from agent.observations import ProbeResult
from agent.senses.pinger import Pinger
from agent.senses.prober import DnsTarget, HttpTarget, IcmpTarget, Prober, Target, TcpTarget, probe
from agent.senses.resolver import Resolver
from tests.agent.senses.nameserver import NameServer, serving
from tests.agent.senses.netlab import Lab


async def run_for(prober: Prober, seconds: float) -> None:
    task = asyncio.create_task(prober.run())
    await asyncio.sleep(seconds)  # the cadence itself is under test, and it runs by the loop's clock
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_target_keeps_its_own_cadence_and_starts_are_spread(lab: Lab) -> None:
    results: dict[str, list[ProbeResult]] = defaultdict(list)
    targets = [IcmpTarget(f"t{index}", "10.9.0.2", interval_s=0.5) for index in range(10)]
    slow = IcmpTarget("slow", "10.9.0.2", interval_s=10)
    prober = Prober([*targets, slow], lambda result: results[result.target].append(result))
    await run_for(prober, 2.1)
    assert all(3 <= len(results[target.name]) <= 5 for target in targets), {k: len(v) for k, v in results.items()}
    assert len(results["slow"]) <= 1
    assert all(result.success for each in results.values() for result in each)
    firsts = sorted(results[target.name][0].mono_ns for target in targets)
    assert firsts[-1] - firsts[0] > 200_000_000
    assert (prober.skipped, prober.broken) == (0, 0)


async def test_a_probe_that_outlives_its_interval_never_overlaps_itself(lab: Lab) -> None:
    lab.peer.lose(100)
    results: list[ProbeResult] = []
    prober = Prober([IcmpTarget("t", "10.9.0.2", interval_s=0.1, timeout_s=0.5)], results.append)
    await run_for(prober, 1.4)
    assert 1 <= len(results) <= 3
    assert prober.skipped >= 4


async def test_what_breaks_in_one_target_stays_there(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def take(result: ProbeResult) -> None:
        if result.target == "bad":
            raise RuntimeError("a fault of ours")
        seen.append(result.target)

    prober = Prober([IcmpTarget(name, "10.9.0.2", interval_s=0.3) for name in ("bad", "good")], take)
    await run_for(prober, 1.0)
    assert seen.count("good") >= 2
    assert prober.broken >= 2
    assert "probe broke" in caplog.text


async def test_every_kind_of_target_is_probed_by_name(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # the TCP probe hangs up at once
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    web = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = web.sockets[0].getsockname()[1]
    async with serving(NameServer({"hub.vn": ["127.0.0.1"]})) as names:
        resolver = Resolver(["127.0.0.1"], port=names.port, hosts=tmp_path / "none")
        pinger = Pinger()
        targets: list[Target] = [
            IcmpTarget("icmp", "hub.vn"),
            TcpTarget("tcp", "hub.vn", port),
            DnsTarget("dns", "hub.vn", port=names.port),
            HttpTarget("http", f"http://hub.vn:{port}/"),
        ]
        results = [await probe(target, pinger=pinger, resolver=resolver) for target in targets]
        strays: list[Target] = [IcmpTarget("a", "no.vn"), TcpTarget("b", "no.vn", 1), HttpTarget("c", "http://no.vn")]
        missing = [await probe(target, pinger=pinger, resolver=resolver) for target in strays]
        pinger.close()
    web.close()
    await web.wait_closed()
    assert [(result.target, result.success) for result in results] == [
        ("icmp", True),
        ("tcp", True),
        ("dns", True),
        ("http", True),
    ]
    assert {result.reason for result in missing} == {"no-name"}


async def test_without_a_name_server_the_dns_rung_says_so(tmp_path: Path) -> None:
    resolver = Resolver(resolv_conf=tmp_path / "none")
    result = await probe(DnsTarget("dns", "hub.vn"), pinger=Pinger(), resolver=resolver)
    assert (result.success, result.reason) == (False, "error")


async def test_silent_loss_upstream_shows_within_three_seconds(lab: Lab) -> None:
    failed = asyncio.Event()
    well = asyncio.Event()

    def take(result: ProbeResult) -> None:
        (well if result.success else failed).set()

    task = asyncio.create_task(Prober([IcmpTarget("t", "10.9.0.2")], take).run())
    try:
        async with asyncio.timeout(10):
            await well.wait()
            before = time.monotonic()
            await asyncio.to_thread(lab.peer.lose, 100)
            await failed.wait()
            assert time.monotonic() - before < 3
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_cannot_be_asked_is_no_exception_and_is_logged_once(
    lab: Lab, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no-ca.pem"
    targets: list[Target] = [
        TcpTarget("tcp", "a..b", 80, interval_s=0.1),
        HttpTarget("url", "https://[::1", interval_s=0.1),
        HttpTarget("host", "https://a..b/", interval_s=0.1),
        HttpTarget("ca", "https://10.9.0.2/", interval_s=0.1, ca_file=str(nowhere)),
        *(IcmpTarget(f"ping-{index}", "10.9.0.2", interval_s=0.1) for index in range(5)),
    ]
    results: dict[str, ProbeResult] = {}
    for scarce in (False, True):
        results.clear()
        caplog.clear()
        resolver = Resolver(["10.9.0.2"])
        prober = Prober(targets, lambda result: results.update({result.target: result}), resolver=resolver)
        with exhausted_files() if scarce else nullcontext():
            await run_for(prober, 0.5)
        unasked = {name for name, result in results.items() if not result.asked}
        assert unasked == {target.name for target in targets if scarce or not isinstance(target, IcmpTarget)}
        assert prober.broken == 0
        told = [record.message.partition("why=")[2] for record in caplog.records if "cannot be made" in record.message]
        assert len(set(told)) == len(told) < len(targets), caplog.text


@contextmanager
def exhausted_files() -> Iterator[None]:
    """No file descriptor is left for new sockets."""
    held = [os.dup(0)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 1, hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
