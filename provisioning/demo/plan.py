"""What a demo consists of: a list of parts for the province and one for each commune.

A maker writes one part's files and says how it is run, when it is up, and what it adds to the ready line. A part joins
the demo by its maker's standing in `PROVINCE` or `COMMUNE`; nothing else changes.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bus.identifiers import DeviceId, SiteId
from hub.roster import DeviceRow
from provisioning.demo.folder import DemoFolder, Secrets
from provisioning.demo.machine import Machine
from provisioning.supervisor import Part


class Look(Protocol):
    """How to see whether something is up."""

    async def answers(self, url: str) -> bool:
        """Whether GET of `url` is answered with a status below 400."""

    async def listens(self, port: int) -> bool:
        """Whether the loopback port takes connections."""

    def heard(self, device: DeviceId) -> bool:
        """Whether the hub has stored entries of a device that it had not when this start began."""


@dataclass(frozen=True, slots=True)
class Province:
    """What every maker may know of the province."""

    folder: DemoFolder
    secrets: Secrets
    machine: Machine
    broker_port: int
    hub_port: int
    prometheus_port: int
    alertmanager_port: int
    hub_public_key: Path
    prometheus: str | None  # the program, where it is installed
    alertmanager: str | None

    @property
    def hub_url(self) -> str:
        """The hub's pages and API."""
        return f"http://127.0.0.1:{self.hub_port}"

    @property
    def prometheus_url(self) -> str | None:
        """None where Prometheus is not installed."""
        return f"http://127.0.0.1:{self.prometheus_port}" if self.prometheus else None


@dataclass(frozen=True, slots=True)
class Commune:
    """What every maker may know of one commune."""

    province: Province
    number: int
    site: SiteId
    name: str
    broker_port: int
    agent_port: int
    kiosk_port: int
    panel: Path | None = None  # a real panel's serial device; None: a simulated one


@dataclass(frozen=True, slots=True)
class Planned:
    """One part, ready to be started. `wave`: started after all of lower waves are up. `port`: the one it binds, or 0.

    `tells` goes into the ready line of its commune (or of the province); lists are joined. `device` is for the roster.
    """

    part: Part
    wave: int
    ready: Callable[[Look], Awaitable[bool]]
    port: int = 0
    tells: Mapping[str, Any] = field(default_factory=dict)
    device: DeviceRow | None = None


def merge(lines: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Join what parts tell: lists one after the other, anything else once."""
    merged: dict[str, Any] = {}
    for line in lines:
        for key, value in line.items():
            merged[key] = [*merged[key], *value] if isinstance(value, list) and key in merged else value
    return merged
