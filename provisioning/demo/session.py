"""One run of the demo: plan, start in waves, wait until all is truly up, tell, keep alive, end.

Always: nothing is told to be ready that has not been seen to be (`Planned.ready`). A part that cannot have its port
because another program took it in between makes the whole start again with other ports; any other death is restarted
like everywhere.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from bus import config
from bus.errors import UnavailableError
from bus.files import replace_file
from hub.roster import RosterFile, SiteRow
from provisioning.command import WRONG_INPUT
from provisioning.demo.commune_parts import COMMUNE
from provisioning.demo.folder import DemoFolder, Secrets, kept_key
from provisioning.demo.look import LiveLook
from provisioning.demo.machine import Machine
from provisioning.demo.names import PROVINCE as PROVINCE_NAME
from provisioning.demo.names import name_of, site_of
from provisioning.demo.plan import Commune, Planned, Province, merge
from provisioning.demo.ports import Ports, is_free
from provisioning.demo.province_parts import PROVINCE, roster_file, tokens_file, users_file
from provisioning.programs import look_for_program
from provisioning.supervisor import Death, Part, Supervisor
from provisioning.toml import write_config

START_LIMIT_S: Final = 90.0  # for each wave
PORT_TRIES: Final = 4
_LOOK_EVERY_S: Final = 0.2
_LOG_TAIL: Final = 15

Tell = Callable[[dict[str, Any]], None]


class _PortTakenError(Exception):
    """Another program took a port between our look and the part's bind."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All parts of one start, and what the ready line says but for process ids."""

    province: Province
    communes: list[Commune]
    parts: list[Planned]

    def of(self, site: str | None) -> list[Planned]:
        """The parts of a commune, or of the province."""
        return [planned for planned in self.parts if planned.part.site == site]


@dataclass(slots=True)
class Demo:
    """Runs on `folder`, which the caller holds. `progress` is called with (parts up, parts in all, last name)."""

    folder: DemoFolder
    communes: int
    machine: Machine
    tell: Tell
    progress: Callable[[int, int, str], None] = lambda up, total, name: None
    panel: Path | None = None
    ports: Ports = field(default_factory=Ports)
    plan: Plan | None = None
    supervisor: Supervisor | None = None
    _ready: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _deaths: list[Death] = field(default_factory=list)

    @property
    def secrets(self) -> Secrets:
        """Those of the folder."""
        return self.folder.secrets(tokens_file=tokens_file(self.folder), users_file=users_file(self.folder))

    async def start(self) -> dict[str, Any]:
        """Bring everything up; the ready line. `UnavailableError` where it does not come up."""
        for attempt in range(1, PORT_TRIES + 1):
            self.plan = make_plan(self.folder, self.communes, self.machine, self.secrets, self.ports, panel=self.panel)
            self.supervisor = Supervisor(on_restart=self._restarted, on_death=self._died)
            try:
                await self._start_waves(self.plan, self.supervisor)
            except _PortTakenError as error:
                await self.supervisor.stop()
                if attempt == PORT_TRIES:
                    raise UnavailableError(f"{error}; tried {PORT_TRIES} times") from error
            else:
                self._ready = True
                line = self.line()
                self._write_running(line)
                return line
        raise AssertionError("BUG: the loop above returns or raises")

    async def stop(self) -> list[str]:
        """End everything within 4.5 s; the names of parts that had to be killed."""
        self._ready = False
        killed = await self.supervisor.stop() if self.supervisor else []
        self.folder.running.unlink(missing_ok=True)
        return [f"{site or 'province'}/{name}" for site, name in killed]

    def line(self) -> dict[str, Any]:
        """The ready line, with the process ids of now."""
        if self.plan is None or self.supervisor is None:
            raise AssertionError("BUG: nothing has been started")
        plan, supervisor = self.plan, self.supervisor
        above: dict[str, Any] = {"tls": None, "prometheus": None, "alertmanager": None}
        return {
            "event": "ready",
            **above,
            **merge([planned.tells for planned in plan.of(None)]),
            "communes": [
                {
                    "code": commune.site,
                    "name": commune.name,
                    **merge([{"kiosks": [], "speakers": []}, *(part.tells for part in plan.of(commune.site))]),
                    "pids": supervisor.pids(commune.site),
                }
                for commune in plan.communes
            ],
            "pids": supervisor.pids(None),
        }

    async def _start_waves(self, plan: Plan, supervisor: Supervisor) -> None:
        token = plan.province.secrets.tokens["demo"]
        up = 0
        async with LiveLook(plan.province.hub_url, token) as look:
            for wave in sorted({planned.wave for planned in plan.parts}):
                waiting = [planned for planned in plan.parts if planned.wave == wave]
                for planned in waiting:
                    supervisor.start(planned.part)
                deadline = time.monotonic() + START_LIMIT_S + len(waiting)
                while waiting:
                    await look.learn() if up else None
                    for planned in list(waiting):
                        if supervisor.pid(planned.part.site, planned.part.name) and await planned.ready(look):
                            waiting.remove(planned)
                            up += 1
                            self.progress(up, len(plan.parts), _named(planned.part))
                    self._look_at_deaths(plan.parts)
                    if time.monotonic() > deadline:
                        raise UnavailableError(_not_up(waiting))
                    if waiting:
                        await self._pause()

    async def _pause(self) -> None:
        """Until the next look, or at once when a part has died."""
        self._changed.clear()
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._changed.wait()
        except TimeoutError:
            return

    def _look_at_deaths(self, parts: list[Planned]) -> None:
        deaths, self._deaths = self._deaths, []
        for death in deaths:
            planned = next(each for each in parts if each.part.key == death.part.key)
            if planned.port and not is_free(planned.port):
                raise _PortTakenError(f"port {planned.port} of {_named(death.part)} was taken by another program")
            if death.code == WRONG_INPUT:
                raise UnavailableError(
                    f"BUG: {_named(death.part)} refuses the files we wrote.{_end_of(death.part.log)}"
                )

    def _died(self, death: Death) -> None:
        if not self._ready:
            self._deaths.append(death)
            self._changed.set()

    def _restarted(self, part: Part, pid: int) -> None:
        if self._ready:  # before, nobody has been told of the part yet
            self._write_running(self.line())
            self.tell({"event": "restarted", "commune": part.site, "part": part.name, "pid": pid})

    def _write_running(self, line: dict[str, Any]) -> None:
        replace_file(self.folder.running, msgspec.json.encode(line), mode=0o600)


