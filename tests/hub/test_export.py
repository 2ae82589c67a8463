"""Samples reach real stores at their true times, live and late, whatever those stores do."""

import asyncio
import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import func, select

from bus.backoff import Backoff
from bus.clock import Quality
from bus.config import ServerTlsConfig
from bus.entries import ClockAnchor, SampleBlock
from bus.errors import WrongInputError
from bus.tls import server_context
from hub import schema
from hub.config import KeepConfig, RemoteWriteConfig
from hub.database import Database
from hub.export import Exporter
from hub.live import Live
from hub.prune import prune
from hub.store import Store
from tests.bus.certificates import Authority
from tests.hub.process import eventually
from tests.hub.sender import Sender, roster_of
from tests.hub.timeseries import TimeSeriesStore

QUICK = Backoff(0.05, 0.2)
NOW_MS = time.time_ns() // 1_000_000 // 1000 * 1000


@pytest.fixture(params=["prometheus", "victoria-metrics"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TimeSeriesStore]:
    made = TimeSeriesStore(request.param, tmp_path / "remote")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/hub.db")
    yield made
    made.close()


@pytest.fixture
def store(database: Database, sender: Sender) -> Store:
    made = Store(database, exporting=True)
    made.open(roster_of(sender))
    return made


@contextlib.asynccontextmanager
async def exporting(database: Database, url: str, live: Live | None = None, blocks: int = 5) -> AsyncIterator[Live]:
    live = live or Live()
    exporter = Exporter(database, RemoteWriteConfig(url=url, blocks=blocks, timeout_s=5), live, QUICK)
    task = asyncio.create_task(exporter.run())
    yield live
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def waiting(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(schema.export_queue)).scalar_one()


def counters(database: Database) -> dict[tuple[str, str], int]:
    with database.read() as connection:
        return {(row.name, row.label): row.value for row in connection.execute(select(schema.counter))}


def block(start_ms: int, *values: float | None, name: str = 'rtt_ms{target="dns"}') -> SampleBlock:
    return SampleBlock(start_ms, 5000, {name: list(values)})


async def test_live_and_late_samples_arrive_at_their_own_times(
    remote: TimeSeriesStore, store: Store, sender: Sender
) -> None:
    days = 86_400_000
    late_ms = NOW_MS - 10 * days
    sender.add(block(NOW_MS - 60_000, 1.0, None, 3.5))  # live first, the backlog after it
    sender.add(block(late_ms, 7.0, 8.0))
    sender.add(block(late_ms - days, 5.0))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    async with exporting(store.database, remote.write_url) as live:
        await eventually(lambda: waiting(store.database) == 0)
    expected = [
        ((late_ms - days) / 1000, 5.0),
        (late_ms / 1000, 7.0),
        (late_ms / 1000 + 5, 8.0),
        (NOW_MS / 1000 - 60, 1.0),
        (NOW_MS / 1000 - 50, 3.5),
    ]
    selector = 'rtt_ms{commune="code-s0001",site="s0001",target="dns"}'
    await eventually(lambda: remote.points(selector, at_s=NOW_MS / 1000) == {"s0001-agent": expected})
    assert (live.exported_blocks, live.exported_samples) == (3, 5)
    assert counters(store.database) == {}


async def test_a_clock_that_was_wrong_is_corrected_before_anything_is_sent(
    remote: TimeSeriesStore, store: Store, sender: Sender
) -> None:
    boot = sender.stamp(wall_ms=NOW_MS, quality=Quality.TRUSTED)
    wrong = sender.stamp(wall_ms=50_000, quality=Quality.UNKNOWN)  # a second after `boot`
    sender.add(block(45_000, 4.0), wrong)
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    async with exporting(store.database, remote.write_url) as live:
        assert waiting(store.database) == 0
        sender.add(ClockAnchor(), boot)
        store.ingest([sender.admitted(sender.batch())])
        await eventually(lambda: live.exported_samples == 1)
    at_s = (NOW_MS + 1000 - 5000) / 1000
    await eventually(lambda: remote.points("rtt_ms", at_s=NOW_MS / 1000) == {"s0001-agent": [(at_s, 4.0)]})


async def test_a_store_that_is_down_is_waited_for(remote: TimeSeriesStore, store: Store, sender: Sender) -> None:
    remote.stop()
    for number in range(12):
        sender.add(block(NOW_MS - 120_000 + number * 5000, float(number)))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    live = Live()
    async with exporting(store.database, remote.write_url, live):
        await eventually(lambda: live.export_failures["no-answer"] >= 3)
    assert waiting(store.database) == 12
    async with exporting(store.database, remote.write_url, live):  # a hub that was started again in between
        remote.start()
        await eventually(lambda: waiting(store.database) == 0)
    await eventually(
        lambda: (
            [value for _, value in remote.points("rtt_ms", at_s=NOW_MS / 1000).get("s0001-agent", [])]
            == [float(number) for number in range(12)]
        )
    )


async def test_what_prometheus_refuses_takes_nothing_along(tmp_path: Path, store: Store, sender: Sender) -> None:
    prometheus = TimeSeriesStore("prometheus", tmp_path / "remote")
    prometheus.start()
    try:
        sender.add(block(NOW_MS - 60_000, 1.0))
        store.ingest([sender.admitted(sender.batch(line=sender.sample))])
        async with exporting(store.database, prometheus.write_url):
            await eventually(lambda: waiting(store.database) == 0)
            sender.add(block(NOW_MS - 90 * 86_400_000, 2.0))  # beyond its window
            sender.add(block(NOW_MS - 50_000, 3.0))
            store.ingest([sender.admitted(sender.batch(line=sender.sample))])
            await eventually(lambda: waiting(store.database) == 0)
        values = [value for _, value in prometheus.points("rtt_ms", at_s=NOW_MS / 1000)["s0001-agent"]]
    finally:
        prometheus.stop()
    assert values == [1.0, 3.0]
    (((name, _), count),) = counters(store.database).items()
    assert (name, count) == ("remote-write", 1)


class _Moody(http.server.BaseHTTPRequestHandler):
    """Answers as `answers` says, in turn; then 204."""

    answers: list[tuple[int, dict[str, str]]]
    bodies: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        self.bodies.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        return


@pytest.fixture
def moody() -> Iterator[Callable[..., tuple[str, type[_Moody]]]]:
    servers: list[http.server.HTTPServer] = []

    def make(*answers: int | tuple[int, dict[str, str]], tls: ssl.SSLContext | None = None) -> tuple[str, type[_Moody]]:
        script = [answer if isinstance(answer, tuple) else (answer, {}) for answer in answers]
        handler = type("Handler", (_Moody,), {"answers": script, "bodies": []})
        server = http.server.HTTPServer(("127.0.0.1", 0), handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/write", handler

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


async def test_later_is_tried_again_and_never_is_counted(
    moody: Callable[..., tuple[str, type[_Moody]]], store: Store, sender: Sender
) -> None:
    url, handler = moody(500, (429, {"Retry-After": "0"}), 503, (429, {"Retry-After": "soon"}), 422)
    sender.add(block(NOW_MS, 1.0))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    async with exporting(store.database, url) as live:
        await eventually(lambda: waiting(store.database) == 0)
    assert live.export_failures == {"http-500": 1, "http-429": 2, "http-503": 1}
    assert counters(store.database) == {("remote-write", "http-422"): 1}
    headers, _ = handler.bodies[0]
    assert headers["Content-Encoding"] == "snappy"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert len({body for _, body in handler.bodies}) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 408])
