"""What the makers of a commune's parts share: the order of starting and ending, and how a part of ours is run."""

import sys
from typing import Final

BROKER_WAVE: Final = 2
DEVICE_WAVE: Final = 3
# Ended first, so that a device can still say goodbye to its broker.
DEVICE_STAGE: Final = 0
BROKER_STAGE: Final = 1


def part_argv(*words: str) -> tuple[str, ...]:
    """How a part of ours is run: by the interpreter itself, so that the process id is the part's own."""
    return (sys.executable, "-m", "provisioning.command", *words)
