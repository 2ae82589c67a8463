"""Pictures out of half blocks: two square pixels a character cell, drawn with the blocks every console font has.

A bare console has no emoji and 16 colours (8 behind the letters), so a face must be told by its shape; the colour only
repeats it, and eyes and mouth are holes in it. A picture is a list of rows of letters, each letter a colour of `INKS`,
a dot for nothing; the two pixels of a cell have the same colour, or one of them is nothing.
"""

import math
from collections.abc import Callable
from typing import Final

from rich.style import Style
from rich.text import Text

Bitmap = tuple[str, ...]
Drawing = Callable[[int], Bitmap]
"""Draws itself about so many pixels wide."""

INKS: Final = {
    "g": "#3fae49",
    "l": "#9acd32",
    "y": "#ffd23f",
    "o": "#c87800",
    "r": "#ef6351",
    "w": "#ffffff",
    "b": "#2f8fb5",
}
_SKIN: Final = {1: "g", 2: "l", 3: "y", 4: "o", 5: "r"}
_SMALL_EYES: Final = {5: ("#.#####.#", "##.###.##", "##.###.##")}
_PLAIN_EYES: Final = ("#########", "##.###.##", "##.###.##")
_SMALL_MOUTHS: Final = {
    1: ("#########", "#.......#", ".#.....#."),
    2: ("#########", "#.#####.#", ".#.....#."),
    3: ("#########", "##.....##", ".#######."),
    4: ("##.....##", "#.#####.#", ".#######."),
    5: ("###...###", "##.....##", ".#.....#."),
}
_SMALLEST_DRAWN: Final = 14

TICK: Final = (
    "..........gg",
    ".........ggg",
    "........ggg.",
    "g......ggg..",
    "gg....ggg...",
    "ggg..ggg....",
    ".gggggg.....",
    "..gggg......",
    "...gg.......",
    "............",
)
DOOR: Final = (
    "bbbbbbbbbb",
    "bb......bb",
    "bb......bb",
    "bb......bb",
    "bb......bb",
    "bb...ww.bb",
    "bb......bb",
    "bb......bb",
    "bb......bb",
    "bb......bb",
    "bb......bb",
    "bbbbbbbbbb",
)
PLUG: Final = (
    "..............",
    "..ww......ww..",
    "..ww......ww..",
    "wwwww....wwwww",
    "wwwww.rr.wwwww",
    "wwwww.rr.wwwww",
    "wwwww....wwwww",
    "..ww......ww..",
    "..ww......ww..",
    "..............",
)


def face(number: int, size: int = 9) -> Bitmap:
    """A face, 1 the happiest to 5 the unhappiest, about `size` pixels wide."""
    if size < _SMALLEST_DRAWN:
        eyes = _SMALL_EYES.get(number, _PLAIN_EYES)
        rows = ("..#####..", ".#######.", *eyes, "#########", *_SMALL_MOUTHS[number], "..#####..")
        return tuple(row.replace("#", _SKIN[number]) for row in rows)
    size -= size % 2
    half = size / 2
    places = [(at + 0.5 - half) / half for at in range(size)]
    return tuple(
        "".join(_SKIN[number] if math.hypot(x, y) <= 1 and not _is_hole(number, x, y) else "." for x in places)
        for y in places
    )


def _is_hole(number: int, x: float, y: float) -> bool:
    """Is this part of an eye or the mouth? The face is the unit circle, y downwards."""
    side = abs(x)
    if 0.22 <= side <= 0.46 and -0.46 <= y <= -0.12:
        return True
    if number == 5 and 0.2 <= side <= 0.68 and abs(y + 0.72 - (0.68 - side) * 0.55) <= 0.1:
        return True  # brows that meet
    match number:
        case 1:
            return y >= 0.16 and math.hypot(x / 0.66, (y - 0.16) / 0.56) <= 1
        case 2:
            return y >= 0.2 and 0.78 <= math.hypot(x / 0.68, (y - 0.05) / 0.62) <= 1.08
        case 3:
            return side <= 0.5 and 0.3 <= y <= 0.48
        case 4:
            return y <= 0.62 and 0.78 <= math.hypot(x / 0.68, (y - 0.86) / 0.6) <= 1.08
        case _:
            return y <= 0.68 and math.hypot(x / 0.56, (y - 0.68) / 0.5) <= 1


def enlarge(picture: Bitmap, times: int) -> Bitmap:
    """Each pixel `times` as wide and as high."""
    return tuple("".join(pixel * times for pixel in row) for row in picture for _ in range(times))


def draw(picture: Bitmap) -> list[Text]:
    """The picture as lines of text: half as many as it has rows."""
    rows = picture if len(picture) % 2 == 0 else (*picture, "." * len(picture[0]))
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        line = Text()
        for top, bottom in zip(upper, lower, strict=True):
            line.append(*_cell(top, bottom))
        lines.append(line)
    return lines


def _cell(top: str, bottom: str) -> tuple[str, Style]:
    if top == bottom == ".":
        return " ", Style()
    if top == bottom:
        return "█", Style(color=INKS[top])
    if bottom == ".":
        return "▀", Style(color=INKS[top])
    if top == ".":
        return "▄", Style(color=INKS[bottom])
    return "▀", Style(color=INKS[top], bgcolor=INKS[bottom])
