"""Watches the box's own ports and routes: rung by the kernel, and looking by itself every 30 s whatever it hears.

`on_change` gets the first state at once and then each one that differs in more than its counters; it is called on the
event loop. A storm of changes is read at most every 20 ms, its end always. Of a
port whose carrier comes and goes the kernel itself tells no more than once a second (net/core/link_watch.c).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from agent.observations import NetworkState, PortState
from agent.senses.interfaces import read_network
from agent.senses.netlink import Doorbell
from bus.logs import fields

_LOG: Final = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 30.0
STORM_GAP_S: Final = 0.02


class LinkWatch:
    """Runs while `run` does. `state` is the newest reading, counters included."""

    def __init__(
        self,
        on_change: Callable[[NetworkState], None],
        *,
        read: Callable[[], NetworkState] = read_network,
        look_every_s: float = LOOK_EVERY_S,
        doorbell: Doorbell | None = None,
    ) -> None:
        self._on_change = on_change
        self._read = read
        self._look_every_s = look_every_s
        self._doorbell = doorbell or Doorbell()
        self._rung = asyncio.Event()
        self.state: NetworkState | None = None
        self.readings = 0
        self.failures = 0

    @property
    def overflows(self) -> int:
        """How often the kernel dropped messages (ENOBUFS)."""
        return self._doorbell.overflows

    def look(self) -> NetworkState | None:
        """Read the state now, tell of a change, and return it (the counters are as fresh as the call)."""
        try:
            state = self._read()
        except (OSError, ValueError) as error:  # a port vanished between two calls: the kernel rings again
            self.failures += 1
            _LOG.warning("network state not read %s", fields(error=error))
            return self.state
        self.readings += 1
        before, self.state = self.state, state
        if before is None or _shape(before) != _shape(state):
            self._on_change(state)
        return state

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._doorbell, self._ring)
        try:
            while True:
                self._rung.clear()
                self.look()
                await asyncio.sleep(STORM_GAP_S)
                try:
                    async with asyncio.timeout(self._look_every_s):
                        await self._rung.wait()
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(self._doorbell)
            self._doorbell.close()

    def _ring(self) -> None:
        if self._doorbell.drain():
            self._rung.set()


def _shape(state: NetworkState) -> tuple[dict[str, PortState], tuple[object, ...]]:
    """The state without what always moves."""
    still = {
        name: replace(port, rx_errors=0, tx_errors=0, rx_bytes=0, tx_bytes=0) for name, port in state.ports.items()
    }
    return still, state.routes
