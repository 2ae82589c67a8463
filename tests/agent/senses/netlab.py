"""Small real networks out of namespaces and veth pairs: cables that can be pulled, packets that can be lost.

The process itself steps into a namespace (setns(2), of the calling thread) for as long as a `with` block lasts.
"""

import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()


def run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Namespace:
    def __init__(self, label: str) -> None:
        self.name = f"ce{os.getpid()}x{next(_NUMBERS)}{label}"
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        # No duplicate address detection: addresses are usable at once.
        self.set("net/ipv6/conf/all/accept_dad", "0")
        self.set("net/ipv6/conf/default/accept_dad", "0")

    def ip(self, *words: str) -> str:
        return run(*self.command("ip", *words))

    def command(self, *words: str) -> list[str]:
        # Not `ip -n` nor `ip netns exec`: both remount /, which cannot be done in a chroot.
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def set(self, setting: str, value: str) -> None:
        """A sysctl of the namespace, such as net/ipv4/ping_group_range."""
        with self.inside():
            Path("/proc/sys", setting).write_text(value)

    def lose(self, percent: int, *, hook: str = "input", match: str = "") -> None:
        """Drop packets at random."""
        self.heal()
        lost = "drop" if percent >= 100 else f"numgen random mod 100 < {percent} drop"
        chain = f"type filter hook {hook} priority 0; {match} {lost};"
        rules = f"table inet loss {{ chain loss {{ {chain} }}\n}}\n"
        run(*self.command("nft", "-f", "-"), stdin=rules)

    def heal(self) -> None:
        subprocess.run(self.command("nft", "flush", "ruleset"), check=True)

    @contextmanager
    def inside(self) -> Iterator[None]:
        with Path("/proc/thread-self/ns/net").open("rb") as home, Path("/run/netns", self.name).open("rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


class Lab:
    """A box and its neighbour on one cable: `box` 10.9.0.1 (port up0), `peer` 10.9.0.2 (port down0)."""

    def __init__(self) -> None:
        self.box = Namespace("box")
        self.peer = Namespace("peer")
        self.cable("up0", "down0", "10.9.0")
        self._await("10.9.0.2")  # a port drops what is sent until the kernel has told of its carrier, up to a second

    def cable(self, box_port: str, peer_port: str, net: str) -> None:
        # Where both ends have the same index the kernel tells of their carrier once a second at most, for all the
        # machine's ports together (linkwatch_urgent_event): other tests' cables would hold up ours.
        ends = ("index", f"{next(_NUMBERS) + 100}", "type", "veth", "peer", "name", peer_port)
        self.box.ip("link", "add", box_port, *ends, "index", f"{next(_NUMBERS) + 100}", "netns", self.peer.name)
        self.box.ip("addr", "add", f"{net}.1/24", "dev", box_port)
        self.peer.ip("addr", "add", f"{net}.2/24", "dev", peer_port)
        self.box.ip("addr", "add", f"fd00:{net.replace('.', ':')}::1/64", "dev", box_port, "nodad")
        self.peer.ip("addr", "add", f"fd00:{net.replace('.', ':')}::2/64", "dev", peer_port, "nodad")
        self.box.ip("link", "set", box_port, "up")
        self.peer.ip("link", "set", peer_port, "up")

    def settle(self) -> None:
        """IPv6 on a new port finds its neighbour only after a second or so: wait for that."""
        self._await("fd00:10:9:0::2")

    def _await(self, address: str) -> None:
        ping = self.box.command("ping", "-c", "1", "-W", "0.2", "-w", "20", "-i", "0.1", address)
        subprocess.run(ping, check=True, capture_output=True)

    def close(self) -> None:
        self.box.remove()
        self.peer.remove()


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
