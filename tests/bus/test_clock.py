"""The clock's rules as tables and properties, and the timekeeper against a simulated clock file."""

import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import clock
from bus.clock import ClockState, Quality, Reading, observe, vouch
from bus.files import replace_file
from bus.timekeeper import Timekeeper, boot_id

S_NS = 10**9
NOW_MS = 1_790_000_000_000
START = ClockState(boot="b")
YEAR_2036_MS = 2_082_758_400_000


@pytest.mark.parametrize(
    ("error_ms", "quality"),
    [(0.0, Quality.TRUSTED), (100.0, Quality.TRUSTED), (100.1, Quality.UNKNOWN), (None, Quality.UNKNOWN)],
)
def test_only_a_synchronised_clock_with_a_small_error_is_trusted(error_ms: float | None, quality: Quality) -> None:
    _, stamp = observe(START, Reading(S_NS, NOW_MS, error_ms))
    assert stamp.quality is quality
    assert stamp.wall_ms == NOW_MS


def test_once_trusted_it_is_held_until_it_may_have_drifted_by_two_seconds() -> None:
    state, _ = observe(START, Reading(0, NOW_MS, 1.0))
    limit_s = clock.HELD_DRIFT_MS * 1_000 // clock.DRIFT_PPM
    _, held = observe(state, Reading(limit_s * S_NS, NOW_MS + limit_s * 1_000, None))
    _, unknown = observe(state, Reading((limit_s + 60) * S_NS, NOW_MS + limit_s * 1_000, None))
    assert (held.quality, unknown.quality) == (Quality.HELD, Quality.UNKNOWN)


@pytest.mark.parametrize("stepped_ms", [0, YEAR_2036_MS, NOW_MS - 3_600_000])
def test_a_step_of_a_held_clock_is_not_believed(stepped_ms: int) -> None:
    state, _ = observe(START, Reading(0, NOW_MS, 1.0))
    _, stamp = observe(state, Reading(10 * S_NS, stepped_ms, None))
    assert (stamp.quality, stamp.wall_ms) == (Quality.HELD, NOW_MS + 10_000)


def test_an_officer_or_an_rtc_makes_it_held() -> None:
    state = vouch(START, mono_ns=5 * S_NS, wall_ms=NOW_MS)
    _, stamp = observe(state, Reading(6 * S_NS, 0, None))
    assert (stamp.quality, stamp.wall_ms) == (Quality.HELD, NOW_MS + 1_000)


readings = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=30 * 86_400 * S_NS),
        st.integers(min_value=0, max_value=YEAR_2036_MS),
        st.one_of(st.none(), st.floats(min_value=0, max_value=1e6)),
    ),
    max_size=30,
)


@given(readings=readings, floor_ms=st.integers(min_value=0, max_value=YEAR_2036_MS))
def test_no_unknown_stamp_is_below_the_floor_and_the_floor_never_falls(
    readings: list[tuple[int, int, float | None]], floor_ms: int
) -> None:
    state, mono_ns = ClockState(boot="b", floor_ms=floor_ms), 0
    for passed_ns, wall_ms, error_ms in readings:
        mono_ns += passed_ns
        before = state.floor_ms
        state, stamp = observe(state, Reading(mono_ns, wall_ms, error_ms))
        assert state.floor_ms >= before
        assert stamp.mono_ns == mono_ns
        if stamp.quality is Quality.UNKNOWN:
            assert stamp.wall_ms >= state.floor_ms
            assert error_ms is None or error_ms > clock.TRUSTED_ERROR_MS
        if stamp.quality is Quality.TRUSTED:
            assert stamp.wall_ms == wall_ms


@pytest.mark.parametrize("began_s", [0, 5_000])
def test_an_unknown_clock_behind_the_floor_goes_on_from_it(began_s: int) -> None:
    state = ClockState(boot="b", floor_ms=NOW_MS)
    for passed_s in (0, 60, 600, 3_000, 3_600):
        reading = Reading((began_s + passed_s) * S_NS, NOW_MS - 3_500_000 + passed_s * 1_000, None)
        state, stamp = observe(state, reading)
        assert (stamp.wall_ms, stamp.quality) == (NOW_MS + passed_s * 1_000, Quality.UNKNOWN)
    state, stamp = observe(state, Reading((began_s + 3_700) * S_NS, NOW_MS + 9_000_000, None))
    assert stamp.wall_ms == NOW_MS + 9_000_000, "a reading beyond it is taken as it is"


