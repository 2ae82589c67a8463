"""Desired state to reported state, the deciding half: what a new document asks of this device. Pure.

Rules (design decision 6):

- A document carries a version per issuer. The same version or an older one changes nothing.
- A property is acted on when its value is not the one last acted on for this issuer, or when that failed. So a newer
  version that still holds an old `restart` does not restart again.
- A property that is no longer desired is no longer reported.

`bus.convergence` verifies, keeps this state on disk and runs the handlers.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import msgspec

from bus.identifiers import DeviceId
from bus.messages import Desired, Reached

Result = Literal["done", "refused", "failed"]


class Property(msgspec.Struct, frozen=True):
    """Where one property of one issuer stands. `digest` is that of the value; `result` is None while it is tried."""

    digest: str
    version: int
    result: Result | None = None
    detail: str = ""


class IssuerState(msgspec.Struct, frozen=True):
    """The latest version taken from an issuer, and its properties by name."""

    version: int = 0
    properties: dict[str, Property] = {}


class DesiredState(msgspec.Struct, frozen=True):
    """All that is kept: by issuer."""

    issuers: dict[str, IssuerState] = {}


@dataclass(frozen=True, slots=True)
class Act:
    """Bring `name` to `value`, then tell `settle` how it went."""

    issuer: DeviceId
    name: str
    value: msgspec.Raw
    version: int


def take(state: DesiredState, desired: Desired, device: DeviceId) -> tuple[DesiredState, list[Act]]:
    """Take a verified document; return the new state and what to do, in order of name."""
    known = state.issuers.get(desired.issuer, IssuerState())
    if desired.version < known.version or (desired.version == known.version and not _unfinished(known)):
        return state, []
    properties: dict[str, Property] = {}
    acts: list[Act] = []
    for name, value in sorted(desired.devices.get(device, {}).items()):
        digest = hashlib.sha256(bytes(value)).hexdigest()
        before = known.properties.get(name)
        if before is not None and before.digest == digest and before.result in ("done", "refused"):
            properties[name] = msgspec.structs.replace(before, version=desired.version)
            continue
        properties[name] = Property(digest, desired.version)
        acts.append(Act(desired.issuer, name, value, desired.version))
    issuers = {**state.issuers, desired.issuer: IssuerState(desired.version, properties)}
    return DesiredState(issuers), acts


def settle(state: DesiredState, act: Act, result: Result, detail: str = "") -> DesiredState:
    """Note how an act went; nothing where a newer version has taken its place."""
    issuer = state.issuers.get(act.issuer, IssuerState())
    found = issuer.properties.get(act.name)
    if found is None or found.version != act.version:
        return state
    settled = msgspec.structs.replace(found, result=result, detail=detail[:500])
    properties = {**issuer.properties, act.name: settled}
    return DesiredState({**state.issuers, act.issuer: IssuerState(issuer.version, properties)})


def redo(state: DesiredState, name: str) -> DesiredState:
    """What was done for this property is lost: the next document, of the same version too, is acted on again."""
    return DesiredState(
        {
            issuer: IssuerState(
                known.version,
                {
                    one: msgspec.structs.replace(found, result=None) if one == name else found
                    for one, found in known.properties.items()
                },
            )
            for issuer, known in state.issuers.items()
        }
    )


def reached(state: DesiredState) -> dict[str, dict[str, Reached]]:
    """What is reported; properties that are still being tried are not yet in it."""
    return {
        issuer: {
            name: Reached(one.version, one.result, one.detail)
            for name, one in sorted(known.properties.items())
            if one.result is not None
        }
        for issuer, known in sorted(state.issuers.items())
    }


def _unfinished(known: IssuerState) -> bool:
    """We ended while at it, or it failed (a full disk): the same version, when we hear it next, is tried again."""
    return any(one.result in (None, "failed") for one in known.properties.values())
