"""The commune's broker as the agent uses it: its uplink, the presence of other devices, what it desires of them.

Composition of bus parts (link, courier, presence, desired state) with the pure `agent.devices`. What is learnt becomes
records; what the configuration sets for a device (`[[member]] settings`) is driven to it as its `configuration`.
`on_heard` is called when the way to the hub opens, `on_turn` several times a second.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from agent import devices
from agent.config import Config
from agent.recorder import Recorder
from bus import topics
from bus.clock import Stamp
from bus.convergence import DesiredIssuer
from bus.courier import Courier, Doorbell
from bus.entries import DesiredReached
from bus.envelope import SigningKey, load_public_keys
from bus.errors import CommuneError, WrongInputError
from bus.identifiers import check_name
from bus.journal import Journal
from bus.link import Incoming
from bus.logs import fields
from bus.messages import Reached
from bus.mqtt import Link
from bus.presence import Presence, last_will, read_status

_LOG: Final = logging.getLogger(__name__)
_LOOK_S: Final = 0.5
# What Mosquitto says of its bridges, retained: 1 connected, 0 not (mosquitto.conf(5), `notifications`).
_BRIDGES: Final = "$SYS/broker/connection/+/state"
PROPERTIES: Final = ("identify", "restart", "configuration")


class Neighbours:
    """Use from one event loop: `run` until cancelled, then `close`."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        recorder: Recorder,
        *,
        stamp: Callable[[], Stamp],
        bell: Doorbell,
        on_heard: Callable[[], None],
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        device = config.device
        key = SigningKey.load(Path(device.key))
        start = stamp()
        self._config = config
        self._recorder = recorder
        self._on_heard = on_heard
        self._on_turn = on_turn
        self._was_open = False
        self._told: dict[tuple[str, str], Reached] = {}
        self.company = devices.gather((member.id, member.part) for member in config.member)
        self.refused = 0
        will = last_will(device.site, device.id, "agent", version=_version(), boot=start.boot)
        self.link: Final = Link(config.broker, device.id, will=will)
        self.courier: Final = Courier(
            self.link,
            journal,
            site=device.site,
            device=device.id,
            key=key,
            hub_keys=load_public_keys(map(Path, device.hub_keys)),
            bell=bell,
        )
        self._presence = Presence(
            self.link, device.site, device.id, "agent", version=_version(), boot=start.boot, at_ms=start.wall_ms
        )
        self._issuer = DesiredIssuer(
            self.link,
            site=device.site,
            issuer=device.id,
            key=key,
            state_file=Path(config.agent.state) / "desired.json",
            now_ms=lambda: stamp().wall_ms,
            on_reported=self._reported,
        )
        self.link.watch(on_connect=self._connected, on_disconnect=self._disconnected)
        self.link.subscribe(topics.status(device.site, "+"), self._hear)
        self._bridges: dict[str, bool] = {}
        self.link.subscribe(_BRIDGES, self._hear_bridge)

    @property
    def bridged(self) -> bool | None:
        """Whether the broker is connected to the province's, as it says itself; None where it says nothing."""
        return all(self._bridges.values()) if self._bridges else None

    async def run(self) -> None:
        """Stay connected, and tell who comes and goes, until cancelled."""
        self.courier.start()
        self.link.start()
        await self._configure()
        while True:
            self._notice_the_hub()
            self.company, changes = devices.conclude(self.company, time.monotonic_ns())
            for change in changes:
                _LOG.info("presence %s", fields(device=change.device, online=change.online))
                self._recorder.put(change)
            self._on_turn()
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Say goodbye and be gone within 3 s."""
        try:
            async with asyncio.timeout(1.0):
                await self._presence.goodbye()
        except TimeoutError:
            pass  # the last will says it in our place
        await self.courier.close()
        await self.link.close()

    async def desire(self, device: str, name: str, value: Any) -> int:
        """Want something of a device: `identify`, `restart` (a new value each time) or `configuration`; the version."""
        check_name(device, what="device")
        if name not in PROPERTIES:
            raise WrongInputError(f"property {name!r} is not one of {', '.join(PROPERTIES)}")
        return await self._issuer.desire(device, name, value)

    def reached(self, device: str) -> dict[str, Reached]:
        """How far a device is with what is desired of it."""
        return self._issuer.reached(device)

    async def _configure(self) -> None:
        """Desire what the file sets. The same settings again are the same value, which no device acts on twice."""
        for member in self._config.member:
            if member.settings:
                try:
                    await self._issuer.desire(member.id, "configuration", member.settings)
                except CommuneError as error:
                    _LOG.error("settings not desired %s", fields(device=member.id, error=error))

    def _notice_the_hub(self) -> None:
        """The way to the hub is open again: what stands now is said again, and goes before the backlog."""
        was_open, self._was_open = self._was_open, self.courier.open
        if self._was_open and not was_open:
            self._on_heard()

    def _connected(self) -> None:
        self.company = devices.reach(self.company, time.monotonic_ns())

    def _disconnected(self) -> None:
        self.company = devices.lose(self.company)
        self._bridges.clear()

    def _hear_bridge(self, incoming: Incoming) -> None:
        if incoming.body:
            self._bridges[incoming.topic] = incoming.body == b"1"
        else:
            self._bridges.pop(incoming.topic, None)

    def _hear(self, incoming: Incoming) -> None:
        if not incoming.body:
            return  # a retained status was taken away
        try:
            status = read_status(incoming)
        except CommuneError as error:
            self.refused += 1
            _LOG.warning("status not usable %s", fields(topic=incoming.topic, error=error))
            return
        if status.device != self._config.device.id:
            self.company = devices.hear(self.company, status, time.monotonic_ns())

    async def _reported(self, device: str, reached: dict[str, Reached]) -> None:
        """A retained report comes again at each connect: only what is new is recorded."""
        for name, one in reached.items():
            if self._told.get((device, name)) != one:
                self._told[device, name] = one
                issuer = self._config.device.id
                self._recorder.put(DesiredReached(device, issuer, name, one.version, one.result, one.detail))


def _version() -> str:
    try:
        return version("commune-edge")
    except PackageNotFoundError:
        return ""
