"""Every picture that the text screen can be asked to draw: each state, in both languages, with 3, 4 and 5 levels."""

from collections.abc import Iterator
from dataclasses import replace

from kiosk.flow import Conditions, Flow, View
from kiosk.picture import Picture, draw
from kiosk.settings import KioskSettings

SIZES = {"small": (50, 15), "middle": (100, 30), "large": (120, 33)}
DEFAULTS = KioskSettings()
_RESTING = {
    "network": Conditions(network_up=False),
    "trouble": Conditions(disk_ok=False),
    "both": Conditions(network_up=False, disk_ok=False),
}


def states() -> Iterator[tuple[str, Flow, int]]:
    """Name, state and levels of each."""
    for levels in (3, 4, 5):
        yield f"idle-{levels}", Flow(), levels
    for view in (View.THANKS, View.CLOSED, View.NO_PANEL):
        yield str(view), Flow(view=view), 5
    for name, conditions in _RESTING.items():
        yield name, Flow(conditions=conditions), 5


def pictures(settings: KioskSettings = DEFAULTS) -> Iterator[tuple[str, Picture]]:
    """All of them, by name."""
    for language in ("vi", "en"):
        for name, flow, levels in states():
            yield f"{name}-{language}", draw(replace(flow, language=language), settings, levels=levels, clock="08:15")
