"""How soon a fault of a line is known, and how often one is seen that is none. In namespaces over veth, as root.

- Carrier: from the moment the far end of the cable goes down until the record of it is durable in a journal; the peer
  is a bare netlink socket in the same run, which only hears the kernel's message. The kernel holds back carrier news of
  plain ports within a second of the last (link_watch.c), for all of the machine together; the lab's ports are of the
  kind that it tells of at once, as it does of a lone cable that is pulled.
- Silent loss: the far end drops everything while its port stays up; until the first failed probe of one of 30 targets
  probed each second, and until the last of the 30 is known.
- False downs: 5 % random loss each way, 30 targets a second, and blackbox_exporter probing the same beside it.
"""

import asyncio
import contextlib
import fcntl
import select
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

from agent.observations import NetworkState, ProbeResult
from agent.senses.linkwatch import LinkWatch
from agent.senses.netlink import Doorbell
from agent.senses.prober import IcmpTarget, Prober
from benchmarks.report import Bound, Row
from bus.config import JournalConfig
from bus.entries import EventNoted
from bus.journal import Journal
from bus.timekeeper import Timekeeper
from tests.agent.senses.netlab import Lab

_CUTS: Final = 200
_LOSSES: Final = 10
_LOSS_S: Final = 120
_TARGETS: Final = 30
_GAP_S: Final = 0.2


def run(scale: float) -> list[Row]:
    """All three, one after the other."""
    with _lab() as lab:
        return [
            *asyncio.run(_carrier(lab, max(3, round(_CUTS * scale)))),
            *asyncio.run(_silent_loss(lab, max(2, round(_LOSSES * scale)))),
            *asyncio.run(_false_downs(lab, max(3.0, _LOSS_S * scale))),
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


async def _carrier(lab: Lab, cuts: int) -> list[Row]:
    carrier_lost = asyncio.Event()
    recorded_ms: list[float] = []
    seen_ms: list[float] = []
    heard_ms: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(_journal(Path(folder))) as journal,
        _far_end(lab) as switch,
        _Bell() as bell,
    ):
        cut_ns = 0

        def take(state: NetworkState) -> None:
            if cut_ns and not state.ports["up0"].carrier:
                seen_ms.append((time.monotonic_ns() - cut_ns) / 1e6)
                carrier_lost.set()

        async with _running(LinkWatch(take).run()):
            for _ in range(cuts):
                await asyncio.sleep(_GAP_S)
                carrier_lost.clear()
                bell.await_next()
                cut_ns = time.monotonic_ns()
                switch(False)
                async with asyncio.timeout(10):
                    await carrier_lost.wait()
                    await journal.record(EventNoted(event="port-down", subject="up0"))
                recorded_ms.append((time.monotonic_ns() - cut_ns) / 1e6)
                heard_ms.append((await asyncio.to_thread(bell.first_ns) - cut_ns) / 1e6)
                cut_ns = 0
                await asyncio.sleep(_GAP_S)
                switch(True)
    return [
        Row(
            f"carrier loss to record on disk, p99 of {cuts}",
            _p99(recorded_ms),
            "ms",
            "bare netlink socket, p99",
            _p99(heard_ms),
            (Bound("value", at_most=50),),
        ),
        Row("carrier loss to network state, median", statistics.median(seen_ms), "ms"),
    ]


async def _silent_loss(lab: Lab, losses: int) -> list[Row]:
    first_s: list[float] = []
    last_s: list[float] = []
    blackbox_s: list[float] = []
    state: dict[str, bool] = {}
    changed = asyncio.Event()

    def take(result: ProbeResult) -> None:
        state[result.target] = result.success
        changed.set()

    async def until(holds: Callable[[], bool]) -> float:
        async with asyncio.timeout(30):
            while not holds():
                changed.clear()
                await changed.wait()
        return time.monotonic()

    def take_blackbox(*, success: bool) -> None:
        state["blackbox"] = success
        changed.set()

    async with (
        _running(Prober(_targets(), take).run()),
        _blackbox(lab) as port,
        _running(_ask_blackbox(port, ["10.9.0.100"], take_blackbox)),
    ):
        for _ in range(losses):
            await until(lambda: len(state) == _TARGETS + 1 and all(state.values()))
            before = time.monotonic()
            await asyncio.to_thread(lab.peer.lose, 100)
            first_s.append(await until(lambda: not all(state[name] for name in _names())) - before)
            last_s.append(await until(lambda: not any(state[name] for name in _names())) - before)
            blackbox_s.append(await until(lambda: not state["blackbox"]) - before)
            await asyncio.to_thread(lab.peer.heal)
    return [
        Row(
            f"silent loss to all {_TARGETS} targets down, worst of {losses}",
            max(last_s),
            "s",
            "blackbox_exporter, one target each second",
            max(blackbox_s),
            (Bound("value", at_most=3),),
        ),
        Row(f"silent loss to first target down, worst of {losses}", max(first_s), "s"),
    ]


