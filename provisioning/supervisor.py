"""Runs parts as systemd would: real child processes, restarted with backoff, ended within a time limit.

Always: a child is the program itself (no shell between), leads its own process group, so that a Ctrl-C in the terminal
reaches only us, and dies with us even when we are killed (prctl(2), PR_SET_PDEATHSIG). Its output goes to a file.

The restart rule is a pure function; everything else here is the shell around `fork`, `pidfd_open(2)` and `kill`.
Children are started from the thread of the event loop, which must be the main thread: the death signal is that of the
*thread* that forked.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bus.errors import UnavailableError

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: the child must not import

FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 10.0
# A part that stayed up this long has recovered: its next death is a first one again.
SETTLED_S: Final = 30.0

# What a stage of the end has at the very least.
LATER_STAGE_S: Final = 0.3

LOG_LIMIT_BYTES: Final = 20 * 1024 * 1024


def restart_delay_s(previous_s: float, ran_s: float) -> float:
    """Delay before the next start, from the delay before the last one and how long the part ran after it."""
    if previous_s == 0 or ran_s >= SETTLED_S:
        return FIRST_DELAY_S
    return min(previous_s * 2, LAST_DELAY_S)


@dataclass(frozen=True, slots=True)
class Part:
    """One process of one site. `site` is None at the province. `stage` orders the end: lower stages are ended first."""

    name: str
    site: str | None
    argv: tuple[str, ...]
    log: Path
    stage: int = 0
    env: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> "PartKey":
        """Its name in the whole province."""
        return (self.site, self.name)


PartKey = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Death:
    """A part ended without being asked to. `code` is negative for a signal, as in `subprocess`."""

    part: Part
    pid: int
    code: int
    ran_s: float


@dataclass(slots=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes]
    pidfd: int
    started: float
    delay_s: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Children of this process. Use from one event loop in the main thread."""

    def __init__(
        self,
        *,
        on_restart: Callable[[Part, int], None] = lambda part, pid: None,
        on_death: Callable[[Death], None] = lambda death: None,
    ) -> None:
        self._on_restart = on_restart
        self._on_death = on_death
        self._running: dict[PartKey, _Running] = {}
        self._waiting: dict[PartKey, asyncio.TimerHandle] = {}
        self._stopping = False
        self.restarts = 0

    def start(self, part: Part) -> int:
        """Start a part and keep it alive from here on; its process id. `UnavailableError` when it cannot be run."""
        return self._spawn(part, delay_s=0.0)

    def pid(self, site: str | None, name: str) -> int | None:
        """The process id of a part; None while it is down."""
        running = self._running.get((site, name))
        return None if running is None else running.process.pid

    def pids(self, site: str | None) -> dict[str, int]:
        """Process ids of the parts of a site (of the province for None) that are up."""
        return {name: running.process.pid for (where, name), running in self._running.items() if where == site}

    async def stop(self, *, limit_s: float = 4.5) -> list[PartKey]:
        """End everything, stage by stage, with SIGTERM; kill what is left at the limit, and return what was killed."""
        self._stopping = True
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        deadline = time.monotonic() + limit_s
        stages = sorted({running.part.stage for running in self._running.values()})
        killed: list[PartKey] = []
        for index, stage in enumerate(stages):
            # A slow stage may use all of the time but what the later ones (brokers, which end at once) need at least.
            later_s = LATER_STAGE_S * (len(stages) - index - 1)
            killed += await self._stop_stage(stage, max(deadline - time.monotonic() - later_s, LATER_STAGE_S))
        return killed

    async def _stop_stage(self, stage: int, limit_s: float) -> list[PartKey]:
        mine = [running for running in self._running.values() if running.part.stage == stage]
        for running in mine:
            _send(running.pidfd, signal.SIGTERM)
        try:
            async with asyncio.timeout(limit_s):
                for running in mine:
                    await running.ended.wait()
        except TimeoutError:
            left = [running for running in mine if not running.ended.is_set()]
            for running in left:
                _send(running.pidfd, signal.SIGKILL)
            for running in left:
                await running.ended.wait()
            return [running.part.key for running in left]
        return []

    def _spawn(self, part: Part, *, delay_s: float) -> int:
        parent = os.getpid()

        def die_with_parent() -> None:
            # Between fork and exec: nothing here may take a lock or import.
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the parent died before the line above
                os._exit(1)

        try:
            with _open_log(part.log) as log:
                process = subprocess.Popen(
                    part.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **part.env},
                    process_group=0,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - it takes no lock
                )
        except OSError as error:
            raise UnavailableError(f"cannot run {part.name} ({part.argv[0]}): {error}") from error
        running = _Running(part, process, os.pidfd_open(process.pid), time.monotonic(), delay_s)
        self._running[part.key] = running
        asyncio.get_running_loop().add_reader(running.pidfd, self._ended, running)
        return process.pid

    def _ended(self, running: _Running) -> None:
        asyncio.get_running_loop().remove_reader(running.pidfd)
        os.close(running.pidfd)
        code = running.process.wait()
        part = running.part
        del self._running[part.key]
        running.ended.set()
        if self._stopping:
            return
        ran_s = time.monotonic() - running.started
        self._on_death(Death(part, running.process.pid, code, ran_s))
        self._restart_later(part, restart_delay_s(running.delay_s, ran_s))

    def _restart_later(self, part: Part, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[part.key] = loop.call_later(delay_s, self._restart, part, delay_s)

    def _restart(self, part: Part, delay_s: float) -> None:
        self._waiting.pop(part.key, None)
        try:
            pid = self._spawn(part, delay_s=delay_s)
        except UnavailableError:
            # No memory or no processes left just now: the next try may find some.
            self._restart_later(part, restart_delay_s(delay_s, 0.0))
            return
        self.restarts += 1
        self._on_restart(part, pid)


def _open_log(path: Path) -> BinaryIO:
    """Append to the log; one that has grown too long is set aside first, over the one set aside before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
    except FileNotFoundError:
        pass
    return path.open("ab")


def _send(pidfd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
