"""Where everything stands between the screen's head and foot: a pure function of the picture and the room there is.

From 50x15 (800x480 with a 16x32 font) to 120x33 (1920x1080). What matters most takes its room first: the faces with
their numbers and words, the headline, then the note; the headline is drawn in big letters where room is left, and
empty lines come last.
"""

import textwrap
from typing import Final

from rich.text import Text

from kiosk.flow import View
from kiosk.picture import Picture
from kiosk.screen import glyphs
from kiosk.screen.letters import SIZES, enlarge

_SIGNS: Final = {View.THANKS: glyphs.TICK, View.CLOSED: glyphs.DOOR, View.NO_PANEL: glyphs.PLUG}
_WIDEST_ANSWER: Final = 26
_MARGIN: Final = 2
_NOTE: Final = "#c0c0c0"

Lines = list[Text]


def lay_out(picture: Picture, columns: int, rows: int) -> Lines:
    """At most `rows` lines, none longer than `columns`."""
    inner = columns - 2 * _MARGIN
    headline = _plain(picture.headline, inner, "bold white")
    note = _plain(picture.note, inner, _NOTE)
    middle = _middle(picture, columns, rows - len(headline))
    spare = rows - len(middle) - len(headline)
    if len(note) > spare:
        note = []
    spare -= len(note)
    # Two empty lines stay, one on each side of what is in the middle.
    big = _big(picture.headline, inner, spare + len(headline) - 2)
    if big:
        spare += len(headline) - len(big)
        headline = big
    first, second = (headline, middle) if picture.view in (View.IDLE, View.REASONS) else (middle, headline)
    lines = [*first]
    if spare > 0 and first and second:
        lines.append(Text())
    lines += second
    if note:
        lines += [Text()] * (spare > 1)
        lines += note
    return [_centred(line, columns) for line in lines[:rows]]


def _middle(picture: Picture, columns: int, rows: int) -> Lines:
    match picture.view:
        case View.IDLE:
            faces = [(level.face, str(level.level), level.word) for level in picture.levels]
            return _answers([(_face(number), mark, word) for number, mark, word in faces], columns, rows)
        case View.REASONS:
            icons = [(glyphs.ICONS.get(choice.icon, glyphs.ICONS["paper"]), choice.word) for choice in picture.reasons]
            return _answers([(_scaled(icon), "", word) for icon, word in icons], columns, rows)
        case _:
            sign = _SIGNS[picture.view]
            return glyphs.draw(glyphs.enlarge(sign, 2 if rows >= 20 and columns >= 2 * len(sign[0]) else 1))


def _face(number: int) -> "glyphs.Drawing":
    return lambda size: glyphs.face(number, size)


def _scaled(icon: tuple[str, ...]) -> "glyphs.Drawing":
    return lambda size: glyphs.enlarge(icon, max(1, size // len(icon[0])))


def _answers(answers: list[tuple["glyphs.Drawing", str, str]], columns: int, rows: int) -> Lines:
    """Pictures side by side, under each its number and word, all in columns of the same width."""
    if not answers:
        return []
    each = min(columns // len(answers), _WIDEST_ANSWER)
    words = [textwrap.wrap(word, each - 1) for _, _, word in answers]
    height = max(map(len, words))
    marked = any(mark for _, mark, _ in answers)
    room = rows - height - marked
    size = max(9, min(each - 3, 2 * (room - 5)))  # a good picture leaves five lines to the rest
    drawn = [glyphs.draw(draw(size)) for draw, _, _ in answers]
    high = max(map(len, drawn))
    lines = [
        Text().join(_centred(picture[row] if row < len(picture) else Text(), each, fill=True) for picture in drawn)
        for row in range(high)
    ]
    if marked:
        marks = [Text(f" {mark} " if mark else "", style="bold reverse") for _, mark, _ in answers]
        lines.append(Text().join(_centred(mark, each, fill=True) for mark in marks))
    for row in range(height):
        parts = [Text(wrapped[row] if row < len(wrapped) else "", style="bold white") for wrapped in words]
        lines.append(Text().join(_centred(part, each, fill=True) for part in parts))
    return lines


def _big(text: str, columns: int, rows: int) -> Lines:
    """The text in big letters; or its first sentence, and the rest plain below; or nothing."""
    for size in SIZES:
        whole = enlarge(text, columns, rows, sizes=(size,))
        if whole is not None:
            return _same_left(whole)
        first, rest = _first_sentence(text)
        if rest:
            below = _plain(rest, columns, "bold white")
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
    return [Text(line.ljust(width), style="white") for line in lines]


def _plain(text: str, columns: int, style: str) -> Lines:
    """Wrapped, in lines of about the same length."""
    lines = textwrap.wrap(text, columns)
    width = columns
    while lines and len(narrower := textwrap.wrap(text, width - 1)) == len(lines) and width > 10:
        lines, width = narrower, width - 1
    return [Text(line, style=style) for line in lines]


def _centred(line: Text, columns: int, *, fill: bool = False) -> Text:
    left = max(0, (columns - line.cell_len) // 2)
    right = max(0, columns - line.cell_len - left) if fill else 0
    return Text(" " * left) + line + Text(" " * right)
