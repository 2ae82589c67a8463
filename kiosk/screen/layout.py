"""Where everything stands between the screen's head and foot: a pure function of the picture and the room there is.

From 50x15 (800x480 with a 16x32 font) to 120x33 (1920x1080). What matters most takes its room first: the faces with
their numbers and words, the headline, then the note; the headline is drawn in big letters where room is left, and
empty lines come last.
"""

import textwrap
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from kiosk.flow import View
from kiosk.picture import Level, Picture
from kiosk.screen import glyphs
from kiosk.screen.letters import SIZES, enlarge

_SIGNS: Final = {View.THANKS: glyphs.TICK, View.CLOSED: glyphs.DOOR, View.NO_PANEL: glyphs.PLUG}
_WIDEST_ANSWER: Final = 26
_MARGIN: Final = 2
_NOTE: Final = "#c0c0c0"
_BOLD: Final = "bold #ffffff"
_MARK: Final = "#000000 on #c0c0c0"
_BROKEN: Final = {"dissatisfied": "dis-satisfied"}  # where the whole word is too wide for its column
_SMALLEST: Final = 9  # pixels
_ROUND: Final = 14  # from here on a face is round, and gives way no further
_NARROWEST: Final = 10
_EMPTY: Final = 3  # lines: above, between, and before the note

Lines = list[Text]


def lay_out(picture: Picture, columns: int, rows: int) -> Lines:
    """At most `rows` lines, none longer than `columns`. Why a rating was low is asked on a touch page alone."""
    best: Lines = []
    for smaller in range(3):  # the pictures give way, a little, where that lets the headline be big
        lines, big = _stack(picture, columns, rows, smaller)
        if big or not smaller:
            best = lines
        if big:
            break
    return [_centred(line, columns) for line in best[:rows]]


def wrap(text: str, columns: int) -> list[str]:
    """Lines of about the same length."""
    lines, width = textwrap.wrap(text, columns), columns
    while lines and width > _NARROWEST and len(narrower := textwrap.wrap(text, width - 1)) == len(lines):
        lines, width = narrower, width - 1
    return lines


def _stack(picture: Picture, columns: int, rows: int, smaller: int) -> tuple[Lines, bool]:
    """The lines not yet centred, and whether the headline is big."""
    inner = columns - 2 * _MARGIN
    headline = _plain(picture.headline, inner, _BOLD)
    note = _plain(picture.note, inner, _NOTE)
    middle = _middle(picture, columns, rows - len(headline), 3 * smaller)
    spare = rows - len(middle) - len(headline)
    if len(note) > spare:
        note = []
    spare -= len(note)
    big = _big(picture.headline, inner, spare + len(headline) - _EMPTY)
    if big:
        spare += len(headline) - len(big)
        headline = big
    first, second = (headline, middle) if picture.view is View.IDLE else (middle, headline)
    lines = [Text()] * (spare >= _EMPTY) + first + [Text()] * (spare > 0) + second
    if note:
        lines += [Text()] * (spare > 1) + note
    return lines, bool(big)


def _middle(picture: Picture, columns: int, rows: int, smaller: int) -> Lines:
    if picture.view is View.IDLE:
        return _answers(picture.levels, columns, rows, smaller)
    sign = _SIGNS[picture.view]
    return glyphs.draw(glyphs.enlarge(sign, 2 if rows >= 20 and columns >= 2 * len(sign[0]) else 1))


def _answers(levels: Sequence[Level], columns: int, rows: int, smaller: int) -> Lines:
    """Faces side by side, under each its number and word, all in columns of the same width."""
    each = min(columns // len(levels), _WIDEST_ANSWER)
    words = [_wrap_label(level.word, each - 1) for level in levels]
    height = max(map(len, words))
    room = rows - height - 1
    size = min(each - 3, 2 * (room - 5))  # a good picture leaves five lines to the rest
    size = max(_SMALLEST, min(size, _ROUND), size - smaller)
    drawn = [glyphs.draw(glyphs.face(level.face, size)) for level in levels]
    lines = [
        Text().join(_centred(face[row] if row < len(face) else Text(), each, fill=True) for face in drawn)
        for row in range(max(map(len, drawn)))
    ]
    marks = [Text(f" {level.level} ", style=_MARK) for level in levels]
    lines.append(Text().join(_centred(mark, each, fill=True) for mark in marks))
    for row in range(height):
        parts = [Text(wrapped[row] if row < len(wrapped) else "", style=_BOLD) for wrapped in words]
        lines.append(Text().join(_centred(part, each, fill=True) for part in parts))
    return lines


def _wrap_label(text: str, columns: int) -> list[str]:
    broken = [_BROKEN.get(word, word) if len(word) > columns else word for word in text.split()]
    return textwrap.wrap(" ".join(broken), columns)


def _big(text: str, columns: int, rows: int) -> Lines:
    """The text in big letters; or its first sentence, and the rest plain below; or nothing."""
    for size in SIZES:
        whole = enlarge(text, columns, rows, sizes=(size,))
        if whole is not None:
            return _same_left(whole)
        first, rest = _first_sentence(text)
        if rest:
            below = _plain(rest, columns, _BOLD)
            begun = enlarge(first, columns, rows - len(below) - 1, sizes=(size,))
            if begun is not None:
                return [*_same_left(begun), Text(), *below]
    return []


def _first_sentence(text: str) -> tuple[str, str]:
    for at, char in enumerate(text):
        if char in ".!?" and text[at + 1 : at + 2] == " ":
            return text[: at + 1], text[at + 2 :]
    return text, ""


def _same_left(lines: list[str]) -> Lines:
    """Lines of one drawing keep their places against each other."""
    width = max(map(len, lines))
    return [Text(line.ljust(width), style=_BOLD) for line in lines]


def _plain(text: str, columns: int, style: str) -> Lines:
    return [Text(line, style=style) for line in wrap(text, columns)]


def _centred(line: Text, columns: int, *, fill: bool = False) -> Text:
    if line.cell_len > columns:
        line = line[:columns]
    left = (columns - line.cell_len) // 2
    right = columns - line.cell_len - left if fill else 0
    return Text(" " * left) + line + Text(" " * right)
