"""Names that outlive offices: sites and devices.

A site name is opaque, never changed and never reused; the official code and the commune's name are dated attributes
kept elsewhere (design decision 11). A device is one part with its own key. Both stand in MQTT topics and in file
names, so they hold nothing that either would read as syntax.
"""

import re
import secrets
from typing import Annotated, Final

import msgspec

from bus.errors import WrongInputError

# Python's `$` alone would let a newline stand at the end; JSON Schema's regular expressions have no `\\Z`.
NAME_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$(?!\n)"
EPOCH_PATTERN: Final = r"^[0-9a-f]{16}$(?!\n)"

_NAME_META: Final = msgspec.Meta(pattern=NAME_PATTERN, description="lower-case letters, digits and hyphens, 48 at most")
SiteId = Annotated[str, _NAME_META]
DeviceId = Annotated[str, _NAME_META]
Epoch = Annotated[str, msgspec.Meta(pattern=EPOCH_PATTERN, description="16 hex digits, random")]

_NAME: Final = re.compile(NAME_PATTERN)


def check_name(value: str, *, what: str) -> str:
    """Return `value` where it is a valid site or device name; `WrongInputError` otherwise."""
    if not _NAME.fullmatch(value):
        raise WrongInputError(
            f"{what} {value!r} is not a valid name: 1 to 48 lower-case letters, digits and inner hyphens"
        )
    return value


def new_epoch() -> Epoch:
    """Return a fresh random epoch: 64 bits, so that two journals never share one."""
    return secrets.token_hex(8)
