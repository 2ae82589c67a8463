"""A hub as a process of its own, which a test can kill and start again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from bus.config import BrokerConfig
from bus.envelope import SigningKey
from hub.api import tokens
from tests.hub.sender import Sender
from tests.tools import find_tool, free_port

_UP_S = 30.0


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until it holds. It asks another process, which tells nobody when it has changed: so it is asked again."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - nothing here could set an event
            await asyncio.sleep(0.1)


def write_roster(path: Path, *senders: Sender) -> None:
    """The known list as a file, put in place at once."""
    sites: dict[str, list[Sender]] = {}
    for sender in senders:
        sites.setdefault(sender.site, []).append(sender)
    lines = []
    for site, devices in sites.items():
        lines += ["[[site]]", f'id = "{site}"', f'code = "code-{site}"', f'name = "Xã {site}"']
        for one in devices:
            key = one.key.public_bytes.hex()
            lines += ["[[site.device]]", f'id = "{one.device}"', f'part = "{one.part}"', f'key = "{key}"']
    part = path.with_suffix(".new")
    part.write_text("\n".join(lines) + "\n")
    part.replace(path)


class HubProcess:
    """`start` returns once it serves; its log stands in `log`."""

    def __init__(
        self, folder: Path, broker: BrokerConfig, store: str, *senders: Sender, more: str = "", beacon_s: int = 1
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "hub.log"
        self.port = free_port()
        self.key = SigningKey.generate()
        self.key.save(folder / "hub.pem")
        self.token = tokens.issue(folder / "tokens.toml", name="test", scopes=["read", "metrics", "ratings-raw"])
        self.roster = folder / "roster.toml"
        write_roster(self.roster, *senders)
        self.config = folder / "hub.toml"
        self.config.write_text(
            f'store = "{store}"\nbeacon_s = {beacon_s}\n{more}\n'
            f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\n'
            f'[http]\nport = {self.port}\ntoken = "tokens.toml"\n'
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [find_tool("setpriv"), "--pdeathsig", "KILL", sys.executable, "-m", "hub", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=_ROOT)
        deadline = time.monotonic() + _UP_S
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/healthz").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def get(self, path: str, cookies: dict[str, str] | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(headers=headers, cookies=cookies, timeout=10) as client:
            return client.get(f"http://127.0.0.1:{self.port}{path}")

    def stop(self) -> float:
        """SIGTERM; how long it took to end, which it did well."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(10)
        self.process = None
        assert code == 0, self.log.read_text()
        return time.monotonic() - began

    def kill(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


_ROOT = Path(__file__).parents[2]
