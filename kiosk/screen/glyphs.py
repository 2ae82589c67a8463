"""Pictures out of half blocks: two square pixels a character cell, drawn with the blocks every console font has.

A bare console has no emoji and 16 colours, so a face must be told by its shape; the colour only repeats it. A picture
is a list of rows of letters, each letter a colour of `INKS`, a dot for nothing. It is drawn larger by whole numbers
only.
"""

from typing import Final

from rich.style import Style
from rich.text import Text

INKS: Final = {
    "g": "#3fae49",
    "l": "#9acd32",
    "y": "#ffd23f",
    "o": "#ff9d45",
    "r": "#ef6351",
    "k": "#000000",
    "w": "#ffffff",
    "b": "#2f8fb5",
}

_EYES: Final = {
    1: ("#########", "##k###k##", "#k#k#k#k#"),
    2: ("#########", "##k###k##", "##k###k##"),
    3: ("#########", "##k###k##", "##k###k##"),
    4: ("#########", "##k###k##", "##k###k##"),
    5: ("#k#####k#", "##k###k##", "##k###k##"),
}
_MOUTHS: Final = {
    1: ("#########", "#kkkkkkk#", ".#kkkkk#."),
    2: ("#########", "#k#####k#", ".#kkkkk#."),
    3: ("#########", "##kkkkk##", ".#######."),
    4: ("##kkkkk##", "#k#####k#", ".#######."),
    5: ("###kkk###", "##k###k##", ".k#####k."),
}
_SKIN: Final = {1: "g", 2: "l", 3: "y", 4: "o", 5: "r"}

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
    "bbbbbbbbbb..",
    "bwwwwwwwwb..",
    "bwwwwwwwwb..",
    "bwwwwwwwwb..",
    "bwwwwwwkwb..",
    "bwwwwwwwwb..",
    "bwwwwwwwwb..",
    "bwwwwwwwwb..",
    "bwwwwwwwwb..",
    "bbbbbbbbbbbb",
)
PLUG: Final = (
    "............",
    "..w......w..",
    "..w......w..",
    "wwww.rr.wwww",
    "wwwwr..rwwww",
    "wwww.rr.wwww",
    "wwwwr..rwwww",
    "..w......w..",
    "..w......w..",
    "............",
)
ICONS: Final = {
    "clock": (
        "..wwwww..",
        ".w.....w.",
        "w...w...w",
        "w...w...w",
        "w...www.w",
        "w.......w",
        "w.......w",
        ".w.....w.",
        "..wwwww..",
        ".........",
    ),
    "face": (
        "...www...",
        "..wwwww..",
        "..wwwww..",
        "...www...",
        ".........",
        ".wwwwwww.",
        "wwwwwwwww",
        "wwwwwwwww",
        "wwwwwwwww",
        ".........",
    ),
    "paper": (
        ".wwwwww..",
        ".w....ww.",
        ".w.....w.",
        ".w.www.w.",
        ".w.....w.",
        ".w.www.w.",
        ".w.....w.",
        ".w.....w.",
        ".wwwwwww.",
        ".........",
    ),
    "road": (
        "......w..",
        ".......w.",
        "wwwwwwwww",
        ".......w.",
        "......w..",
        "..w......",
        ".w.......",
        "wwwwwwwww",
        ".w.......",
        "..w......",
    ),
}


def face(number: int) -> tuple[str, ...]:
    """A face, 1 the happiest to 5 the unhappiest: 9 pixels wide, 10 high."""
    rows = ("..#####..", ".#######.", *_EYES[number], "#########", *_MOUTHS[number], "..#####..")
    return tuple(row.replace("#", _SKIN[number]) for row in rows)


def enlarge(picture: tuple[str, ...], times: int) -> tuple[str, ...]:
    """Each pixel `times` as wide and as high."""
    return tuple("".join(pixel * times for pixel in row) for row in picture for _ in range(times))


def draw(picture: tuple[str, ...]) -> Text:
    """The picture as text: half as many lines as it has rows."""
    lines = []
    rows = picture if len(picture) % 2 == 0 else (*picture, "." * len(picture[0]))
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        line = Text()
        for top, bottom in zip(upper, lower, strict=True):
            line.append(*_cell(top, bottom))
        lines.append(line)
    return Text("\n").join(lines)


def _cell(top: str, bottom: str) -> tuple[str, Style]:
    if top == bottom:
        return (" ", Style()) if top == "." else ("█", Style(color=INKS[top]))
    if bottom == ".":
        return "▀", Style(color=INKS[top])
    if top == ".":
        return "▄", Style(color=INKS[bottom])
    return "▀", Style(color=INKS[top], bgcolor=INKS[bottom])
