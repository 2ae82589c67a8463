"""The commune's box in the lab: the real `commune agent` in its namespace, and what it says."""

import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bus.envelope import SigningKey
from tests.lab.network import PRINTER, ROUTER, ROUTER2, SWITCH, Network

_SAID = re.compile(r"diagnosis cause=(\S+) subject=(\S*)")

CONFIG = """
[device]
site = "s0001"
id = "s0001-agent"
key = "{folder}/agent.pem"
hub_keys = []

[agent]
state = "{folder}/state"

[pages]
port = 0

[pace]
loss_window_s = 8
loss_hold_s = 2
flap_window_s = 12

[lan]
port = "lan0"
router = "{router}"
router_name = "Bộ định tuyến"
switch = "{switch}"

[[line]]
id = "vnpt"
name = "Cáp quang VNPT"
network = "internet"
provider = "VNPT"
hotline = "1800 1166"
contract = "THA-0042"
hosts = ["203.0.113.1", "203.0.113.9"]
web = "http://203.0.113.204/generate_204"

[[line]]
id = "viettel"
name = "Cáp quang Viettel"
network = "internet"
provider = "Viettel"
role = "spare"
gateway = "{router2}"
hosts = ["198.51.100.1", "198.51.100.9"]

[[line]]
id = "tslcd"
name = "TSLCD cấp II"
network = "tslcd"
provider = "VNPT"
hosts = ["10.201.0.1", "10.201.0.9"]

[dns]
servers = ["203.0.113.53"]
name = "dichvucong.example"

[hub]
host = "10.202.0.2"
port = 8883

[power]
ups = "ups"

[[host]]
id = "may-in"
name = "Máy in quầy 1"
host = "{printer}"

[[service]]
id = "mot-cua"
name = "Phần mềm một cửa"
network = "tslcd"
url = "http://10.202.0.3/"
interval_s = 1

[[service]]
id = "ky-so"
name = "Ký số"
url = "https://203.0.113.44/"
ca = "{folder}/ca.pem"
interval_s = 1
"""


@dataclass(frozen=True)
class Said:
    at_s: float
    cause: str
    subject: str


class Box:
    """The agent, and each diagnosis it has told, in order."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.folder = folder
        SigningKey.generate().save(folder / "agent.pem")
        text = CONFIG.format(folder=folder, router=ROUTER, router2=ROUTER2, switch=SWITCH, printer=PRINTER)
        (folder / "agent.toml").write_text(text)
        self.said: list[Said] = []
        self.log: list[str] = []
        self._more = threading.Condition()
        command = [sys.executable, "-m", "agent", "--config", str(folder / "agent.toml")]
        self._process = subprocess.Popen(network.command("box", *command), stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = _SAID.search(line)
            with self._more:
                self.log.append(line.rstrip())
                if found:
                    self.said.append(Said(time.monotonic(), found[1], found[2].strip('"')))
                self._more.notify_all()

    def wait_for(self, cause: str, *, after: int, limit_s: float) -> bool:
        """Wait until the diagnosis after the first `after` ones is `cause`."""
        with self._more:
            return self._more.wait_for(lambda: any(s.cause == cause for s in self.said[after:]), limit_s)

    def quiet(self, seconds: float) -> None:
        """Let time pass, in which nothing else should be told."""
        with self._more:
            count = len(self.said)
            self._more.wait_for(lambda: len(self.said) > count, seconds)

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(10)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        assert self._process.stderr is not None
        self._process.stderr.close()
