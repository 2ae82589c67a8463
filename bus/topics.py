"""Every MQTT topic of the wire, and its reading.

Root `ce/1`. A client's identity is its device, and it writes only below `ce/1/{site}/{device}/`; the broker's access
list holds it to that. docs/wire.md says who publishes and who reads each of these.
"""

from dataclasses import dataclass
from typing import Final

from bus.errors import WrongInputError
from bus.identifiers import DeviceId, SiteId, check_name

ROOT: Final = "ce/1"
BEACON: Final = f"{ROOT}/hub/beacon"


def up(site: SiteId, device: DeviceId) -> str:
    """Signed batches of journal entries, from a device."""
    return f"{ROOT}/{site}/{device}/up"


def receipt(site: SiteId, device: DeviceId, consumer: str) -> str:
    """Signed receipts for a device's batches; consumer is `hub` or `site`."""
    return f"{ROOT}/{site}/{device}/receipt/{consumer}"


def status(site: SiteId, device: DeviceId) -> str:
    """Retained birth and last will of a device: a hint only, the latest entry decides."""
    return f"{ROOT}/{site}/{device}/status"


def desired(site: SiteId, issuer: DeviceId) -> str:
    """Retained signed document: what an issuer wants of the devices of a site."""
    return f"{ROOT}/{site}/desired/{issuer}"


def reported(site: SiteId, device: DeviceId) -> str:
    """Retained: which desired versions a device has reached, and with what result."""
    return f"{ROOT}/{site}/{device}/reported"


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """A topic below a device's branch, read back: `leaf` is what follows the device."""

    site: SiteId
    device: DeviceId
    leaf: str


def read_device_topic(topic: str) -> DeviceTopic:
    """Split `ce/1/{site}/{device}/{leaf...}`; `WrongInputError` when it is not of that form."""
    parts = topic.split("/", 4)
    if len(parts) != 5 or parts[:2] != ["ce", "1"] or not parts[4]:
        raise WrongInputError(f"topic {topic[:200]!r} is not {ROOT}/<site>/<device>/<leaf>")
    return DeviceTopic(check_name(parts[2], what="site"), check_name(parts[3], what="device"), parts[4])