def make_plan(
    folder: DemoFolder, communes: int, machine: Machine, secrets: Secrets, ports: Ports, *, panel: Path | None = None
) -> Plan:
    """Write every part's files, with fresh ports, and say how each is run. `panel` is the first kiosk's."""
    hub_key = kept_key(folder.province("hub") / "hub.pem")
    public = folder.province("hub") / "hub.pub"
    hub_key.save_public(public)
    province = Province(
        folder=folder,
        secrets=secrets,
        machine=machine,
        broker_port=ports.take(),
        hub_port=ports.take(),
        prometheus_port=ports.take(),
        alertmanager_port=ports.take(),
        hub_public_key=public,
        prometheus=look_for_program("prometheus"),
        alertmanager=look_for_program("prometheus-alertmanager", "alertmanager"),
    )
    sites = [
        Commune(
            province,
            number,
            site_of(number),
            name_of(number),
            broker_port=ports.take(),
            agent_port=ports.take(),
            kiosk_port=ports.take(),
            panel=panel if number == 1 else None,
        )
        for number in range(1, communes + 1)
    ]
    parts = [planned for maker in PROVINCE if (planned := maker(province)) is not None]
    parts += [planned for commune in sites for maker in COMMUNE if (planned := maker(commune)) is not None]
    plan = Plan(province, sites, parts)
    _write_roster(plan)
    return plan


def _write_roster(plan: Plan) -> None:
    """Enrol every device. Communes and devices of an earlier, larger start stay known: nothing is forgotten."""
    path = roster_file(plan.province.folder)
    kept = {site.id: site for site in config.load(path, RosterFile).site} if path.exists() else {}
    for commune in plan.communes:
        devices = {device.id: device for device in (kept[commune.site].device if commune.site in kept else ())}
        devices |= {planned.device.id: planned.device for planned in plan.of(commune.site) if planned.device}
        # Nobody gave these communes an official code; the site's id stands in for it.
        kept[commune.site] = SiteRow(
            commune.site, commune.site, commune.name, province=PROVINCE_NAME, device=list(devices.values())
        )
    write_config(path, RosterFile(site=[kept[site] for site in sorted(kept)]))


def _named(part: Part) -> str:
    return f"{part.site or 'province'}/{part.name}"


def _not_up(waiting: Iterable[Planned]) -> str:
    names = ", ".join(_named(planned.part) for planned in waiting)
    return f"not up within the time: {names}.{_end_of(next(iter(waiting)).part.log)}"


def _end_of(log: Path) -> str:
    try:
        tail = log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    except OSError:
        tail = []
    return "\n  ".join([f" The end of {log}:", *tail])
