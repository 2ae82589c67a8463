import asyncio
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.senses.ups import read_ups
from bus.errors import CorruptError, UnavailableError, WrongInputError

READINGS = 'ups.status: {status}\nbattery.charge: 87\nbattery.runtime: 1260\nups.load: 23\nups.mfr: Santak \\"C1K\\"\n'


class Upsd:
    """A real upsd with NUT's dummy driver, whose readings are a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._readings = folder / "ups.dev"
        self.say("OL CHRG")
        (folder / "ups.conf").write_text(
            f"[office]\n driver = dummy-ups\n port = {self._readings}\n mode = dummy-loop\n desc = test\n"
        )
        (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 15\n")
        (folder / "upsd.users").write_text("")
        for name in ("upsd.conf", "upsd.users", "ups.conf"):
            (folder / name).chmod(0o640)
        self._environment = {
            **os.environ,
            "NUT_CONFPATH": str(folder),
            "NUT_STATEPATH": str(folder),
            "NUT_ALTPIDPATH": str(folder),
        }
        self._processes = [
            self._start("/lib/nut/dummy-ups", "-a", "office", "-u", "root", "-D"),
            self._start("/lib/nut/upsd", "-u", "root", "-D"),  # /usr/sbin/upsd asks nut.conf whether it may start,
        ]

    def say(self, status: str) -> None:
        self._readings.write_text(READINGS.format(status=status).replace('\\"', ""))

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder
        )

    def stop_driver(self) -> None:
        self._processes[0].kill()
        self._processes[0].wait(10)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait(10)


@pytest.fixture
def upsd(tmp_path: Path) -> Iterator[Upsd]:
    server = Upsd(tmp_path)
    try:
        yield server
    finally:
        server.close()


async def until_status(upsd: Upsd, wanted: str) -> None:
    until = time.monotonic() + 30
    said: object = None
    while time.monotonic() < until:
        try:
            state = await read_ups("office", port=upsd.port)
            said = state.status
        except UnavailableError as error:
            said = error
        if said == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"upsd says {said}")


async def test_a_real_upsd_tells_mains_battery_and_its_end(upsd: Upsd) -> None:
    await until_status(upsd, "OL CHRG")
    state = await read_ups("office", port=upsd.port)
    assert (state.on_mains, state.battery_low) == (True, False)
    assert (state.battery_pct, state.runtime_s, state.load_pct) == (87.0, 1260.0, 23.0)
    with pytest.raises(WrongInputError, match=r"ups\.conf"):
        await read_ups("nothere", port=upsd.port)
    upsd.say("OB DISCHRG LB")
    await until_status(upsd, "OB DISCHRG LB")
    state = await read_ups("office", port=upsd.port)
    assert (state.on_mains, state.battery_low) == (False, True)


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"ERR DATA-STALE\n", UnavailableError),
        (b"ERR DRIVER-NOT-CONNECTED\n", UnavailableError),
        (b'BEGIN LIST VAR office\nVAR office ups.load "1"\nEND LIST VAR office\n', UnavailableError),
        (b'BEGIN LIST VAR office\nVAR office ups.status "OL"\n', UnavailableError),
        (b'BEGIN LIST VAR office\nVAR office ups.status "WAIT"\nEND LIST VAR office\n', UnavailableError),
        (b'BEGIN LIST VAR office\nVAR office ups.status "ALARM"\nEND LIST VAR office\n', UnavailableError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", CorruptError),
        (b"x" * 100_000, CorruptError),
        (b'VAR office ups.status "OL\n', CorruptError),
        (b'VAR office a "1"\n' * 2_000, CorruptError),
        (b"", UnavailableError),
    ],
)
async def test_what_is_stale_cut_or_no_nut_is_never_mains(answer: bytes, error: type[Exception]) -> None:
    async with saying(answer) as port:
        with pytest.raises(error):
            await read_ups("office", port=port, timeout_s=2)


@pytest.mark.parametrize("odd", [b"nan", b"inf", b"-inf", b"1e400", b"ten"])
async def test_what_is_no_number_is_not_told(odd: bytes) -> None:
    lines = b'VAR u ups.status "OL"\nVAR u battery.charge "%b"\nVAR u battery.runtime "%b"\nVAR u ups.load "%b"\n'
    async with saying(b"BEGIN LIST VAR u\n" + lines % (odd, odd, odd) + b"END LIST VAR u\n") as port:
        state = await read_ups("u", port=port)
    assert (state.on_mains, state.battery_pct, state.runtime_s, state.load_pct) == (True, None, None, None)


async def test_a_upsd_that_is_not_there_is_unavailable() -> None:
    async with saying(b"") as port:
        pass
    with pytest.raises(UnavailableError):
        await read_ups("office", port=port)
