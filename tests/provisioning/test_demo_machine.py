"""What the demo's agents watch: what this machine has, and nothing it has not."""

from pathlib import Path

import pytest

from agent import config as agent
from agent.layout import lay_out
from agent.observations import NetworkState, PortState, Route
from bus import config
from provisioning.demo.commune_parts import agent_config
from provisioning.demo.folder import DemoFolder, Secrets
from provisioning.demo.machine import Machine, survey
from provisioning.demo.plan import Commune, Province
from provisioning.toml import write_config

ROUTE = Route("192.0.2.1", "eth0")


def commune(root: Path, machine: Machine) -> Commune:
    folder = DemoFolder(root)
    province = Province(
        folder=folder,
        secrets=Secrets("", {}),
        machine=machine,
        broker_port=20001,
        hub_port=20002,
        prometheus_port=20003,
        alertmanager_port=20004,
        hub_public_key=root / "hub.pub",
        prometheus=None,
        alertmanager=None,
    )
    return Commune(province, 1, "s0001", "Mường Lát", 20005, 20006, 20007)


@pytest.mark.parametrize(
    ("machine", "watched"),
    [
        (Machine(), {"hub", "broker", "province-pages"}),
        (Machine(port="eth0", route=ROUTE), {"hub", "broker", "province-pages"}),
        (Machine(port="eth0", route=ROUTE, gateway_answers=True), {"router", "hub", "broker", "province-pages"}),
        (
            Machine("eth0", ROUTE, True, "192.0.2.53", "vnnic.vn", ("1.1.1.1", "8.8.8.8")),
            {"router", "internet", "dns", "hub", "broker", "province-pages"},
        ),
        (
            Machine("eth0", ROUTE, False, "192.0.2.53", "vnnic.vn", ("1.1.1.1",)),
            {"internet", "dns", "hub", "broker", "province-pages"},
        ),
    ],
)
def test_only_what_is_here_stands_on_the_ladder(tmp_path: Path, machine: Machine, watched: set[str]) -> None:
    one = commune(tmp_path, machine)
    write_config(tmp_path / "agent.toml", agent_config(one, tmp_path, "s0001-agent"))
    read = config.load(tmp_path / "agent.toml", agent.Config)
    assert {rung.id for rung in lay_out(read).rungs} == watched


def test_what_is_left_out_is_said() -> None:
    def said(machine: Machine) -> str:
        return " ".join(sentence.en for sentence in machine.left_out())

    assert "no default route" in said(Machine())
    assert "192.0.2.1" in said(Machine("eth0", ROUTE))
    assert said(Machine("eth0", ROUTE, True, "192.0.2.53", "vnnic.vn", ("1.1.1.1",))) == ""


async def test_a_machine_without_a_route_asks_nobody() -> None:
    bare = await survey(NetworkState(mono_ns=0, ports={}))
    assert (bare.route, bare.anchors, bare.port) == (None, (), "lo")
    cable = PortState("eth1", present=True, carrier=True)
    assert (await survey(NetworkState(0, {"eth0": PortState("eth0", True, False), "eth1": cable}))).port == "eth1"
