"""A real Mosquitto on a free loopback port, which a test can kill and bring back."""

import contextlib
import socket
import subprocess
import time
from pathlib import Path

from bus.config import BrokerConfig, TlsConfig
from provisioning.mosquitto import Bridge, Listener, broker_conf
from tests.tools import find_tool, free_port

_UP_S = 20.0
_DOWN_S = 5.0


class Broker:
    """`start` returns once it accepts connections; `stop` and `kill` once it is gone. The port stays the same."""

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        *,
        tls: TlsConfig | None = None,
        bridge: Bridge | None = None,
        extra: str = "",
    ) -> None:
        """`tls` are the broker's own files; `extra` is appended to its configuration."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.log = folder / "mosquitto.log"
        self._conf = folder / "mosquitto.conf"
        self._tls = tls
        self._bridge = bridge
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> BrokerConfig:
        """How a part reaches it."""
        return BrokerConfig(host=self.host, port=self.port)

    @property
    def pid(self) -> int:
        """Of the running broker."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Run it, on a port of its own at the first start."""
        if self.port:
            self._start()
            return
        for _ in range(5):  # another process may take the port between our look and Mosquitto's
            self.port = free_port(self.host)
            with contextlib.suppress(ChildProcessError):
                self._start()
                return
        raise ChildProcessError(f"mosquitto found no port: {self.log.read_text()}")

    def _start(self) -> None:
        assert self._process is None, "runs already"
        listener = Listener(self.host, self.port, self._tls)
        self._conf.write_text(broker_conf(listener, bridge=self._bridge) + self._extra)
        # A test run that is killed takes its brokers along.
        argv = [find_tool("setpriv"), "--pdeathsig", "KILL", find_tool("mosquitto"), "-c", str(self._conf)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _UP_S
        while True:
            if self._process.poll() is not None:
                self._process = None
                raise ChildProcessError(f"mosquitto ended at once: {self.log.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            assert time.monotonic() < deadline, f"mosquitto does not listen: {self.log.read_text()}"
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM: it says goodbye to its clients."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_DOWN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """SIGKILL: connections break, what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
