"""A commune's kiosk: a simulated panel on a pty (or a real one), and the kiosk with its touch page."""

from pathlib import Path
from typing import Final

from bus.config import BrokerConfig, ClockConfig, DeviceConfig
from hub.roster import DeviceRow
from kiosk.config import KioskConfig, KioskFile, PageConfig, PanelConfig, SoundConfig
from kiosk.settings import KioskSettings
from provisioning.demo.folder import kept_key, kept_secret
from provisioning.demo.parts import DEVICE_STAGE, DEVICE_WAVE, part_argv
from provisioning.demo.plan import Commune, Look, Planned
from provisioning.demo.ports import LOOPBACK
from provisioning.supervisor import Part
from provisioning.toml import write_config

_PANEL_WAVE: Final = 2


def _folder(commune: Commune) -> Path:
    return commune.province.folder.commune(commune.site, "kiosk")


def _panel_line(commune: Commune) -> Path:
    """The serial device the kiosk opens: a stable link, as below /dev/serial/by-id."""
    return commune.panel or _folder(commune) / "panel"


def panel_part(commune: Commune) -> Planned | None:
    """`commune panel`, driven by hand with `commune panel --attach` on its socket; none where a real one is given."""
    if commune.panel is not None:
        return None
    line, control = _panel_line(commune), _folder(commune) / "panel.sock"

    async def ready(look: Look) -> bool:
        return line.exists()

    argv = part_argv(
        *("panel", "--headless", "--link", str(line), "--control", str(control)),
        *("--id", f"P-{commune.site.upper()}"),
    )
    return Planned(
        Part("panel", commune.site, argv, commune.province.folder.log(commune.site, "panel"), stage=DEVICE_STAGE),
        _PANEL_WAVE,
        ready,
    )


def kiosk_part(commune: Commune) -> Planned:
    """The kiosk. It is up when the hub has stored what it wrote first."""
    folder = _folder(commune)
    device = f"{commune.site}-kiosk-1"
    key = kept_key(folder / "kiosk.pem")
    agent_folder = commune.province.folder.commune(commune.site, "agent")
    agent_public = agent_folder / "agent.pub"
    kept_key(agent_folder / "agent.pem").save_public(agent_public)
    page_key = kept_secret(folder / "state" / "page.key")
    config = KioskFile(
        device=DeviceConfig(commune.site, device, str(folder / "kiosk.pem"), [str(commune.province.hub_public_key)]),
        broker=BrokerConfig(LOOPBACK, commune.broker_port),
        clock=ClockConfig(simulated=str(commune.province.folder.clock(commune.site))),
        kiosk=KioskConfig(state=str(folder / "state")),
        panel=[PanelConfig(str(_panel_line(commune)))],
        page=PageConfig(enabled=True, host=LOOPBACK, port=commune.kiosk_port),
        sound=SoundConfig(enabled=True, wav=str(folder / "sound.wav")),
        settings_from={f"{commune.site}-agent": str(agent_public)},
        # The demo is looked at by day and by night, so its counter is always open.
        settings=KioskSettings(hours=[]),
    )
    write_config(folder / "kiosk.toml", config)

    async def ready(look: Look) -> bool:
        return look.heard(device) and await look.listens(commune.kiosk_port)

    page = f"http://{LOOPBACK}:{commune.kiosk_port}/{page_key}/"
    return Planned(
        Part(
            "kiosk",
            commune.site,
            part_argv("kiosk", "--config", str(folder / "kiosk.toml")),
            commune.province.folder.log(commune.site, "kiosk"),
            stage=DEVICE_STAGE,
        ),
        DEVICE_WAVE,
        ready,
        port=commune.kiosk_port,
        tells={"kiosks": [{"id": device, "panel": str(_panel_line(commune)), "page": page}]},
        device=DeviceRow(id=device, part="kiosk", key=key.public_bytes.hex()),
    )
