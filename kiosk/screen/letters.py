"""Big letters out of quadrant blocks, for a headline that an old citizen reads from two metres away.

The bitmaps are BDF files beside this one, made by `scripts/console-font`: DejaVu Sans Bold, twice as fine across as
down, since a quarter of a character cell is twice as high as it is wide. All Vietnamese letters are in them.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

SIZES: Final = (14, 10)  # pixels from line to line, the largest first
_BLOCKS: Final = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_BETWEEN: Final = 1  # empty pixels between two lines, at the least


@dataclass(frozen=True, slots=True)
class Glyph:
    """A letter: `rows` from the top, a number each with the leftmost pixel highest; `bottom` is above the baseline."""

    width: int
    left: int
    bottom: int
    advance: int
    rows: tuple[int, ...]

    @property
    def top(self) -> int:
        """Rows above the baseline."""
        return self.bottom + len(self.rows)


def enlarge(text: str, columns: int, rows: int, *, sizes: tuple[int, ...] = SIZES) -> list[str] | None:
    """`text` in the largest letters that fit into so many cells, as lines of blocks; None where none fits."""
    for size in sizes:
        glyphs = alphabet(size)
        if all(char in glyphs for char in text):
            lines = _wrap(text, 2 * columns, glyphs)
            if lines is not None:
                drawn = list(_blocks(lines, glyphs))
                if len(drawn) <= rows:
                    return drawn
    return None


@cache
def alphabet(size: int) -> dict[str, Glyph]:
    """The glyphs of one size."""
    path = Path(__file__).with_name(f"letters-{size}.bdf.gz")
    found: dict[str, Glyph] = {}
    code, advance, width, left, bottom = 0, 0, 0, 0, 0
    rows: list[int] | None = None
    for line in gzip.decompress(path.read_bytes()).decode("ascii").splitlines():
        match line.split():
            case ["ENCODING", number]:
                code = int(number)
            case ["DWIDTH", number, _]:
                advance = int(number)
            case ["BBX", *numbers]:
                width, _, left, bottom = map(int, numbers)
            case ["BITMAP"]:
                rows = []
            case ["ENDCHAR"]:
                found[chr(code)] = Glyph(width, left, bottom, advance, tuple(rows or ()))
                rows = None
            case [digits] if rows is not None:
                rows.append(int(digits, 16) >> (4 * len(digits) - width))
    return found


def _width(text: str, glyphs: dict[str, Glyph]) -> int:
    return sum(glyphs[char].advance for char in text)


def _wrap(text: str, width: int, glyphs: dict[str, Glyph]) -> list[str] | None:
    """As few lines as the width allows, and then as even as may be; None where a word alone is too wide."""
    lines = _fill(text, width, glyphs)
    if lines is None:
        return None
    even = lines
    while (narrower := _fill(text, max(_width(line, glyphs) for line in even) - 1, glyphs)) is not None:
        if len(narrower) > len(lines):
            break
        even = narrower
    return even


def _fill(text: str, width: int, glyphs: dict[str, Glyph]) -> list[str] | None:
    lines: list[str] = []
    for word in text.split():
        if _width(word, glyphs) > width:
            return None
        if lines and _width(f"{lines[-1]} {word}", glyphs) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or None


def _blocks(lines: list[str], glyphs: dict[str, Glyph]) -> Iterator[str]:
    """All lines, each in the middle, two rows of pixels and two columns to a block."""
    across = max(_width(line, glyphs) for line in lines) + 2
    pixels: list[int] = []
    for line in lines:
        if pixels:
            pixels += [0] * _BETWEEN
        pixels += _line(line, across, glyphs)
    pixels += [0] * (len(pixels) % 2)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        yield "".join(
            _BLOCKS[_pair(upper, at) | _pair(lower, at) << 2] for at in range(across + across % 2 - 2, -2, -2)
        ).rstrip()


def _pair(row: int, at: int) -> int:
    """The two pixels from bit `at` on, the left one in bit 0."""
    two = row >> at & 3
    return (two >> 1) | (two & 1) << 1


def _line(line: str, across: int, glyphs: dict[str, Glyph]) -> list[int]:
    used = [glyphs[char] for char in line if glyphs[char].rows]
    top, bottom = max(glyph.top for glyph in used), min(glyph.bottom for glyph in used)
    pixels = [0] * (top - bottom)
    x = (across - _width(line, glyphs)) // 2
    for char in line:
        glyph = glyphs[char]
        shift = across + across % 2 - x - glyph.left - glyph.width
        for y, row in enumerate(glyph.rows):
            pixels[top - glyph.top + y] |= row << shift if shift >= 0 else row >> -shift
        x += glyph.advance
    return pixels
