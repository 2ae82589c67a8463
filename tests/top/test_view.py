"""`commune top` as it is drawn: snapshots at 80x24 and 120x40 in both languages, and what must hold at any size.

Write the snapshots anew with `SNAPSHOTS=write`, and read the difference.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.top.app import Top
from agent.top.sight import Look, Sight, see
from agent.top.view import lay_out, spark
from tests.kiosk.console import picture_of, read_font, text_of
from tests.top.looks import AWAY, BAD, CROWDED, GOOD, NOW_MS

SNAPSHOTS = Path(__file__).parent / "snapshots"
MODE = os.environ.get("SNAPSHOTS", "")
FONT = read_font()


class FakeSource:
    """Gives the looks it holds, the last one for ever."""

    def __init__(self, place: str, *looks: Look) -> None:
        self.place = place
        self._looks = list(looks)

    async def look(self) -> Look:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


class StillTop(Top):
    def clock(self) -> str:
        return "08:15:00"

    def now_ms(self) -> int:
        return NOW_MS


DAYS = {
    "good": (GOOD, GOOD, BAD, GOOD),
    "bad": (GOOD, GOOD, BAD),
    "away": (GOOD, AWAY, AWAY),
    "never": (AWAY,),
    "crowded": (CROWDED,),
}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("day", DAYS)
async def test_it_is_drawn_as_its_snapshot(day: str, size: tuple[int, int], tmp_path: Path) -> None:
    drawn = ""
    for language in ("vi", "en"):
        app = StillTop([FakeSource("s0001", *DAYS[day])], language=language, live=False)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await app.workers.wait_for_complete()
            for _ in DAYS[day][1:]:
                await app.look()
            await pilot.pause()
            shown = text_of(app)
            assert not set(shown) - {"\n"} - FONT.numbers.keys(), "not in the console font"
            drawn += f"{shown}{'=' * size[0]}\n"
            if MODE == "pictures":
                (tmp_path / f"top-{day}-{language}-{size[0]}.png").write_bytes(picture_of(app, FONT))
    path = SNAPSHOTS / f"top-{day}-{size[0]}x{size[1]}.txt"
    if MODE == "write":
        path.write_text(drawn)
    assert drawn == path.read_text()


async def test_keys_turn_the_communes_and_the_language() -> None:
    app = StillTop([FakeSource("s0001", GOOD), FakeSource("s0002", BAD)], live=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "s0001" in text_of(app)
        assert "Mọi thứ hoạt động" in text_of(app)
        await pilot.press("l")
        assert "Everything works." in text_of(app)
        await pilot.press("n")
        await app.look()
        assert "s0002" in text_of(app)
        assert "The main Internet line" in text_of(app)
        await pilot.press("p")
        assert "Everything works." in text_of(app)
        await pilot.press("q")
    assert app.return_code == 0


@pytest.mark.parametrize("size", [(80, 24), (80, 60), (132, 43), (200, 24), (40, 10)])
@pytest.mark.parametrize("look", [GOOD, BAD, AWAY, CROWDED])
def test_it_fills_any_terminal_and_never_more(size: tuple[int, int], look: Look) -> None:
    columns, rows = size
    sight = see(see(Sight("s0001"), GOOD), look)
    lines = lay_out(sight, columns, rows, language="vi", clock="08:15:00", page="1/2", now_ms=NOW_MS)
    assert len(lines) == rows
    assert max(line.cell_len for line in lines) <= columns


def test_what_is_down_is_shown_first_where_not_all_fits() -> None:
    lines = lay_out(see(Sight("x"), CROWDED), 80, 24, language="en", clock="", page="", now_ms=NOW_MS)
    text = "\n".join(line.plain for line in lines)
    assert "Internet VNPT" in text
    assert "more, 0 of them down" in text


def test_an_agent_that_is_away_keeps_its_last_sight_and_says_so() -> None:
    sight = see(see(see(Sight("x"), GOOD), AWAY), AWAY)
    assert sight.missed == 2
    assert sight.look.now == GOOD.now
    assert see(sight, GOOD).missed == 0


def test_a_kiosk_is_seen_though_the_agent_is_away() -> None:
    sight = see(Sight("x"), replace(AWAY, kiosks=BAD.kiosks))
    text = "\n".join(line.plain for line in lay_out(sight, 80, 24, language="en", clock="", page="", now_ms=NOW_MS))
    assert "BUTTONS NOT CONNECTED" in text.replace("\u00a0", " ")


@pytest.mark.parametrize("look", [GOOD, AWAY])
def test_a_kiosk_that_does_not_answer_is_said(look: Look) -> None:
    sight = see(see(Sight("x"), GOOD), replace(look, kiosks=(), silent=("kiosk-1", "kiosk-2", "kiosk-3")))
    text = "\n".join(line.plain for line in lay_out(sight, 80, 24, language="en", clock="", page="", now_ms=NOW_MS))
    assert "kiosk-1: DOES NOT ANSWER" in text
    assert "... and 2 more kiosks, 2 of them with something wrong" in text


def test_sparks_are_the_past_the_newest_at_the_right() -> None:
    assert spark((5.0, 1.0, 5.0, 20.0, None), 7) == "  ▄▁▄█x"
    assert spark((), 3) == "   "
    assert spark((0.0, 0.0), 2) == "▁▁"
    assert len(spark(tuple(map(float, range(500))), 20)) == 20