async def _false_downs(lab: Lab, seconds: float) -> list[Row]:
    ours = [0, 0]
    theirs = [0, 0]

    def take(result: ProbeResult) -> None:
        ours[0] += 1
        ours[1] += not result.success

    def take_blackbox(*, success: bool) -> None:
        theirs[0] += 1
        theirs[1] += not success

    for namespace in (lab.box, lab.peer):
        namespace.lose(5)
    # The exporter is asked over loopback, where packets must not get lost.
    lab.box.lose(5, match='iifname "up0"')
    async with _blackbox(lab) as port:
        addresses = [target.address for target in _targets()[:5]]
        async with _running(Prober(_targets(), take).run()), _running(_ask_blackbox(port, addresses, take_blackbox)):
            await asyncio.sleep(seconds)
    for namespace in (lab.box, lab.peer):
        namespace.heal()
    return [
        Row(
            f"false downs in {ours[0]} probes at 5 % loss each way",
            ours[1],
            "",
            f"blackbox_exporter, in {theirs[0]} probes",
            theirs[1],
            (Bound("value", at_most=0),),
        )
    ]


def _journal(folder: Path) -> Journal:
    return Journal(folder / "journal", stamp=Timekeeper(folder).now, config=JournalConfig())


def _names() -> list[str]:
    return [f"t{index}" for index in range(_TARGETS)]


def _targets() -> list[IcmpTarget]:
    return [IcmpTarget(name, f"10.9.0.{100 + index}") for index, name in enumerate(_names())]


def _p99(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


@contextlib.asynccontextmanager
async def _running(coroutine: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _far_end(lab: Lab) -> Iterator[Callable[[bool], None]]:
    """Switches the far port by ioctl: starting `ip` would cost more than what is measured."""
    with lab.peer.inside():
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def switch(up: bool) -> None:
        name = b"down0".ljust(16, b"\0")
        flags = struct.unpack_from("=H", fcntl.ioctl(control, 0x8913, name + bytes(16)), 16)[0]
        fcntl.ioctl(control, 0x8914, name + struct.pack("=H14x", flags | 1 if up else flags & ~1))

    with control:
        yield switch


class _Bell:
    """A bare netlink socket in a thread of its own: when did the kernel's message come?"""

    def __init__(self) -> None:
        self._first_ns = 0
        self._rung = threading.Event()
        self._doorbell = Doorbell()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "_Bell":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._doorbell.close()

    def await_next(self) -> None:
        """Forget what has rung."""
        self._rung.clear()

    def first_ns(self) -> int:
        """When it first rang since then; waits for it."""
        if not self._rung.wait(10):
            raise TimeoutError("the kernel told nothing")
        return self._first_ns

    def _listen(self) -> None:

        while not self._stop.is_set():
            if select.select([self._doorbell], [], [], 0.2)[0]:
                now_ns = time.monotonic_ns()
                self._doorbell.drain()
                if not self._rung.is_set():
                    self._first_ns = now_ns
                    self._rung.set()


@contextlib.asynccontextmanager
async def _blackbox(lab: Lab) -> AsyncIterator[int]:
    with _exporter(lab) as port:
        async with asyncio.timeout(20):
            while not await _get(port, "/-/healthy"):  # noqa: ASYNC110 - another process's start
                await asyncio.sleep(0.05)
        yield port


@contextlib.contextmanager
def _exporter(lab: Lab) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "blackbox.yml")
        config.write_text("modules:\n  icmp:\n    prober: icmp\n    timeout: 1s\n", encoding="utf-8")
        command = ["prometheus-blackbox-exporter", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        with subprocess.Popen(lab.box.command(*command), stderr=subprocess.DEVNULL) as process:
            try:
                yield port
            finally:
                process.terminate()


async def _ask_blackbox(port: int, addresses: list[str], take: Callable[..., None]) -> None:
    async def ask(address: str) -> None:
        answer = await _get(port, f"/probe?module=icmp&target={address}")
        if answer:
            take(success=b"\nprobe_success 1" in answer)

    async with asyncio.TaskGroup() as group:
        while True:
            for address in addresses:
                group.create_task(ask(address))
            await asyncio.sleep(1)


async def _get(port: int, path: str) -> bytes:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
