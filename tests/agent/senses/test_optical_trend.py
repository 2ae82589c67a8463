import errno
import math
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.senses import optical_history
from agent.senses.optical_history import KEEP_DAYS, OpticalHistory
from agent.senses.optical_trend import trend
from bus.clock import Quality, Stamp

DAY_MS = 86_400_000


def test_a_slow_fall_says_in_how_many_days_it_reaches_the_threshold() -> None:
    found = trend({day: -20 - 0.1 * day for day in range(31)}, -27)
    assert found is not None
    assert found.db_per_day == pytest.approx(-0.1)
    assert found.days_left == pytest.approx(40)


def test_a_fall_after_months_without_one_is_told_within_two_weeks() -> None:
    light = dict.fromkeys(range(90), -18.0) | {90 + day: -18 - 0.25 * (day + 1) for day in range(30)}
    for today, days_left in ((119, 6), (104, 21), (99, 26)):
        found = trend({day: dbm for day, dbm in light.items() if today - KEEP_DAYS < day <= today}, -27)
        assert found is not None
        assert found.days_left == pytest.approx(days_left, abs=2), f"day {today}"


def test_a_fall_that_has_ended_is_no_fall() -> None:
    light = {day: -18 - 0.05 * day for day in range(30)} | dict.fromkeys(range(30, 120), -19.5)
    found = trend(light, -27)
    assert found is not None
    assert found.days_left is None


def test_odd_days_do_not_bend_it() -> None:
    light = {day: -20 - 0.1 * day for day in range(31)}
    light |= {5: -40.0, 17: -3.0, 30: -20.0}
    found = trend(light, -27)
    assert found is not None
    assert found.days_left == pytest.approx(40, abs=3)


@pytest.mark.parametrize(
    "light",
    [
        dict.fromkeys(range(30), -20.0),
        {day: -20 + 0.1 * day for day in range(30)},
        {day: -20 + 0.3 * math.sin(day) for day in range(30)},
        {day: -20 - 0.01 * day for day in range(30)},
    ],
    ids=["steady", "rising", "swaying", "too little to tell"],
)
def test_what_does_not_fall_has_no_end(light: dict[int, float]) -> None:
    found = trend(light, -27)
    assert found is not None
    assert found.days_left is None


def test_with_too_few_days_nothing_is_said() -> None:
    assert trend({}, -27) is None
    assert trend({day: -20.0 - day for day in range(6)}, -27) is None


def test_days_without_measurement_do_not_change_the_slope() -> None:
    found = trend({day: -20 - 0.1 * day for day in range(0, 60, 7)}, -27)
    assert found is not None
    assert found.db_per_day == pytest.approx(-0.1)


def test_below_the_threshold_it_is_now() -> None:
    found = trend({day: -27 - 0.1 * day for day in range(10)}, -27)
    assert found is not None
    assert found.days_left == 0


@given(st.dictionaries(st.integers(0, 200), st.floats(-40, 0), max_size=40), st.floats(-40, 0))
def test_days_left_are_never_negative_or_infinite(light: dict[int, float], threshold_dbm: float) -> None:
    found = trend(light, threshold_dbm)
    if found is not None and found.days_left is not None:
        assert 0 <= found.days_left < math.inf


def at(day: int, hour: float = 0, quality: Quality = Quality.TRUSTED) -> Stamp:
    return Stamp("b" * 32, 0, int((20_000 + day) * DAY_MS + hour * 3_600_000), quality)


def test_medians_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "light.json"
    history = OpticalHistory(path)
    for day in range(3):
        for hour, dbm in enumerate((-20.0, -21.0, -35.0)):
            history.add("wan", dbm - day, at(day, hour))
    history.close()
    again = OpticalHistory(path)
    assert again.daily_dbm("wan") == {20_000: -21.0, 20_001: -22.0, 20_002: -23.0}
    again.add("wan", -23.0, at(2, 4))
    assert again.daily_dbm("wan")[20_002] == -23.0
    assert again.daily_dbm("other") == {}


def test_it_stays_small_however_often_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "light.json"
    history = OpticalHistory(path)
    for minute in range(0, 200 * 1440, 5):
        history.add("wan", -20.0, at(0, minute / 60))
    history.close()
    assert len(history.daily_dbm("wan")) == KEEP_DAYS
    assert path.stat().st_size < 8_000


def test_a_clock_that_is_not_known_writes_no_day(tmp_path: Path) -> None:
    history = OpticalHistory(tmp_path / "light.json")
    history.add("wan", -20.0, at(0, quality=Quality.UNKNOWN))
    assert history.daily_dbm("wan") == {}


def test_a_file_that_can_neither_be_read_nor_moved_does_not_stop_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "light.json"

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    for content in (b'{"wan": {"daily', None):  # a broken file, then one that cannot be read (EISDIR stands for EIO)
        if content is None:
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(content)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", fail)
            patched.setattr(optical_history, "replace_file", fail)
            history = OpticalHistory(path)
            history.add("wan", -20.0, at(0))
            history.close()
        assert history.daily_dbm("wan") == {20_000: -20.0}
        assert history.failures == 4


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "light.json"
    path.write_bytes(b'{"wan": {"daily')
    history = OpticalHistory(path)
    history.add("wan", -20.0, at(0))
    assert (tmp_path / "light.json.broken").exists()
    assert OpticalHistory(path).daily_dbm("wan") == {20_000: -20.0}
