"""The lab's network: one commune, its two providers, the specialised data network and the province, as namespaces.

    box --+                                 +-- isp    (anchors 203.0.113.x: name server, web, services)
          |                                 |
        switch -- router (10.77.1.1) -------+-- tslcd -- province (10.202.0.x: hub, one-stop software)
          |  |
    printer  router2 (10.77.1.3) ---------------- isp2  (anchors 198.51.100.x)

Cables are veth pairs: pulling one end takes the carrier from the other. Routers really route (ip_forward).
"""

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

from tests.agent.senses.netlab import run

_LABS = count()
BOX, SWITCH, ROUTER, ROUTER2 = "10.77.1.10", "10.77.1.2", "10.77.1.1", "10.77.1.3"
PRINTER = "10.77.1.50"


class Network:
    def __init__(self, folder: Path) -> None:
        self._prefix = f"lab{os.getpid()}x{next(_LABS)}"
        self._folder = folder
        self._standins: dict[str, subprocess.Popen[str]] = {}
        self.hosts = ("box", "switch", "printer", "router", "router2", "isp", "isp2", "tslcd", "province")
        for host in self.hosts:
            run("ip", "netns", "add", self.name(host))
            self.ip(host, "link", "set", "lo", "up")
        self._lan()
        self._beyond()
        for host in ("router", "router2", "isp", "isp2", "tslcd"):
            run(*self.command(host, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        for role in ("provider", "province", "box"):
            self._start(role)

    def name(self, host: str) -> str:
        return f"{self._prefix}-{host}"

    def ip(self, host: str, *words: str) -> str:
        return run(*self.command(host, "ip", *words))

    def command(self, host: str, *words: str) -> list[str]:
        # Not `ip -n` nor `ip netns exec`: both remount /, which cannot be done in a chroot.
        return ["nsenter", f"--net=/run/netns/{self.name(host)}", *words]

    def cable(self, one: str, port: str, other: str, other_port: str) -> None:
        self.ip(one, "link", "add", port, "type", "veth", "peer", "name", other_port, "netns", self.name(other))

    def port(self, host: str, port: str, *addresses: str) -> None:
        for address in addresses:
            self.ip(host, "addr", "replace", address, "dev", port)
        self.ip(host, "link", "set", port, "up")

    def _lan(self) -> None:
        self.ip("switch", "link", "add", "br0", "type", "bridge")
        for host in ("box", "printer", "router", "router2"):
            self.cable(host, "lan0", "switch", host)
            self.ip("switch", "link", "set", host, "master", "br0")
            self.port("switch", host)
        self.port("switch", "br0", f"{SWITCH}/24")
        self.port("printer", "lan0", f"{PRINTER}/24")
        self.port("router", "lan0", f"{ROUTER}/24")
        self.port("router2", "lan0", f"{ROUTER2}/24")
        self.address_box()

    def address_box(self) -> None:
        """The box's address and routes, as its network configuration would set them."""
        self.port("box", "lan0", f"{BOX}/24")
        self.ip("box", "route", "replace", "default", "via", ROUTER)
        self.ip("box", "route", "replace", "198.51.100.0/24", "via", ROUTER2)

    def _beyond(self) -> None:
        self.cable("router", "wan0", "isp", "cpe")
        self.cable("router", "wan1", "tslcd", "cpe")
        self.cable("router2", "wan0", "isp2", "cpe")
        self.cable("tslcd", "core", "province", "core")
        anchors = (".1", ".9", ".44", ".53", ".80", ".204")
        self.port("isp", "lo", *(f"203.0.113{last}/32" for last in anchors))
        self.port("isp2", "lo", "198.51.100.1/32", "198.51.100.9/32")
        self.port("tslcd", "lo", "10.201.0.1/32", "10.201.0.9/32")
        self.port("province", "lo", "10.202.0.2/32", "10.202.0.3/32")
        self.port("tslcd", "core", "10.200.2.1/30")
        self.port("province", "core", "10.200.2.2/30")
        self.ip("tslcd", "route", "replace", "10.202.0.0/24", "via", "10.200.2.2")
        self.ip("province", "route", "replace", "default", "via", "10.200.2.1")
        self.connect_isp()
        self.connect_isp2()
        self.connect_tslcd()

    def connect_isp(self) -> None:
        self.port("router", "wan0", "100.64.1.2/30")
        self.port("isp", "cpe", "100.64.1.1/30")
        self.ip("router", "route", "replace", "default", "via", "100.64.1.1")
        self.ip("isp", "route", "replace", "10.77.1.0/24", "via", "100.64.1.2")

    def connect_isp2(self) -> None:
        self.port("router2", "wan0", "100.65.1.2/30")
        self.port("isp2", "cpe", "100.65.1.1/30")
        self.ip("router2", "route", "replace", "default", "via", "100.65.1.1")
        self.ip("isp2", "route", "replace", "10.77.1.0/24", "via", "100.65.1.2")

    def connect_tslcd(self) -> None:
        self.port("router", "wan1", "10.200.1.2/30")
        self.port("tslcd", "cpe", "10.200.1.1/30")
        for net in ("10.200.0.0/14",):
            self.ip("router", "route", "replace", net, "via", "10.200.1.1")
        self.ip("tslcd", "route", "replace", "10.77.1.0/24", "via", "10.200.1.2")

    def pull(self, host: str, port: str) -> None:
        """Take the cable out: the other end loses its carrier."""
        self.ip(host, "link", "set", port, "down")

    def plug(self, host: str, port: str) -> None:
        self.ip(host, "link", "set", port, "up")

    def filter(self, host: str, rule: str, *, hook: str = "input", family: str = "inet") -> None:
        """Load one rule, such as `numgen random mod 100 < 25 drop`, into a chain of its own."""
        table = f"table {family} lab {{ chain lab {{ type filter hook {hook} priority 0; {rule};\n}}\n}}\n"
        run(*self.command(host, "nft", "-f", "-"), stdin=table)

    def unfilter(self, host: str) -> None:
        run(*self.command(host, "nft", "flush", "ruleset"))

    def tell(self, role: str, words: str) -> None:
        """Tell a stand-in, and wait until it has done it."""
        process = self._standins[role]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(words + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ok\n", f"{role} did not do {words!r}"

    def _start(self, role: str) -> None:
        host = "isp" if role == "provider" else role
        script = str(Path(__file__).with_name("standins.py"))
        process = subprocess.Popen(
            self.command(host, sys.executable, script, role, str(self._folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._standins[role] = process
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{role} did not start"

    def close(self) -> None:
        for process in self._standins.values():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(10)
            process.stdout.close()
        for host in self.hosts:
            subprocess.run(["ip", "netns", "delete", self.name(host)], check=False, capture_output=True)
