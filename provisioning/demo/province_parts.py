"""The parts of the province: its broker, the hub, and Prometheus with Alertmanager where they are installed."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bus.config import BrokerConfig
from bus.files import replace_file
from hub.config import HttpConfig, HubConfig, RemoteWriteConfig
from provisioning import prometheus as files
from provisioning.demo.folder import DemoFolder
from provisioning.demo.parts import BROKER_STAGE, DEVICE_STAGE, part_argv
from provisioning.demo.plan import Look, Planned, Province
from provisioning.demo.ports import LOOPBACK
from provisioning.mosquitto import Listener, broker_conf
from provisioning.programs import find_program
from provisioning.supervisor import Part
from provisioning.toml import write_config

BROKER_WAVE: Final = 0
HUB_WAVE: Final = 1


def broker(province: Province) -> Planned:
    """Mosquitto, to which the communes' bridges and the hub connect."""
    conf = province.folder.province("broker") / "mosquitto.conf"
    replace_file(conf, broker_conf(Listener(LOOPBACK, province.broker_port)).encode(), mode=0o600)

    async def ready(look: Look) -> bool:
        return await look.listens(province.broker_port)

    return Planned(
        Part(
            "broker",
            None,
            (find_program("mosquitto"), "-c", str(conf)),
            province.folder.log(None, "broker"),
            stage=BROKER_STAGE,
        ),
        BROKER_WAVE,
        ready,
        port=province.broker_port,
        tells={"broker": {"host": LOOPBACK, "port": province.broker_port}},
    )


def hub(province: Province) -> Planned:
    """The hub, on SQLite; with Prometheus there it writes history to it."""
    folder = province.folder.province("hub")
    write = province.prometheus_url
    config = HubConfig(
        roster=str(roster_file(province.folder)),
        key=str(folder / "hub.pem"),
        store=f"sqlite:///{folder / 'hub.db'}",
        beacon_s=2,  # loopback costs nothing, and a newcomer waits
        broker=BrokerConfig(LOOPBACK, province.broker_port),
        http=HttpConfig(
            host=LOOPBACK,
            port=province.hub_port,
            token=str(tokens_file(province.folder)),
            users=str(users_file(province.folder)),
        ),
        remote_write=RemoteWriteConfig(url=f"{write}/api/v1/write") if write else None,
    )
    write_config(folder / "hub.toml", config)

    async def ready(look: Look) -> bool:
        return await look.answers(f"{province.hub_url}/healthz")

    return Planned(
        Part(
            "hub",
            None,
            part_argv("hub", "--config", str(folder / "hub.toml")),
            province.folder.log(None, "hub"),
            stage=DEVICE_STAGE,
        ),
        HUB_WAVE,
        ready,
        port=province.hub_port,
        tells={"hub": {"url": province.hub_url, "token": province.secrets.tokens["demo"]}},
    )


def prometheus(province: Province) -> Planned | None:
    """Prometheus with our rules. It scrapes the hub with a token of its own."""
    if province.prometheus is None:
        return None
    folder = province.folder.province("prometheus")
    token = folder / "hub.token"
    replace_file(token, province.secrets.tokens["prometheus"].encode(), mode=0o600)
    manager = f"{LOOPBACK}:{province.alertmanager_port}" if province.alertmanager else None
    scrape = files.Scrape(LOOPBACK, province.hub_port, token)
    config = folder / "prometheus.yml"
    replace_file(config, files.prometheus_yml(scrape, rules=files.RULES, alertmanager=manager).encode(), mode=0o600)
    url = f"http://{LOOPBACK}:{province.prometheus_port}"

    async def ready(look: Look) -> bool:
        return await look.answers(f"{url}/-/ready")

    argv = (
        province.prometheus,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=40d",
        f"--web.listen-address={LOOPBACK}:{province.prometheus_port}",
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
    )
    part = Part("prometheus", None, argv, province.folder.log(None, "prometheus"), stage=BROKER_STAGE)
    return Planned(part, HUB_WAVE, ready, port=province.prometheus_port, tells={"prometheus": url})


def alertmanager(province: Province) -> Planned | None:
    """Alertmanager, which here sends nothing anywhere: alerts stand on its page."""
    if province.alertmanager is None:
        return None
    folder = province.folder.province("alertmanager")
    config = folder / "alertmanager.yml"
    replace_file(config, files.alertmanager_yml().encode(), mode=0o600)
    url = f"http://{LOOPBACK}:{province.alertmanager_port}"

    async def ready(look: Look) -> bool:
        return await look.answers(f"{url}/-/ready")

    argv = (
        province.alertmanager,
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{province.alertmanager_port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    )
    part = Part("alertmanager", None, argv, province.folder.log(None, "alertmanager"), stage=BROKER_STAGE)
    return Planned(part, HUB_WAVE, ready, port=province.alertmanager_port, tells={"alertmanager": url})


def roster_file(folder: DemoFolder) -> Path:
    """The known list of communes."""
    return folder.province("hub") / "roster.toml"


def tokens_file(folder: DemoFolder) -> Path:
    """Who may ask the hub's API."""
    return folder.province("hub") / "tokens.toml"


def users_file(folder: DemoFolder) -> Path:
    """Who may sign in at the hub's pages."""
    return folder.province("hub") / "users.toml"


PROVINCE: Final[tuple[Callable[[Province], Planned | None], ...]] = (broker, hub, prometheus, alertmanager)
