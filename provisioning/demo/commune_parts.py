"""The parts of one commune: its broker, bridged to the province's, and its agent."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent import config as agent
from bus.config import BrokerConfig, ClockConfig, DeviceConfig
from bus.files import replace_file
from hub.roster import DeviceRow
from provisioning.demo.folder import kept_key
from provisioning.demo.kiosk_parts import kiosk_part, panel_part
from provisioning.demo.machine import Machine
from provisioning.demo.parts import BROKER_STAGE, BROKER_WAVE, DEVICE_STAGE, DEVICE_WAVE, part_argv
from provisioning.demo.plan import Commune, Look, Planned
from provisioning.demo.ports import LOOPBACK
from provisioning.mosquitto import Bridge, Listener, broker_conf
from provisioning.programs import find_program
from provisioning.supervisor import Part
from provisioning.toml import write_config


def broker(commune: Commune) -> Planned:
    """Mosquitto with a bridge to the province's broker."""
    conf = commune.province.folder.commune(commune.site, "broker") / "mosquitto.conf"
    bridge = Bridge(
        commune.site,
        LOOPBACK,
        commune.province.broker_port,
        site_issuers=(f"{commune.site}-agent", f"{commune.site}-conductor"),
    )
    replace_file(conf, broker_conf(Listener(LOOPBACK, commune.broker_port), bridge=bridge).encode(), mode=0o600)

    async def ready(look: Look) -> bool:
        return await look.listens(commune.broker_port)

    return Planned(
        Part(
            "broker",
            commune.site,
            (find_program("mosquitto"), "-c", str(conf)),
            commune.province.folder.log(commune.site, "broker"),
            stage=BROKER_STAGE,
        ),
        BROKER_WAVE,
        ready,
        port=commune.broker_port,
        tells={"broker": {"host": LOOPBACK, "port": commune.broker_port}},
    )


def agent_part(commune: Commune) -> Planned:
    """The agent. It is up when the hub has stored what it wrote first."""
    folder = commune.province.folder.commune(commune.site, "agent")
    device = f"{commune.site}-agent"
    key = kept_key(folder / "agent.pem")
    write_config(folder / "agent.toml", agent_config(commune, folder, device))

    async def ready(look: Look) -> bool:
        return look.heard(device)

    return Planned(
        Part(
            "agent",
            commune.site,
            part_argv("agent", "--config", str(folder / "agent.toml")),
            commune.province.folder.log(commune.site, "agent"),
            stage=DEVICE_STAGE,
        ),
        DEVICE_WAVE,
        ready,
        port=commune.agent_port,
        tells={"agent": f"http://{LOOPBACK}:{commune.agent_port}"},
        device=DeviceRow(id=device, part="agent", key=key.public_bytes.hex()),
    )


def agent_config(commune: Commune, folder: Path, device: str) -> agent.Config:
    """A ladder of what this machine really has, and of the demo's own brokers and pages."""
    province, machine = commune.province, commune.province.machine
    lines = []
    if machine.anchors:
        lines.append(agent.LineConfig(id="internet", name="Internet", network="internet", hosts=list(machine.anchors)))
    dns = None
    if machine.name_server:
        dns = agent.DnsConfig(
            servers=[machine.name_server], name=machine.known_name, network="internet" if lines else "lan"
        )
    return agent.Config(
        device=DeviceConfig(commune.site, device, str(folder / "agent.pem"), [str(province.hub_public_key)]),
        lan=_lan(machine),
        agent=agent.AgentConfig(state=str(folder / "state")),
        pages=agent.PagesConfig(host=LOOPBACK, port=commune.agent_port),
        broker=BrokerConfig(LOOPBACK, commune.broker_port),
        clock=ClockConfig(simulated=str(province.folder.clock(commune.site))),
        lines=lines,
        dns=dns,
        hub=agent.HubConfig(host=LOOPBACK, port=province.broker_port, network="any"),
        hosts=[agent.HostConfig(id="broker", name="Máy chủ MQTT của xã", host=LOOPBACK, tcp=commune.broker_port)],
        service=[
            agent.ServiceConfig(
                id="province-pages", name="Trang của tỉnh", network="any", url=f"{province.hub_url}/healthz"
            )
        ],
        member=[agent.MemberConfig(id=f"{commune.site}-kiosk-1", part="kiosk")],
    )


def _lan(machine: Machine) -> agent.LanConfig:
    """The router is left out where it answers no ping: it would read as dead."""
    if machine.route is None:
        return agent.LanConfig(port=machine.port)
    return agent.LanConfig(port=machine.route.port, router=machine.route.gateway if machine.gateway_answers else None)


COMMUNE: Final[tuple[Callable[[Commune], Planned | None], ...]] = (broker, agent_part, panel_part, kiosk_part)
