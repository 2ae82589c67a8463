"""The agent's configuration file, as structs for `bus.config.load`.

It says what stands where in the commune: the box's own port, the switch, the router, each line with whom to call for
it, name servers, the province's hub, hosts on the LAN and the services the counter lives on. Every target is optional
but the router's address is what tells a dead router from a dead line, so it is worth filling in.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from agent.config_rules import no_address, no_host, no_url, used_twice, wrong_addresses
from bus.config import (
    BrokerConfig,
    ClockConfig,
    DeviceConfig,
    JournalConfig,
    Key,
    Port,
    ServerTlsConfig,
    Wrong,
    enforce,
)
from bus.identifiers import DeviceId

Id = Annotated[str, Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$", description="lower-case, digits, hyphens")]
Name = Annotated[str, Meta(min_length=1, max_length=80)]
Address = Annotated[str, Meta(pattern=r"^(?:[0-9.]{7,15}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$", description="an IP address")]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,253}$", description="a host name or an IP address")]
PortName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@:-]{1,15}$", description="a network interface, such as eth0")]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+", max_length=500, description="an http or https address")]
Seconds = Annotated[float, Meta(ge=0.2, le=3600)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Megabits = Annotated[int, Meta(ge=0, le=400_000)]

Network = Literal["internet", "tslcd"]
_RESERVED: Final = frozenset({"port", "lan", "switch", "router", "dns", "hub", "route", "address"})


class AgentConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the agent keeps its state, and how long a step of its samples is."""

    state: Annotated[str, Meta(min_length=1)] = "/var/lib/commune/agent"
    sample_step_s: Annotated[int, Meta(ge=1, le=300)] = 15


class PagesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where `/metrics` is served on the LAN side."""

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9101
    tls: ServerTlsConfig | None = None

    def __post_init__(self) -> None:
        enforce(self, no_host("host", self.host))


class LanConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The box's own port and what is nearest to it. `speed_mbit` is what the port should negotiate; 0: the best seen.

    `router` and `switch` are addresses; leave `switch` out where it has none (then the LAN hosts answer for it), and
    `router` only where it answers no pings: a dead router is then taken for a dead line.
    """

    port: PortName
    router: Address | None = None
    router_name: Name = "router"
    switch: Address | None = None
    speed_mbit: Megabits = 0

    def __post_init__(self) -> None:
        enforce(self, (*no_address("router", self.router), *no_address("switch", self.switch)))


class LineConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A line out of the commune. `hosts` are reached over it alone: the provider's first hop, then anchors beyond.

    Two hosts or more make a cut known a second sooner, and one host's own failure is then not taken for the line's.
    `gateway` names the line's own router where it is not the LAN's; `port` and `source` bind its probes, so that a
    spare is asked while the main line carries the traffic. `web` is an address that must answer over it (captive
    portals are found by it) with exactly `web_status`, as the pages made for this do: a portal answers otherwise.
    """

    id: Id
    name: Name
    network: Network
    hosts: Annotated[list[Address], Meta(min_length=1, max_length=8)]
    provider: str = ""
    hotline: str = ""
    contract: str = ""
    role: Literal["main", "spare"] = "main"
    gateway: Address | None = None
    port: PortName | None = None
    source: Address | None = None
    web: Url | None = None
    web_status: Annotated[int, Meta(ge=100, le=599)] = 204
    loss_pct: Percent = 5.0

    def __post_init__(self) -> None:
        enforce(self, self._wrong())

    def _wrong(self) -> Iterator[Wrong]:
        yield from no_address("gateway", self.gateway)
        yield from no_address("source", self.source)
        yield from wrong_addresses("hosts", self.hosts)
        yield from no_url("web", self.web)


class DnsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Name servers the commune uses, and a name they must know. Reached over `network` (`lan`: one of our own)."""

    servers: Annotated[list[Address], Meta(min_length=1, max_length=8)]
    name: Host
    network: Literal["internet", "tslcd", "lan"] = "internet"

    def __post_init__(self) -> None:
        enforce(self, (*wrong_addresses("servers", self.servers), *no_host("name", self.name)))


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The province's hub as the box reaches it (a TCP port); over `any` line, or one network alone."""

    host: Host
    port: Port
    network: Literal["internet", "tslcd", "any"] = "tslcd"

    def __post_init__(self) -> None:
        enforce(self, no_host("host", self.host))


class HostConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A host on the LAN. `tcp` asks that port, else it is pinged. Off at night: `always_on = false`, no fault then."""

    id: Id
    name: Name
    host: Address
    tcp: Port | None = None
    always_on: bool = True

    def __post_init__(self) -> None:
        enforce(self, no_address("host", self.host))


class ServiceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A service the counter lives on: its web address, or `tcp = "host:port"` where it speaks something else.

    `ca` names a PEM file of the authority that its certificate is checked by, in the place of the system's.
    """

    id: Id
    name: Name
    network: Literal["internet", "tslcd", "any"] = "internet"
    url: Url | None = None
    tcp: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,253}:[0-9]{1,5}$")] | None = None
    ca: str = ""
    contact: str = ""
    interval_s: Seconds = 10.0
    certificate_days: Annotated[int, Meta(ge=0, le=365)] = 14

    def __post_init__(self) -> None:
        enforce(self, self._wrong())

    def _wrong(self) -> Iterator[Wrong]:
        if (self.url is None) == (self.tcp is None):
            yield (), 'give either url = "https://..." or tcp = "host:port"'
        yield from no_url("url", self.url)
        if self.tcp is not None:
            host, _, port = self.tcp.rpartition(":")
            yield from no_host("tcp", host)
            if not 1 <= int(port) <= 65535:
                yield ("tcp",), f"{self.tcp!r}: the port is from 1 to 65535"


class SnmpConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How a device is asked by SNMP: version 2c with its community, or version 3 where a `user` is given."""

    port: Port = 161
    community: Annotated[str, Meta(min_length=1)] = "public"
    user: str = ""
    auth_key: Annotated[str, Meta(pattern=r"^(?:|.{8,})$", description="8 characters or more, or none")] = ""
    priv_key: Annotated[str, Meta(pattern=r"^(?:|.{8,})$", description="8 characters or more, or none")] = ""

    def __post_init__(self) -> None:
        enforce(self, self._wrong())

    def _wrong(self) -> Iterator[Wrong]:
        if (self.auth_key or self.priv_key) and not self.user:
            yield (), "auth_key and priv_key belong to a user: give user too"
        if self.priv_key and not self.auth_key:
            yield ("priv_key",), "privacy needs authentication: give auth_key too"


class OpticalConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver of light: an SFP in a port of the box, or a router, switch or ONT that tells it by SNMP.

    `oid` names the value, `scale` makes it dBm. `line` is the line it belongs to; below `threshold_dbm` it is lost.
    """

    line: Id
    port: PortName | None = None
    host: Address | None = None
    oid: Annotated[str, Meta(pattern=r"^\.?[0-9]+(\.[0-9]+)+$")] | None = None
    scale: float = 0.01
    snmp: SnmpConfig = SnmpConfig()
    threshold_dbm: float = -27.0

    def __post_init__(self) -> None:
        enforce(self, self._wrong())

    def _wrong(self) -> Iterator[Wrong]:
        yield from no_address("host", self.host)
        if (self.port is None) == (self.host is None) or (self.host is None) != (self.oid is None):
            yield (), "give either port (an SFP of the box), or host and oid (by SNMP)"


class SwitchPortConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A port of a switch, by IF-MIB: `if_index` is the number that the switch gives it."""

    id: Id
    host: Address
    if_index: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    snmp: SnmpConfig = SnmpConfig()

    def __post_init__(self) -> None:
        enforce(self, no_address("host", self.host))


class PowerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A UPS known to NUT's upsd. Without this table nothing is said of the mains."""

    ups: Annotated[str, Meta(min_length=1)]
    host: Host = "127.0.0.1"
    port: Port = 3493

    def __post_init__(self) -> None:
        enforce(self, no_host("host", self.host))


class MemberConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A device of the commune that is expected on its broker; `settings` are driven to it as its configuration."""

    id: DeviceId
    part: Literal["kiosk", "speaker", "conductor"]
    settings: dict[str, Any] = {}


class PaceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How often targets are probed and how much evidence a verdict takes. The defaults are those measured."""

    interval_s: Seconds = 1.0
    host_interval_s: Seconds = 1.0
    loss_window_s: Annotated[float, Meta(ge=5, le=600)] = 60.0
    loss_hold_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    flap_window_s: Annotated[float, Meta(ge=5, le=3600)] = 300.0
    flap_count: Annotated[int, Meta(ge=2, le=100)] = 3


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename={"lines": "line", "hosts": "host"}):
    """The whole file. Lists: `[[line]]`, `[[host]]`, `[[service]]`, `[[optical]]`, `[[switch_port]]`, `[[member]]`."""

    device: DeviceConfig
    lan: LanConfig
    agent: AgentConfig = AgentConfig()
    pages: PagesConfig = PagesConfig()
    broker: BrokerConfig = BrokerConfig()
    journal: JournalConfig = JournalConfig()
    clock: ClockConfig = ClockConfig()
    pace: PaceConfig = PaceConfig()
    lines: list[LineConfig] = []
    dns: DnsConfig | None = None
    hub: HubConfig | None = None
    hosts: list[HostConfig] = []
    service: list[ServiceConfig] = []
    optical: list[OpticalConfig] = []
    switch_port: list[SwitchPortConfig] = []
    power: PowerConfig | None = None
    member: list[MemberConfig] = []

    def __post_init__(self) -> None:
        enforce(self, (*self._wrong_ids(), *self._wrong_networks()))

    def _wrong_ids(self) -> Iterator[Wrong]:
        rungs: list[tuple[Key, str]] = [
            *((("line", index, "id"), line.id) for index, line in enumerate(self.lines)),
            *((("host", index, "id"), host.id) for index, host in enumerate(self.hosts)),
            *((("service", index, "id"), service.id) for index, service in enumerate(self.service)),
        ]
        yield from used_twice(rungs)
        taken = _RESERVED | routers_of(self.lan, self.lines).keys() | {web_of(line) for line in self.lines if line.web}
        for key, name in rungs:
            if name in taken:
                yield key, f"{name!r} is the name of a rung of its own; choose another"
        yield from used_twice((("member", index, "id"), member.id) for index, member in enumerate(self.member))
        yield from used_twice((("switch_port", index, "id"), port.id) for index, port in enumerate(self.switch_port))
        yield from used_twice((("optical", index, "line"), light.line) for index, light in enumerate(self.optical))
        known = {line.id for line in self.lines}
        for index, light in enumerate(self.optical):
            if light.line not in known:
                yield ("optical", index, "line"), f"{light.line!r} is not the id of a [[line]]"

    def _wrong_networks(self) -> Iterator[Wrong]:
        wanted: list[tuple[Key, str]] = [
            (("service", index, "network"), service.network) for index, service in enumerate(self.service)
        ]
        wanted += [(("dns", "network"), self.dns.network)] if self.dns else []
        wanted += [(("hub", "network"), self.hub.network)] if self.hub else []
        for key, network in wanted:
            if network in ("internet", "tslcd") and not any(line.network == network for line in self.lines):
                yield key, f'this is reached over {network}, but no [[line]] has network = "{network}"'


def routers_of(lan: LanConfig, lines: Iterable[LineConfig]) -> dict[str, str]:
    """The rung of each router, with its address: that of the LAN, then those that lines have of their own."""
    named = [lan.router, *(line.gateway for line in lines)]
    gateways = dict.fromkeys(gateway for gateway in named if gateway)
    return {
        "router" if gateway == lan.router else f"router-{number}": gateway for number, gateway in enumerate(gateways, 1)
    }


def web_of(line: LineConfig) -> str:
    """The rung of a line's web address."""
    return f"{line.id}-web"
