"""The order of a device's epochs, as whole numbers with room between them. Pure.

An epoch seen for the first time is taken for the newest: a device asks about its epochs from the oldest on. Its
`journal.opened` names the epoch before it, and that settles the order for good: a predecessor that comes later goes
just below its successor, and a successor that came first is lifted above its predecessor.
"""

from collections.abc import Mapping
from typing import Final

STEP: Final = 1 << 20


def newest(ordinals: Mapping[str, int]) -> int:
    """The ordinal for an epoch about which nothing is known; `ordinals` are the device's by epoch."""
    return max(ordinals.values(), default=0) + STEP


def below(ordinals: Mapping[str, int], successor: str) -> int:
    """The ordinal for an epoch that `successor` (among `ordinals`) names as the one before it."""
    ceiling = ordinals[successor]
    floor = max((value for value in ordinals.values() if value < ceiling), default=ceiling - 2 * STEP)
    # With no room left between the two it shares its elder neighbour's: still below its successor.
    return floor + (ceiling - floor) // 2


def lifted(ordinals: Mapping[str, int], epoch: str, predecessor: str) -> int:
    """The ordinal for `epoch` now that it is known to follow `predecessor`."""
    before = ordinals.get(predecessor)
    if before is None or ordinals[epoch] > before:
        return ordinals[epoch]
    return newest(ordinals)