def test_after_trust_is_lost_the_floor_goes_on_from_the_last_trusted_reading() -> None:
    state, _ = observe(ClockState(boot="b", floor_ms=NOW_MS - 1), Reading(50 * S_NS, 0, None))
    state, _ = observe(state, Reading(100 * S_NS, NOW_MS, 1.0))
    limit_s = clock.HELD_DRIFT_MS * 1_000 // clock.DRIFT_PPM
    _, stamp = observe(state, Reading((100 + limit_s + 60) * S_NS, 0, None))
    assert (stamp.wall_ms, stamp.quality) == (NOW_MS + (limit_s + 60) * 1_000, Quality.UNKNOWN)


def test_times_for_people_are_rfc_3339() -> None:
    assert clock.rfc3339(NOW_MS + 7) == "2026-09-21T14:13:20.007Z"


def simulate(path: Path, offset_ms: int, error_ms: float | None) -> None:
    path.write_text(f'{{"offset_ms": {offset_ms}, "error_ms": {"null" if error_ms is None else error_ms}}}')


def test_the_timekeeper_keeps_a_floor_over_a_restart_in_1970(tmp_path: Path) -> None:
    simulated = tmp_path / "clock"
    simulate(simulated, 0, 1.0)
    keeper = Timekeeper(tmp_path, simulated=simulated)
    trusted = keeper.now()
    assert trusted.quality is Quality.TRUSTED
    assert trusted.boot == boot_id()
    keeper.close()
    simulate(simulated, -trusted.wall_ms, None)
    again = Timekeeper(tmp_path, simulated=simulated)
    stamp = again.now()
    assert stamp.quality is Quality.UNKNOWN
    assert stamp.wall_ms >= trusted.wall_ms
    again.confirm(trusted.wall_ms + 60_000)
    assert again.now().quality is Quality.HELD


def test_the_anchor_is_due_once_and_only_when_trusted(tmp_path: Path) -> None:
    simulated = tmp_path / "clock"
    simulate(simulated, 0, None)
    keeper = Timekeeper(tmp_path, simulated=simulated)
    assert keeper.anchor_due() is None
    simulate(simulated, 0, 5.0)
    assert keeper.anchor_due() is not None
    assert keeper.anchor_due() is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"floor_ms": "x"}', b'{"other": 1}', b"\xff"])
def test_a_broken_floor_file_is_no_floor(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock.json").write_bytes(content)
    simulated = tmp_path / "clock"
    simulate(simulated, 0, 1.0)
    assert Timekeeper(tmp_path, simulated=simulated).now().quality is Quality.TRUSTED


def test_a_simulated_clock_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert Timekeeper(tmp_path, simulated=tmp_path / "none").now().quality is Quality.UNKNOWN


def test_a_slow_disk_holds_no_stamp_up_and_the_floor_gets_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated, disk = tmp_path / "clock", threading.Event()
    written: list[bytes] = []

    def slowly(path: Path, content: bytes) -> None:
        assert disk.wait(10)
        replace_file(path, content)
        written.append(content)

    monkeypatch.setattr("bus.timekeeper.replace_file", slowly)
    simulate(simulated, 0, 1.0)
    keeper = Timekeeper(tmp_path, simulated=simulated)
    first = keeper.now()
    for minutes in (1, 11, 22):  # ten minutes between two writings
        simulate(simulated, minutes * 60_000, 1.0)
        keeper.now()
    assert not (tmp_path / "clock.json").exists()
    disk.set()
    keeper.close()
    assert 1 <= len(written) <= 4
    floor_ms = msgspec.json.decode((tmp_path / "clock.json").read_bytes())["floor_ms"]
    assert floor_ms >= first.wall_ms + 22 * 60_000
    assert keeper.now().quality is Quality.TRUSTED
