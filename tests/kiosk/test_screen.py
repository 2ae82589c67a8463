"""The text screen as it is drawn: every state, both languages, three sizes, held to the snapshots beside this file.

Whoever changes a picture writes the snapshots anew (`SNAPSHOTS=write pytest tests/kiosk/test_screen.py`), reads the
difference, and looks at the PNGs that are written beside the test's other output with `SNAPSHOTS=pictures`.
"""

import os
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.color import ColorSystem

from kiosk.flow import Flow, View
from kiosk.picture import draw
from kiosk.screen import glyphs
from kiosk.screen.app import KioskScreen
from kiosk.screen.layout import lay_out
from kiosk.screen.letters import alphabet, enlarge
from kiosk.settings import KioskSettings, Question
from tests.kiosk.console import cells, picture_of, read_font, text_of, vietnamese_letters
from tests.kiosk.screens import SIZES, pictures

SNAPSHOTS = Path(__file__).parent / "snapshots"
MODE = os.environ.get("SNAPSHOTS", "")
FONT = read_font()


@pytest.mark.parametrize("size", SIZES)
async def test_every_state_is_drawn_as_its_snapshot(size: str, tmp_path: Path) -> None:
    """One app draws all of them in turn, as on the wall: nothing of a picture may stay in the next."""
    app, drawn = KioskScreen(), ""
    async with app.run_test(size=SIZES[size]) as pilot:
        for name, picture in pictures():
            app.show(picture)
            await pilot.pause()
            shown = text_of(app)
            assert not {char for char in shown if char != "\n"} - FONT.numbers.keys(), "not in the console font"
            drawn += f"── {name} {'─' * (60 - len(name))}\n{shown}"
            if MODE == "pictures":
                (tmp_path / f"{name}-{size}.png").write_bytes(picture_of(app, FONT))
    path = SNAPSHOTS / f"screen-{size}.txt"
    if MODE == "write":
        path.write_text(drawn)
    assert drawn == path.read_text(), f"drawn by textual {version('textual')} and rich {version('rich')}"


async def test_no_colour_is_needed_to_tell_the_answers_apart() -> None:
    """Faces differ by shape at every size, and need no colour behind: a console with 512 glyphs has no bright one."""
    for size in (9, 14, 16, 20, 24):
        shapes = [
            [row.translate(dict.fromkeys(map(ord, "gloyr"), "#")) for row in glyphs.face(n, size)] for n in range(1, 6)
        ]
        for number, shape in enumerate(shapes):
            assert shape not in shapes[:number]
            assert shape == [row[::-1] for row in shape], "not symmetrical"
    drawings = [
        glyphs.TICK,
        glyphs.DOOR,
        glyphs.PLUG,
        *(glyphs.face(n, 20) for n in range(1, 6)),
    ]
    for drawing in drawings:
        for line in glyphs.draw(drawing):
            assert all(span.style.bgcolor is None for span in line.spans if not isinstance(span.style, str))


async def test_letters_and_ground_differ_enough_in_sixteen_colours() -> None:
    """What is written is seen on a console too: the two colours that come out of the 16 differ."""
    app = KioskScreen()
    async with app.run_test(size=SIZES["middle"]) as pilot:
        for _, picture in pictures():
            app.show(picture)
            await pilot.pause()
            for row in cells(app):
                for char, style in row:
                    if char == " " or style.color is None:
                        continue
                    ink = style.color.downgrade(ColorSystem.STANDARD).number
                    ground = style.bgcolor.downgrade(ColorSystem.STANDARD).number if style.bgcolor else 0
                    assert ink is not None
                    assert ground is not None
                    if style.reverse:
                        ink, ground = ground, ink
                    assert ink != ground % 8
                    assert not (style.bold and ink == 0), "bold black is grey"


@pytest.mark.parametrize("columns", [20, 50, 64, 80, 100, 120, 160, 240])
@pytest.mark.parametrize("rows", [12, 15, 20, 24, 30, 33, 60])
def test_it_fits_any_console(columns: int, rows: int) -> None:
    for _, picture in pictures():
        lines = lay_out(picture, columns, rows)
        assert len(lines) <= rows
        assert max(line.cell_len for line in lines) <= columns
        shown = "\n".join(line.plain for line in lines)
        if columns < 50:
            continue
        assert picture.headline in " ".join(shown.split()) or any(block in shown for block in "▘▝▖▗")
        if picture.view is View.IDLE:
            words = {word for level in picture.levels for word in level.word.replace("diss", "dis- s").split()}
            assert words <= {*shown.replace("diss", "dis- s").split()}


def test_long_texts_of_settings_still_fit() -> None:
    long = {"vi": "Ông bà vui lòng cho biết mức độ hài lòng của mình với việc tiếp nhận và trả kết quả " * 3}
    settings = KioskSettings(question=Question("q", long), counter_name=long, languages=["vi", "tai"])
    for view in set(View) - {View.REASONS}:
        picture = draw(Flow(view=view, language="tai"), settings, levels=5, clock="08:15")
        for columns, rows in SIZES.values():
            lines = lay_out(picture, columns, rows)
            assert len(lines) <= rows
            assert max(line.cell_len for line in lines) <= columns


@pytest.mark.parametrize("size", [10, 14])
def test_big_letters_have_every_vietnamese_letter(size: int) -> None:
    letters, glyphs_of = vietnamese_letters(), alphabet(size)
    assert all(glyphs_of[char].rows for char in letters)
    assert len({(glyphs_of[char].rows, glyphs_of[char].bottom) for char in letters}) == len(letters)


def test_big_letters_wrap_between_words_and_give_up_where_there_is_no_room() -> None:
    assert enlarge("Xin cảm ơn", 8, 99) is None
    assert enlarge("Xin cảm ơn", 200, 3) is None
    assert enlarge("Ω", 200, 99) is None
    assert enlarge("", 200, 99) is None
    one, two = enlarge("Xin cảm ơn", 120, 99), enlarge("Xin cảm ơn", 60, 99)
    assert one is not None
    assert two is not None
    assert len(two) > len(one)
    assert max(map(len, two)) <= 60
