"""One of each message and each kind of entry, as wire version 1 writes them. Their bytes stand in tests/golden/v1.

`python -m tests.bus.wire_samples` writes the golden files that are missing; one that is there is never written again:
what was released stays readable. docs/wire.md shows these as its examples.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from bus.clock import Quality, Stamp
from bus.entries import (
    ClockAnchor,
    DesiredReached,
    DiagnosisChanged,
    EntryData,
    EventNoted,
    JournalOpened,
    LineMinute,
    LinkMinute,
    OfficerOnDuty,
    OutageClosed,
    OutageOpened,
    PresenceChanged,
    RatingDay,
    RatingFlagged,
    RatingPressed,
    RatingReason,
    SampleBlock,
    Sentence,
    TargetMinute,
    WatchGap,
    kind_of,
)
from bus.messages import (
    Batch,
    Beacon,
    Desired,
    Entry,
    Lost,
    Reached,
    Receipt,
    Refused,
    Reported,
    Status,
    encode,
)

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "v1"
BOOT: Final = "5f0c1d6e8a7b49c2930e1f2a3b4c5d6e"
EPOCH: Final = "9f86d081884c7d65"
WALL_MS: Final = 1_790_000_000_000

_SAYS: Final = Sentence(vi="Đường Internet VNPT bị đứt.", en="The VNPT Internet line is down.")
_DO: Final = Sentence(vi="Gọi 18001091.", en="Call 18001091.")

DATA: Final[tuple[EntryData, ...]] = (
    JournalOpened("start", "0123456789abcdef", 1204, "c0" * 32),
    ClockAnchor(),
    DiagnosisChanged(
        "internet-down", "vnpt", WALL_MS - 4_000, 0.95, _SAYS, _DO, ["router: ok", "vnpt: no answer"], "eth0"
    ),
    OutageOpened("9f86d081884c7d65-17", "vnpt", "internet-down", WALL_MS - 4_000, "VNPT", ["vnpt: no answer"]),
    OutageClosed(
        "9f86d081884c7d65-17",
        "vnpt",
        "internet-down",
        WALL_MS - 4_000,
        WALL_MS + 60_000,
        5_000,
        "VNPT",
        ["vnpt: no answer"],
    ),
    LinkMinute(
        WALL_MS - WALL_MS % 60_000,
        {"vnpt": TargetMinute(60, 2, 3.3, 8.25, 0.5), "tslcd": TargetMinute(60, 60, 100.0)},
        {"fibre": LineMinute(60, 0, "VNPT")},
    ),
    WatchGap(WALL_MS - 90_000, WALL_MS, "boot"),
    PresenceChanged("s0001-kiosk-1", "kiosk", online=True, version="0.1.0"),
    DesiredReached("s0001-kiosk-1", "s0001-agent", "restart", 7, "done", "restarts"),
    EventNoted("certificate-renewed", "90 days", "s0001-agent"),
    SampleBlock(WALL_MS, 1_000, {'rtt_ms{target="vnpt"}': [8.1, None, 8.4], "temperature_celsius": [51.0, 51.0, 51.5]}),
    RatingPressed(
        "panel-1/00c0ffee/41",
        "panel",
        2,
        5,
        35,
        "counter-1",
        officer="cb-07",
        question="q1",
        language="vi",
        replaces="panel-1/00c0ffee/40",
        flags=["burst"],
    ),
    RatingReason("panel-1/00c0ffee/41", "waiting-time", "counter-1"),
    RatingFlagged(["panel-1/00c0ffee/39", "panel-1/00c0ffee/40"], "burst"),
    RatingDay("2026-09-21", "counter-1", [5, 1, 0, 0, 1], [5, 1, 0, 0, 0], [4, 1, 0, 0, 0], "ab" * 32),
    OfficerOnDuty("counter-1", "cb-07", "badge"),
)


def entry(data: EntryData, seq: int = 1) -> Entry:
    """A whole entry with this data."""
    at = Stamp(BOOT, 912_000_000_000, WALL_MS, Quality.TRUSTED)
    return Entry(seq, kind_of(data), at, msgspec.Raw(encode(data)))


_ENTRIES: Final = [msgspec.Raw(encode(entry(EventNoted("started"), 1205))), msgspec.Raw(encode(entry(DATA[11], 1206)))]

MESSAGES: Final[dict[str, msgspec.Struct]] = {
    "batch": Batch(
        "s0001-kiosk-1", EPOCH, "record", 1100, 1206, _ENTRIES, "c0" * 32, [Lost(1150, 1151, "damaged")], 1205
    ),
    "batch-asking": Batch("s0001-kiosk-1", EPOCH, "sample", 4000, 9000, []),
    "receipt": Receipt(
        "hub",
        "s0001-kiosk-1",
        EPOCH,
        "record",
        [(1, 1149), (1152, 1206)],
        "3b7e1c9a",
        WALL_MS,
        [Refused(1203, "quarantined", "wrong-data")],
    ),
    "beacon": Beacon("3b7e1c9a", WALL_MS, 5),
    "status": Status("s0001-kiosk-1", "kiosk", online=True, version="0.1.0", boot=BOOT, at_ms=WALL_MS),
    "status-will": Status("s0001-kiosk-1", "kiosk", online=False, version="0.1.0", boot=BOOT),
    "desired": Desired(
        "s0001",
        "s0001-agent",
        1_790_000_000_001,
        {"s0001-kiosk-1": {"restart": msgspec.Raw(b'"2026-09-21T07:00:00Z"')}},
    ),
    "reported": Reported("s0001-kiosk-1", {"s0001-agent": {"restart": Reached(1_790_000_000_001, "done")}, "hub": {}}),
}


def golden() -> dict[str, tuple[bytes, Any]]:
    """File name -> (bytes as written today, what they must be read as)."""
    files: dict[str, tuple[bytes, Any]] = {f"{name}.json": (encode(one), one) for name, one in MESSAGES.items()}
    for data in DATA:
        whole = entry(data)
        files[f"entry.{whole.kind}.json"] = (encode(whole), data)
    return files


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, (written, _) in golden().items():
        if not (GOLDEN / name).exists():
            (GOLDEN / name).write_bytes(written)
            print("written", name)
