"""A Linux console for tests: reads a PSF2 font, and draws what a Textual app shows with it, in 16 colours, as a PNG."""

import gzip
import struct
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

from rich.color import Color, ColorSystem
from rich.style import Style
from textual.app import App

FONT = Path(__file__).parents[2] / "kiosk/screen/commune-16x32.psf.gz"
_PALETTE = (  # drivers/tty/vt/vt.c: default_red, default_grn, default_blu
    *((0, 0, 0), (170, 0, 0), (0, 170, 0), (170, 85, 0), (0, 0, 170), (170, 0, 170), (0, 170, 170), (170, 170, 170)),
    *((85, 85, 85), (255, 85, 85), (85, 255, 85), (255, 255, 85), (85, 85, 255), (255, 85, 255), (85, 255, 255)),
    (255, 255, 255),
)


@dataclass(frozen=True)
class ConsoleFont:
    """`rows` of a character, from the top; a bit for each pixel, the leftmost highest."""

    width: int
    height: int
    glyphs: list[bytes]
    numbers: dict[str, int]

    def rows(self, char: str) -> list[int]:
        bitmap = self.glyphs[self.numbers[char]]
        stride = (self.width + 7) // 8
        return [int.from_bytes(bitmap[at : at + stride], "big") for at in range(0, len(bitmap), stride)]


def read_font(path: Path = FONT) -> ConsoleFont:
    """PSF version 2, as kbd's psf.h has it."""
    data = gzip.decompress(path.read_bytes())
    magic, version, header, flags, count, size, height, width = struct.unpack_from("<4s7I", data)
    assert (magic, version, flags) == (b"\x72\xb5\x4a\x86", 0, 1)
    glyphs = [data[header + size * number : header + size * (number + 1)] for number in range(count)]
    table = data[header + size * count :].split(b"\xff")
    assert len(table) == count + 1
    assert table[-1] == b""
    numbers: dict[str, int] = {}
    for number, entry in enumerate(table[:-1]):
        singles, *sequences = entry.split(b"\xfe")
        for char in [*singles.decode(), *(sequence.decode() for sequence in sequences)]:
            assert char not in numbers
            numbers[char] = number
    return ConsoleFont(width, height, glyphs, numbers)


def vietnamese_letters() -> list[str]:
    """The 134 beyond ASCII, both cases, as one code point each."""
    bases = "AĂÂEÊIOÔƠUƯYaăâeêioôơuưy"
    marks = ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
    letters = [unicodedata.normalize("NFC", base + mark) for base in bases for mark in marks]
    return [letter for letter in [*letters, "Đ", "đ"] if not letter.isascii()]


def cells(app: App[None]) -> list[list[tuple[str, Style]]]:
    """What the app shows now, a character and its style for each cell."""
    strips = app.screen._compositor.render_strips(app.size)
    return [[(char, segment.style or Style()) for segment in strip for char in segment.text] for strip in strips]


def text_of(app: App[None]) -> str:
    """What the app shows now, as lines of text."""
    return "".join("".join(char for char, _ in row).rstrip() + "\n" for row in cells(app))


def picture_of(app: App[None], font: ConsoleFont) -> bytes:
    """What the app shows now, as a PNG of a Linux console with this font; with 512 glyphs no background is bright."""
    lines = []
    for row in cells(app):
        bitmaps = [(font.rows(char), *_colours(style)) for char, style in row]
        for y in range(font.height):
            line = bytearray(b"\0")
            for rows, ink, ground in bitmaps:
                for x in range(font.width):
                    line += ink if rows[y] >> (font.width - 1 - x) & 1 else ground
            lines.append(bytes(line))
    width, height = len(row) * font.width, len(lines)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines), 1)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _colours(style: Style) -> tuple[bytes, bytes]:
    ink, ground = _number(style.color, 7), _number(style.bgcolor, 0) % 8
    if style.reverse:
        ink, ground = ground, ink % 8
    if style.bold:
        ink |= 8  # after the swap: bold black is grey (drivers/tty/vt/vt.c, build_attr)
    return bytes(_PALETTE[ink]), bytes(_PALETTE[ground])


def _number(colour: Color | None, default: int) -> int:
    if colour is None or colour.is_default:
        return default
    number = colour.downgrade(ColorSystem.STANDARD).number
    return default if number is None else number
