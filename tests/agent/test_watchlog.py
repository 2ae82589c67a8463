"""What must outlive a power cut: kept whole, set aside when it cannot be read, and what was not watched."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.outages import Outage
from agent.watchlog import Watched, WatchLog, gap_since
from bus.clock import Quality, Stamp
from bus.entries import WatchGap

KEPT = Watched("boot-1", 5_000, [Outage("o-1", "vnpt", "fibre-down", 1, 2)], ["o-1"], {"lan0": 1000})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    log = WatchLog(tmp_path / "watch.json")
    assert log.read() == Watched()
    assert log.write(KEPT)
    assert log.read() == KEPT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200))
def test_a_damaged_file_is_set_aside_and_the_agent_goes_on(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "watch.json"
    path.write_bytes(b"\xff" + content)
    log = WatchLog(path)
    assert log.read() == Watched()
    assert log.failures == 1
    assert not path.exists()
    assert path.with_name("watch.json.broken").exists()


def test_a_folder_that_is_gone_is_counted_not_raised(tmp_path: Path) -> None:
    log = WatchLog(tmp_path / "gone" / "watch.json")
    assert not log.write(KEPT)
    assert log.failures == 1


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (Stamp("boot-1", 0, 65_000, Quality.TRUSTED), WatchGap(5_000, 65_000, "restart")),
        (Stamp("boot-2", 0, 65_000, Quality.HELD), WatchGap(5_000, 65_000, "boot")),
        (Stamp("boot-2", 0, 65_000, Quality.UNKNOWN), None),
        (Stamp("boot-1", 0, 5_500, Quality.TRUSTED), None),
        (Stamp("boot-1", 0, 4_000, Quality.TRUSTED), None),
    ],
)
def test_gap(now: Stamp, wanted: WatchGap | None) -> None:
    assert gap_since(KEPT, now) == wanted


def test_a_new_box_has_no_gap() -> None:
    assert gap_since(Watched(), Stamp("boot-1", 0, 65_000, Quality.TRUSTED)) is None
