"""Times as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import times

NOON = 1_795_500_000_000  # 2026-11-24T12:40:00+07:00 or thereabouts


@pytest.mark.parametrize(
    ("seconds", "vi", "en"),
    [
        (-5, "0 giây", "0 s"),
        (0, "0 giây", "0 s"),
        (59.9, "59 giây", "59 s"),
        (60, "1 phút", "1 min"),
        (3600, "1 giờ", "1 h"),
        (2 * 3600 + 14 * 60 + 59, "2 giờ 14 phút", "2 h 14 min"),
        (3 * 86_400 + 4 * 3600, "3 ngày 4 giờ", "3 d 4 h"),
        (400 * 86_400, "400 ngày", "400 d"),
    ],
)
def test_lengths(seconds: float, vi: str, en: str) -> None:
    assert times.length_text("vi", seconds) == vi
    assert times.length_text("en", seconds) == en


def test_a_moment_shows_its_date_only_where_it_is_not_todays() -> None:
    late = 1_795_543_200_000  # 2026-11-24T18:00:00Z: already the 25th in Vietnam
    assert times.moment_text("vi", late, now_ms=late) == "01:00"
    assert times.moment_text("vi", late - 3_600_000 * 2, now_ms=late) == "23:00 24/11"
    assert times.moment_text("en", late - 3_600_000 * 2, now_ms=late) == "23:00, 24 Nov"
    assert times.moment_text("vi", late - 400 * 86_400_000, now_ms=late) == "01:00, 21/10/2025"
    assert times.moment_text("en", late - 400 * 86_400_000, now_ms=late) == "01:00, 21 Oct 2025"


def test_months() -> None:
    assert times.month_text("vi", "2026-11") == "11/2026"
    assert times.month_text("en", "2026-11") == "Nov 2026"


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["vi", "en"]))
def test_no_time_of_a_broken_clock_breaks_a_page(wall_ms: int, language: str) -> None:
    assert times.moment_text(language, wall_ms, now_ms=NOON)
    assert times.local(wall_ms).isoformat()
