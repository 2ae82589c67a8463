"""Addresses of the targets' names, by our own queries, kept for as long as they are good.

A dead name server must show at the DNS rung alone: the last known addresses of a name are used on, for ever, when no
server answers, and only a server that says that the name does not exist takes them away. Servers come from
/etc/resolv.conf unless given; /etc/hosts is believed first.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.observations import UNASKED
from agent.senses.binding import ANY, Via
from agent.senses.dns import PORT, ask
from agent.senses.dns_codec import NAME_ERROR, NO_ERROR, QueryType
from agent.senses.faults import name_fault
from bus.errors import CorruptError, UnavailableError

_KEEP_AT_LEAST_S: Final = 30.0
_KEEP_AT_MOST_S: Final = 3_600.0
_ASK_AGAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Known:
    """Addresses of a name. `stale` when they outlived their time because no server answers."""

    addresses: tuple[str, ...]
    stale: bool = False


@dataclass(slots=True)
class _Kept:
    addresses: tuple[str, ...]
    until_s: float
    missing: str = ""


class Resolver:
    """One cache for all probes of a process. Each name is asked for once at a time, whoever waits for it."""

    def __init__(
        self,
        servers: Sequence[str] | None = None,
        *,
        port: int = PORT,
        timeout_s: float = 2.0,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        hosts: Path = Path("/etc/hosts"),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = servers
        self._port = port
        self._timeout_s = timeout_s
        self._resolv_conf = resolv_conf
        self._hosts = hosts
        self._now_s = now_s
        self._kept: dict[tuple[str, Via], _Kept] = {}
        self._asking: dict[tuple[str, Via], asyncio.Task[Known]] = {}

    async def resolve(self, name: str, *, via: Via = ANY) -> Known:
        """Addresses of `name` (an IP address is its own). `UnavailableError` when none was ever known.

        `OSError` where the box itself could not ask; `WrongInputError` for what is no host name.
        """
        if _is_address(name):
            return Known((name,))
        fixed = _from_hosts(self._hosts, name)
        if fixed:
            return Known(fixed)
        key = (name.lower().rstrip("."), via)
        kept = self._kept.get(key)
        if kept is not None and self._now_s() < kept.until_s:
            if kept.missing:
                raise UnavailableError(kept.missing)
            return Known(kept.addresses)
        task = self._asking.get(key) or self._start(key)
        if kept is not None and kept.addresses:
            return Known(kept.addresses, stale=True)  # asked again behind its back: no probe waits for a dead server
        # One who stops waiting must not take the answer from the others.
        return await asyncio.shield(task)

    async def settle(self) -> None:
        """Wait for the queries under way."""
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up the queries under way."""
        for task in self._asking.values():
            task.cancel()
        await self.settle()

    def servers(self) -> list[str]:
        """The IP addresses of the name servers in use."""
        if self._servers is not None:
            return list(self._servers)
        fields = [line.split() for line in _lines(self._resolv_conf)]
        return [words[1] for words in fields if len(words) >= 2 and words[0] == "nameserver" and _is_address(words[1])]

    def _start(self, key: tuple[str, Via]) -> asyncio.Task[Known]:
        def done(task: asyncio.Task[Known]) -> None:
            self._asking.pop(key, None)
            if not task.cancelled():
                task.exception()  # seen, whether or not anybody waits

        task = self._asking[key] = asyncio.create_task(self._ask_servers(key))
        task.add_done_callback(done)
        return task

    async def _ask_servers(self, key: tuple[str, Via]) -> Known:
        name, _ = key
        servers = self.servers()
        last: Exception = UnavailableError("no name server is configured")
        for server in servers:
            try:
                return await self._ask_one(server, key)
            except (OSError, CorruptError) as error:
                last = error
        old = self._kept.get(key)
        if old is not None and old.addresses:
            self._kept[key] = _Kept(old.addresses, self._now_s() + _ASK_AGAIN_S)
            return Known(old.addresses, stale=True)
        if isinstance(last, OSError) and name_fault(last)[0] == UNASKED:
            raise last  # nobody was asked: that is no news of the name
        missing = f"no address of {name} is known: {last} (asked {', '.join(servers) or 'nobody'})"
        self._kept[key] = _Kept((), self._now_s() + _ASK_AGAIN_S, missing)
        raise UnavailableError(missing)

    async def _ask_one(self, server: str, key: tuple[str, Via]) -> Known:
        name, via = key
        kinds: tuple[QueryType, ...] = ("A", "AAAA")
        for kind in kinds:
            replied = await ask(server, name, kind=kind, port=self._port, timeout_s=self._timeout_s, via=via)
            answer = replied.answer
            if answer.rcode not in {NO_ERROR, NAME_ERROR}:
                raise CorruptError(f"{server} answered with code {answer.rcode}")
            if answer.addresses:
                keep_s = min(max(float(answer.ttl_s), _KEEP_AT_LEAST_S), _KEEP_AT_MOST_S)
                self._kept[key] = _Kept(answer.addresses, self._now_s() + keep_s)
                return Known(answer.addresses)
        missing = f"{server} says that {name} does not exist or has no address"
        self._kept[key] = _Kept((), self._now_s() + _KEEP_AT_LEAST_S, missing)
        raise UnavailableError(missing)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _from_hosts(path: Path, name: str) -> tuple[str, ...]:
    wanted = name.lower().rstrip(".")
    found = []
    for line in _lines(path):
        address, *names = line.partition("#")[0].split() or [""]
        if wanted in (known.lower() for known in names) and _is_address(address):
            found.append(address)
    return tuple(sorted(found, key=lambda address: ":" in address))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
