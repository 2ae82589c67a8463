"""The known list: every site of the province and its devices with their public keys.

It is the hub's only authority on who may speak for whom, and the list against which silence is noticed: a commune that
never sent a byte stands in it all the same. One TOML file; a device belongs to one site and has one key of its own
(design decision 11). A site's name and code are attributes that may change; its id never does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from bus import config
from bus.envelope import KeyId, key_id
from bus.identifiers import DeviceId, SiteId

PublicKeyHex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="a raw Ed25519 public key, 64 hex digits")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class DeviceRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One device as the file has it: its part (agent, kiosk, speaker, conductor) and its public key."""

    id: DeviceId
    part: Text
    key: PublicKeyHex


class SiteRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One site as the file has it. `code` is the commune's official code, shared by all sites of a commune."""

    id: SiteId
    code: Text
    name: Text
    province: str = ""
    former_names: list[Text] = []
    device: list[DeviceRow] = []


class RosterFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    site: list[SiteRow] = []

    def __post_init__(self) -> None:
        sites: set[str] = set()
        devices: dict[str, str] = {}
        keys: dict[str, str] = {}
        for site in self.site:
            if site.id in sites:
                raise ValueError(f"site {site.id} stands twice; a site id is never used again")
            sites.add(site.id)
            for device in site.device:
                if device.id in devices:
                    raise ValueError(f"device {device.id} stands at {devices[device.id]} and again at {site.id}")
                if device.key in keys:
                    raise ValueError(f"devices {keys[device.key]} and {device.id} have one key; each needs its own")
                devices[device.id] = site.id
                keys[device.key] = device.id


@dataclass(frozen=True, slots=True)
class Member:
    """A device and the site it speaks for."""

    site: SiteId
    device: DeviceId
    part: str
    keys: dict[KeyId, bytes]


@dataclass(frozen=True, slots=True)
class Roster:
    """The known list, ready to be asked. Sites and devices keep the file's order."""

    sites: tuple[SiteRow, ...]
    members: dict[DeviceId, Member]

    @classmethod
    def of(cls, file: RosterFile) -> "Roster":
        """Index what a file says."""
        members = {
            device.id: Member(site.id, device.id, device.part, _keys(device.key))
            for site in file.site
            for device in site.device
        }
        return cls(tuple(file.site), members)

    @classmethod
    def load(cls, path: Path) -> "Roster":
        """Read the file at `path`; `bus.config.ConfigError` with every mistake in it."""
        return cls.of(config.load(path, RosterFile))


def _keys(public_hex: str) -> dict[KeyId, bytes]:
    public_bytes = bytes.fromhex(public_hex)
    return {key_id(public_bytes): public_bytes}
