"""A wrong clock at boot, corrected later or never: what the hub then says of each press, and of the day."""

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bus.clock import Quality, Stamp
from bus.entries import EntryData, RatingDay, RatingPressed
from bus.timekeeper import Simulation
from hub.api import tokens
from kiosk.days import Days
from kiosk.settings import Hours, KioskSettings, local_time
from tests.broker import Broker
from tests.hub.process import HubProcess
from tests.hub.sender import Sender
from tests.kiosk.bench import until
from tests.kiosk.resident import DEVICE, ResidentKiosk, plugged_in
from tests.kiosk.test_panel import panel_at

# Closed at every hour of every day: whoever presses on a known clock is out of hours.
NEVER_OPEN = KioskSettings(hours=[Hours([1, 2, 3, 4, 5, 6, 7], "00:00", "00:01")], thanks_s=1.0)
TEN_YEARS_MS = 3_652 * 86_400_000
DAY_MS = 86_400_000


def to_1970() -> int:
    return 3_600_000 - time.time_ns() // 1_000_000


class World:
    """A kiosk, its panel, a broker and a hub."""

    def __init__(self, folder: Path, broker: Broker, site: str) -> None:
        sender = Sender(site=site, device=DEVICE, part="kiosk")
        self.kiosk = ResidentKiosk(folder, broker.config, site=site, settings=NEVER_OPEN)
        sender.key = self.kiosk.key
        self.hub = HubProcess(folder / "hub", broker.config, f"sqlite:///{folder}/hub.db", sender)
        self.hub.key.save_public(folder / "hub.pub")
        self.hub.token = tokens.issue(folder / "hub" / "tokens.toml", name="raw", scopes=["ratings-raw"])

    def ratings(self) -> list[dict[str, Any]]:
        answer = self.hub.get("/api/v1/ratings")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def days(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.hub.get("/api/v1/ratings/days").json()["items"]
        return items


@pytest.fixture
def world(tmp_path: Path, new_broker: Callable[[], Broker], site: str) -> Iterator[World]:
    made = World(tmp_path, new_broker(), site)
    made.hub.start()
    yield made
    made.hub.stop()


def off_by_s(item: dict[str, Any], at_s: float) -> float:
    told = datetime.fromisoformat(item["pressed_at"]).astimezone(UTC).timestamp()
    return abs(told - at_s)


@pytest.mark.parametrize("wrong_ms", [to_1970(), TEN_YEARS_MS], ids=["1970", "ten years on"])
async def test_a_clock_corrected_later_dates_what_was_pressed(world: World, wrong_ms: int) -> None:
    kiosk = world.kiosk
    kiosk.set_clock(Simulation(offset_ms=wrong_ms, error_ms=None))
    async with panel_at(kiosk.line) as panel:
        pressed: list[float] = []

        async def press(button: int) -> None:
            before = panel.state.acknowledged
            panel.press(button)
            pressed.append(time.time())
            await until(lambda: panel.state.acknowledged > before)

        await kiosk.start()
        try:
            await plugged_in(kiosk)
            for button in (1, 5):
                await press(button)
            await until(lambda: len(world.ratings()) == 2, within_s=30)
            early = world.ratings()
            assert [(item["clock_quality"], item["corrected"]) for item in early] == [("unknown", False)] * 2
            assert all(off_by_s(item, at_s) > DAY_MS / 1000 for item, at_s in zip(early, pressed, strict=True))
            kiosk.set_clock(Simulation())
            await until(lambda: all(item["corrected"] for item in world.ratings()), within_s=30)
            await press(3)
            await until(lambda: len(world.ratings()) == 3, within_s=30)
            await kiosk.stop()
            await kiosk.start()  # which journals the totals of a counter that has closed
            await until(lambda: [day["agrees"] for day in world.days()] == [True], within_s=30)
            await kiosk.stop()
        finally:
            await kiosk.kill()
    items = sorted(world.ratings(), key=lambda item: str(item["press"]))
    assert [off_by_s(item, at_s) < 1 for item, at_s in zip(items, pressed, strict=True)] == [True] * 3
    assert [(item["clock_quality"], item["corrected"]) for item in items] == [
        ("unknown", True),
        ("unknown", True),
        ("trusted", False),
    ]
    (day,) = world.days()
    assert day["day"] == local_time(round(pressed[-1] * 1000)).date().isoformat()
    assert day["told"]["pressed"] == [1, 0, 1, 0, 1]
    # Only the last was out of hours on a clock that could say so.
    assert ["out-of-hours" in item["flags"] for item in items] == [False, False, True]


async def test_a_boot_that_never_learned_the_time_is_marked(world: World) -> None:
    kiosk = world.kiosk
    kiosk.set_clock(Simulation(offset_ms=to_1970(), error_ms=None))
    async with panel_at(kiosk.line) as panel:
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            panel.press(2)
            await until(lambda: len(world.ratings()) == 1, within_s=30)
            await kiosk.stop()
        finally:
            await kiosk.kill()
    (item,) = world.ratings()
    assert (item["clock_quality"], item["corrected"], item["flags"]) == ("unknown", False, [])
    assert not [data for _, data in kiosk.records() if isinstance(data, RatingDay)]


# The days' totals alone, on stamps of two boots.


def stamp(boot: str, at_s: float, *, known: bool, wrong_ms: int = 0) -> Stamp:
    quality = Quality.TRUSTED if known else Quality.UNKNOWN
    return Stamp(boot * 32, round(at_s * 1e9), NOON_MS + round(at_s * 1000) + wrong_ms, quality)


NOON_MS = 1_790_053_200_000  # 12:00 in Hanoi
TODAY = local_time(NOON_MS).date().isoformat()
OVER = stamp("c", 2 * 86_400, known=True)


def pressed(seq: int, level: int) -> RatingPressed:
    return RatingPressed(f"P-1/0000000A/{seq}", "panel", level, 5, 0, "1")


def totals_of(days: Days, *events: tuple[EntryData, Stamp]) -> list[RatingDay]:
    for data, at in events:
        days.take(data, at)
    return days.due(KioskSettings(), OVER)


@pytest.mark.parametrize("wrong_ms", [-DAY_MS * 9_000, TEN_YEARS_MS])
def test_an_unknown_clock_makes_no_days_of_its_own(wrong_ms: int) -> None:
    days = Days()
    early = [(pressed(seq, 1), stamp("a", seq, known=False, wrong_ms=wrong_ms)) for seq in (1, 2)]
    for data, at in early:
        days.take(data, at)
    assert days.undated == 2
    assert days.due(KioskSettings(), stamp("a", 3, known=False, wrong_ms=wrong_ms)) == []
    (totals,) = totals_of(days, (pressed(3, 5), stamp("a", 4, known=True)))
    assert (totals.day, totals.pressed) == (TODAY, [2, 0, 0, 0, 1])
    lines = "".join(f"P-1/0000000A/{seq},{level}\n" for seq, level in ((1, 1), (2, 1), (3, 5)))
    assert totals.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_a_boot_without_any_time_is_in_no_days_totals() -> None:
    days = Days()
    lost = (pressed(1, 1), stamp("a", 1, known=False))
    (totals,) = totals_of(days, lost, (pressed(2, 5), stamp("b", 2, known=True)))
    assert totals.pressed == [0, 0, 0, 0, 1]
    assert (days.undated, days.never_dated) == (0, 1)


def test_time_lost_again_within_a_boot_goes_on_by_the_monotonic_clock() -> None:
    later = stamp("a", 3_600, known=False, wrong_ms=TEN_YEARS_MS)
    (totals,) = totals_of(Days(), (pressed(1, 1), stamp("a", 1, known=True)), (pressed(2, 2), later))
    assert (totals.day, totals.pressed) == (TODAY, [1, 1, 0, 0, 0])


def test_totals_that_a_press_overtook_are_due_again() -> None:
    days = Days()
    (first,) = totals_of(days, (pressed(1, 1), stamp("a", 1, known=True)))
    again = totals_of(days, (pressed(2, 2), stamp("a", 2, known=True)), (first, OVER))
    assert [totals.pressed for totals in again] == [[1, 1, 0, 0, 0]]
    assert totals_of(days, (again[0], OVER)) == []
