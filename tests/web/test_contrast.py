"""Ink on ground: every pair of colours that carries text, by day and by night, is told apart as WCAG 2.2 AA asks."""

import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).parents[2] / "web" / "static" / "base.css").read_text()
PAIRS = [
    (ink, ground)
    for ground in ("ground", "sheet")
    for ink in ("ink", "muted", "link", "fault", "attention", "silent", "fine")
] + [
    ("brand-ink", "brand"),
    *((state, f"{state}-ground") for state in ("fault", "attention", "silent", "fine")),
    *((ink, f"{state}-ground") for state in ("fault", "attention", "silent", "fine") for ink in ("ink", "muted")),
]


def _colours(night: bool) -> dict[str, str]:
    blocks = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    found: dict[str, str] = {}
    for block in blocks[: 2 if night else 1]:
        found |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    return found


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_contrast(ink: str, ground: str, night: bool) -> None:
    colours = _colours(night)
    one, other = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
    assert (other + 0.05) / (one + 0.05) >= 4.5