async def test_a_wrong_token_or_address_keeps_the_history(
    moody: Callable[..., tuple[str, type[_Moody]]], store: Store, sender: Sender, status: int
) -> None:
    url, handler = moody(*[status] * 4)
    for number in range(3):
        sender.add(block(NOW_MS + number * 5000, float(number)))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    async with exporting(store.database, url) as live:
        await eventually(lambda: live.export_failures[f"http-{status}"] == 4)
        await eventually(lambda: waiting(store.database) == 0)  # once it was put right, all of it went
    assert live.exported_samples == 3
    assert counters(store.database) == {}
    assert len(handler.bodies) == 5


def test_a_prune_ends_when_the_hub_does(store: Store, sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.prune._AT_ONCE", 2)
    for number in range(10):
        sender.add(block(NOW_MS + number, 1.0))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    with store.database.write() as connection:
        connection.execute(schema.export_queue.delete())
    asked = iter([False, False, True])
    later_ms = NOW_MS + 20 * 86_400_000
    assert prune(store.database, KeepConfig(sample_days=14), later_ms, lambda: next(asked, True)) == 4
    assert prune(store.database, KeepConfig(sample_days=14), later_ms) == 6


async def test_a_store_behind_tls_asks_for_our_certificate(
    moody: Callable[..., tuple[str, type[_Moody]]], store: Store, sender: Sender, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    serving, ours = authority.issue("store"), authority.issue("hub")
    url, handler = moody(tls=server_context(ServerTlsConfig(serving.cert, serving.key, serving.ca)))
    sender.add(block(NOW_MS, 1.0))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    without = RemoteWriteConfig(url, ca=ours.ca, timeout_s=5)
    exporter = Exporter(store.database, without, live := Live(), QUICK)
    refused = asyncio.create_task(exporter.run())
    await eventually(lambda: live.export_failures["no-answer"] > 0)
    refused.cancel()
    await asyncio.gather(refused, return_exceptions=True)
    assert handler.bodies == []
    taken = asyncio.create_task(
        Exporter(store.database, structs.replace(without, cert=ours.cert, key=ours.key), Live(), QUICK).run()
    )
    await eventually(lambda: waiting(store.database) == 0)
    taken.cancel()
    await asyncio.gather(taken, return_exceptions=True)
    assert len(handler.bodies) == 1
    with pytest.raises(WrongInputError, match="cannot be used"):
        await Exporter(store.database, structs.replace(without, ca=ours.key), Live(), QUICK).run()


async def test_bad_names_are_counted_and_the_rest_goes(
    moody: Callable[..., tuple[str, type[_Moody]]], store: Store, sender: Sender
) -> None:
    url, _ = moody()
    sender.add(SampleBlock(NOW_MS, 1000, {"good": [1.0], "not good": [1.0], 'x{y="': [2.0]}))
    sender.add(SampleBlock(NOW_MS, 0, {"good": [1.0]}))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    async with exporting(store.database, url) as live:
        await eventually(lambda: waiting(store.database) == 0)
    assert live.exported_samples == 1
    assert counters(store.database) == {("series", "name"): 2, ("sample-block", "step"): 1}


def test_old_samples_go_once_they_were_sent(store: Store, sender: Sender) -> None:
    for number in range(3):
        sender.add(block(NOW_MS + number, 1.0))
    store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    with store.database.write() as connection:
        connection.execute(schema.export_queue.delete().where(schema.export_queue.c.seq != 2))
    later_ms = NOW_MS + 20 * 86_400_000
    assert prune(store.database, KeepConfig(sample_days=14), NOW_MS) == 0
    assert prune(store.database, KeepConfig(sample_days=14), later_ms) == 2
    outcome = store.ingest([sender.admitted(sender.batch(line=sender.sample))])
    assert (outcome.entries, outcome.repeats) == (0, 3)
