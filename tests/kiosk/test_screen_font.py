"""The console font that we ship: read as the kernel's tools read it, and as `setfont` does."""

import subprocess
import unicodedata
from pathlib import Path

from tests.kiosk.console import FONT, read_font, vietnamese_letters
from tests.tools import find_tool

font = read_font()


def test_a_linux_console_can_hold_it() -> None:
    assert (font.width, font.height) == (16, 32)
    assert len(font.glyphs) <= 512
    assert set(map(chr, range(0x20, 0x7F))) <= font.numbers.keys()
    assert set("─│┌┐└┘├┤┬┴┼╭╮╰╯━┃┏┓┗┛═║╔╗╚╝▀▄█▌▐▖▗▘▙▚▛▜▝▞▟▁▂▃▄▅▆▇▏▎▍▋▊▉←↑→↓") <= font.numbers.keys()


def test_every_vietnamese_letter_is_there_and_itself() -> None:
    letters = vietnamese_letters()
    assert len(letters) == len(set(letters)) == 134
    plain = {chr(code) for code in range(0x41, 0x7B)}
    drawn = {char: tuple(font.rows(char)) for char in [*letters, *sorted(plain)]}
    assert all(any(rows) for rows in drawn.values())
    assert len(set(drawn.values())) == len(drawn), "two letters look the same"
    for letter in letters:
        decomposed = unicodedata.normalize("NFD", letter)
        assert font.numbers[letter] == font.numbers.get(decomposed, font.numbers[letter])


def test_nothing_is_cut_off_at_the_edge_of_the_cell() -> None:
    """Marks have two rows at least between them and the letter below, or are joined to it as in the outline."""
    for letter in vietnamese_letters():
        rows = font.rows(letter)
        base = font.rows(unicodedata.normalize("NFD", letter)[0].replace("Đ", "D").replace("đ", "d"))
        assert sum(map(int.bit_count, rows)) > sum(map(int.bit_count, base)) * 0.8, letter
        assert rows != base


def test_lines_and_blocks_meet_their_neighbours() -> None:
    edge, whole = 1 << 15, (1 << 16) - 1
    assert all(row == whole for row in font.rows("█"))
    for char in "─━═┌└├┬┴┼╭╰":
        assert any(row & 1 for row in font.rows(char)), char
    for char in "─━═┐┘┤┬┴┼╮╯":
        assert any(row & edge for row in font.rows(char)), char
    for char in "│┃║┌┐├┤┬┼╭╮╔╗":
        assert font.rows(char)[-1], char
    for char in "│┃║└┘├┤┴┼╰╯╚╝":
        assert font.rows(char)[0], char
    for upper, lower in (("│", "└"), ("┃", "┗"), ("║", "╚"), ("╭", "│"), ("╔", "║")):
        assert font.rows(upper)[-1] == font.rows(lower)[0], (upper, lower)
    joined = [left | right for left, right in zip(font.rows("▌"), font.rows("▐"), strict=True)]
    assert joined == font.rows("█")


def test_debians_own_tool_reads_the_same_table(tmp_path: Path) -> None:
    """psfgettable, of kbd as `setfont` is, knows PSF2 independently of us."""
    plain = tmp_path / "font.psf"
    plain.write_bytes(subprocess.run(["gzip", "-dc", str(FONT)], check=True, capture_output=True).stdout)
    told = subprocess.run([find_tool("psfgettable"), str(plain)], check=True, capture_output=True, text=True).stdout
    found = set()
    for line in told.splitlines():
        if line.startswith("0x"):
            found |= {chr(int(word[2:], 16)) for word in line.split()[1:] if word.startswith("U+") and len(word) == 6}
    assert {char for char in font.numbers if len(char) == 1} <= found
