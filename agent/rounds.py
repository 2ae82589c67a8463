"""The slow senses: health, UPS, light and the switch's ports, each asked in its own round.

A sense that fails is logged once, counted, and asked again. What it said last holds for `HOLD_ROUNDS` more: a lost
packet or a daemon that starts anew is no end of a fault. After that it is not known. `Metrics` shows what was read.

What they say goes to `Metrics` and, where it bears on the diagnosis, to the callbacks. They decide nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.config import Config, OpticalConfig, PowerConfig, SnmpConfig, SwitchPortConfig
from agent.diagnosis import LIGHT_DAYS, PowerView
from agent.metrics import Metrics
from agent.observations import OpticalPower
from agent.senses.health import HealthWatch
from agent.senses.optical_history import OpticalHistory
from agent.senses.optical_trend import trend
from bus.clock import Stamp
from bus.errors import CommuneError, UnavailableError
from bus.logs import fields

if TYPE_CHECKING:
    from agent.senses.snmp_query import Request

_LOG: Final = logging.getLogger(__name__)
HEALTH_S: Final = 15.0
POWER_S: Final = 5.0
OPTICAL_S: Final = 60.0
SWITCH_S: Final = 60.0
HOLD_ROUNDS: Final = 3
MARGIN_DB: Final = 0.3  # above the threshold by so much, light that was too weak is not any more: receivers sway


class Rounds:
    """Runs while `run` does."""

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        *,
        stamp: Callable[[], Stamp],
        on_power: Callable[[PowerView | None], None],
        on_light: Callable[[dict[str, float]], None],
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._stamp = stamp
        self._on_power = on_power
        self._on_light = on_light
        self._misses: dict[str, int] = {}  # rounds in a row without an answer, by sense
        self._low: dict[str, float] = {}
        self.failures = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_health(), name="health")
            if self._config.power is not None:
                group.create_task(self._watch_power(self._config.power), name="power")
            if self._config.optical:
                group.create_task(self._watch_light(), name="light")
            if self._config.switch_port:
                group.create_task(self._watch_switch(), name="switch ports")

    async def _watch_health(self) -> None:
        watch = HealthWatch(mounts=("/", self._config.agent.state))
        while True:
            try:
                self._metrics.take_health(watch.read())
                self._heal("health")
            except Exception as error:  # noqa: BLE001 - the edge of a task: a strange /sys must not stop the watching
                self._fail("health", error)
            await asyncio.sleep(HEALTH_S)

    async def _watch_power(self, power: PowerConfig) -> None:
        from agent.senses.ups import read_ups

        while True:
            try:
                ups = await read_ups(power.ups, host=power.host, port=power.port)
                minutes_left = None if ups.runtime_s is None else ups.runtime_s / 60
                self._metrics.take_ups(ups)
                self._on_power(PowerView(not ups.on_mains, minutes_left))
                self._heal("ups")
            except CommuneError as error:
                self._metrics.take_ups(None)
                if self._fail("ups", error) > HOLD_ROUNDS:
                    self._on_power(None)
            await asyncio.sleep(POWER_S)

    async def _watch_light(self) -> None:
        history = OpticalHistory(Path(self._config.agent.state) / "optical.json")
        try:
            while True:
                for optical in self._config.optical:
                    await self._look_at_light(optical, history)
                self._on_light(dict(self._low))
                await asyncio.sleep(OPTICAL_S)
        finally:
            history.close()

    async def _look_at_light(self, optical: OpticalConfig, history: OpticalHistory) -> None:
        sense = f"light {optical.line}"
        try:
            light = await _read_light(optical)
            if light is None:
                raise UnavailableError("the receiver measures nothing")
        except (CommuneError, OSError) as error:
            self._metrics.take_optical(optical.line, None)
            if self._fail(sense, error) > HOLD_ROUNDS:
                self._low.pop(optical.line, None)
            return
        self._heal(sense)
        history.add(optical.line, light.received_dbm, self._stamp())
        falling = trend(history.daily_dbm(optical.line), optical.threshold_dbm)
        days_left = None if falling is None else falling.days_left
        self._metrics.take_optical(optical.line, light, threshold_dbm=optical.threshold_dbm, days_left=days_left)
        was_low = self._low.pop(optical.line, None) == 0.0
        if light.received_dbm <= optical.threshold_dbm + (MARGIN_DB if was_low else 0.0):
            self._low[optical.line] = 0.0
        elif days_left is not None and days_left <= LIGHT_DAYS:
            self._low[optical.line] = days_left

    async def _watch_switch(self) -> None:
        while True:
            for port in self._config.switch_port:
                await self._look_at_port(port)
            await asyncio.sleep(SWITCH_S)

    async def _look_at_port(self, port: SwitchPortConfig) -> None:
        from agent.senses.snmp import read_switch_port  # late: only who has such a switch pays for it

        try:
            found = await read_switch_port(_request(port.host, port.snmp), port.if_index)
            self._heal(f"switch port {port.id}")
        except (CommuneError, OSError) as error:
            found = None
            self._fail(f"switch port {port.id}", error)
        self._metrics.take_switch_port(port.id, found)

    def _fail(self, sense: str, error: Exception) -> int:
        """Count it; returns for how many rounds in a row it has failed."""
        self.failures += 1
        self._misses[sense] = misses = self._misses.get(sense, 0) + 1
        if misses == 1:
            _LOG.warning("sense fails %s", fields(sense=sense, error=error))
        return misses

    def _heal(self, sense: str) -> None:
        if self._misses.pop(sense, 0):
            _LOG.info("sense works again %s", fields(sense=sense))


async def _read_light(optical: OpticalConfig) -> OpticalPower | None:
    from agent.senses.optical import read_sfp, read_snmp  # late: only who has such a device pays for it

    if optical.port is not None:
        return await asyncio.to_thread(read_sfp, optical.port)
    request = _request(optical.host or "", optical.snmp, (optical.oid or "").lstrip("."))
    return await read_snmp(request, scale=optical.scale)


def _request(host: str, snmp: SnmpConfig, *oids: str) -> "Request":
    from agent.senses.snmp_query import Request, User

    user = User(snmp.user, snmp.auth_key, snmp.priv_key) if snmp.user else None
    return Request(host, list(oids), port=snmp.port, community=snmp.community, user=user)
