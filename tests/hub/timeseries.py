"""Real stores that take remote write: Prometheus and VictoriaMetrics, each on a free loopback port."""

import subprocess
import time
from pathlib import Path
from typing import Literal

import httpx

from tests.tools import find_tool, free_port

Kind = Literal["prometheus", "victoria-metrics"]
_UP_S = 30.0


class TimeSeriesStore:
    """`write_url` takes samples, `points` gives them back."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.write_url = f"{self.url}/api/v1/write"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        argv = self._prometheus() if self._kind == "prometheus" else self._victoria()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_tool("setpriv"), "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _UP_S
        while True:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                if httpx.get(f"{self.url}/api/v1/query", params={"query": "1"}).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def points(self, selector: str, *, at_s: float, over: str = "40d") -> dict[str, list[tuple[float, float]]]:
        """(seconds, value) of each series, by its `device` label, in order of time."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": f"{selector}[{over}]", "time": f"{at_s}"})
        answer.raise_for_status()
        return {
            one["metric"]["device"]: [(float(at), float(value)) for at, value in one["values"]]
            for one in answer.json()["data"]["result"]
        }

    def _prometheus(self) -> list[str]:
        config = self._folder / "prometheus.yml"
        config.write_text("storage:\n  tsdb:\n    out_of_order_time_window: 31d\n")
        return [
            find_tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-remote-write-receiver",
        ]

    def _victoria(self) -> list[str]:
        return [
            find_tool("victoria-metrics"),
            f"-storageDataPath={self._folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=12",
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ]
