"""A province to look at: communes with Vietnamese names and several faults, stored through the hub's own ingest.

`seed` is what tests and screenshots stand on. Every entry goes the way of a real one, so what the pages and the API
show is what they would show of real boxes.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import insert

from bus.clock import Quality, Stamp
from bus.entries import (
    ClockAnchor,
    DiagnosisChanged,
    EntryData,
    EventNoted,
    JournalOpened,
    LineMinute,
    LinkMinute,
    OutageClosed,
    OutageOpened,
    PresenceChanged,
    RatingPressed,
    RatingReason,
    Sentence,
    TargetMinute,
    kind_of,
)
from bus.messages import Batch, Entry, Lost
from hub import schema
from hub.admission import Admitted
from hub.database import Database
from hub.roster import DeviceRow, Roster, RosterFile, SiteRow
from hub.store import Store

MINUTE_MS = 60_000
NAMES = (
    "Mường Lát",
    "Ba Thước",
    "Thường Xuân",
    "Quan Hóa",
    "Pù Luông",
    "Cẩm Thủy",
    "Ngọc Lặc",
    "Nga Sơn",
    "Hậu Lộc",
    "Phường Hạc Thành",
    "Phường Sầm Sơn",
    "Phường Bỉm Sơn",
    "Yên Định",
    "Vĩnh Lộc",
    "Như Thanh",
    "Lam Sơn",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a commune, for so many minutes now."""

    cause: str
    subject: str
    says: Sentence
    do: Sentence
    minutes: int
    evidence: tuple[str, ...] = ()


FIBRE = Fault(
    "fibre-down",
    "internet",
    Sentence(
        vi="Cáp quang Internet VNPT đứt ở phía nhà mạng; mạng TSLCD vẫn tốt.",
        en="The VNPT Internet fibre is broken on the provider's side; TSLCD is fine.",
    ),
    Sentence(
        vi="Gọi VNPT 18001166, báo mã thuê bao TH-0412; một cửa tiếp tục qua TSLCD.",
        en="Call VNPT on 18001166 with subscriber TH-0412; the counters go on over TSLCD.",
    ),
    291,
    ("router: up", "internet: 3 of 3 anchors silent since 09:14", "tslcd: up, 4 ms"),
)
SWITCH = Fault(
    "switch-dead",
    "switch",
    Sentence(
        vi="Bộ chuyển mạch (switch) của xã không trả lời.",
        en="The commune's switch does not answer.",
    ),
    Sentence(
        vi="Kiểm tra nguồn điện của switch, rút ra cắm lại; nếu đèn không sáng, thay bộ nguồn.",
        en="Check the switch's power, unplug and plug it in again; if no light comes, change its supply.",
    ),
    12,
)
DNS = Fault(
    "dns-dead",
    "dns",
    Sentence(
        vi="Máy chủ tên miền (DNS) không trả lời; đường truyền vẫn thông.", en="DNS does not answer; lines are up."
    ),
    Sentence(
        vi="Đổi DNS của bộ định tuyến sang 203.113.131.1, rồi báo cho tỉnh.",
        en="Set the router's DNS to 203.113.131.1 and tell the province.",
    ),
    47,
)
FINE = Sentence(vi="Mọi đường truyền và dịch vụ đều bình thường.", en="All lines and services are normal.")


@dataclass(slots=True)
class Box:
    """An agent's journal, written as it would be and handed to the store in batches."""

    roster: Roster
    device: str
    epoch: str
    entries: list[msgspec.Raw] = field(default_factory=list)
    seq: int = 0

    def write(
        self,
        data: EntryData,
        at_ms: int,
        *,
        quality: Quality = Quality.TRUSTED,
        boot: str = "b" * 32,
        mono_ms: int | None = None,
    ) -> None:
        """Append one record."""
        self.seq += 1
        mono_ns = (at_ms % 2**40 if mono_ms is None else mono_ms) * 1_000_000
        stamp = Stamp(boot, mono_ns, at_ms, quality)
        entry = Entry(self.seq, kind_of(data), stamp, msgspec.Raw(msgspec.json.encode(data)))
        self.entries.append(msgspec.Raw(msgspec.json.encode(entry)))

    def batch(self, *, head: int | None = None, lost: Sequence[Lost] = (), skip: int = 0) -> Admitted:
        """All of it in one batch, without its first `skip` entries."""
        sent = self.entries[skip:]
        batch = Batch(
            device=self.device,
            epoch=self.epoch,
            klass="record",
            first_held=1,
            head=self.seq if head is None else head,
            entries=sent,
            lost=list(lost),
            first=skip + 1,
        )
        return Admitted(self.roster.members[self.device], batch, sum(len(bytes(raw)) for raw in sent))


def roster(names: Sequence[str] = NAMES) -> Roster:
    """The known list: an agent, a kiosk and a loudspeaker a commune."""
    sites = []
    for index, name in enumerate(names):
        site = f"s{index + 1:04}"
        devices = [
            DeviceRow(f"{site}-{suffix}", part, f"{index:032x}{number:032x}")
            for number, (suffix, part) in enumerate(
                (("agent", "agent"), ("kiosk-1", "kiosk"), ("speaker-1", "speaker")), 1
            )
        ]
        shown = name if name.startswith("Phường") else f"Xã {name}"
        former = ["Xã Lương Ngoại", "Thị trấn Cành Nàng"] if name == "Ba Thước" else []
        sites.append(
            SiteRow(site, str(14800 + 3 * index), shown, province="Tỉnh Thanh Hóa", former_names=former, device=devices)
        )
    return Roster.of(RosterFile(sites))


def seed(database: Database, *, now_ms: int | None = None, minutes: int = 60, names: Sequence[str] = NAMES) -> Store:
    """Fill `database`. Sites 1, 3 and 5 have a fault, 2 has long been silent, 4 was never heard, 6 lacks a device."""
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    known = roster(names)
    clock = [now_ms]
    store = Store(database, now_ms=lambda: clock[0])
    store.open(known)
    faults = {0: FIBRE, 2: SWITCH, 4: DNS}
    for index in range(len(names)):
        if index == 3:
            continue
        silent_ms = 197 * MINUTE_MS if index == 1 else 0
        clock[0] = now_ms - silent_ms - 2_000 - 1_700 * index
        fault = faults.get(index)
        box = Box(known, f"s{index + 1:04}-agent", f"{index + 1:016x}")
        _live(box, index, clock[0], minutes, fault)
        store.ingest([box.batch(head=box.seq + (3 if index == 7 else 0))])
        for suffix in ("kiosk-1", "speaker-1"):
            part = Box(known, f"s{index + 1:04}-{suffix}", f"{index + 1:08x}{suffix[:1].encode().hex():0>8}")
            part.write(JournalOpened("new"), clock[0] - minutes * MINUTE_MS)
            part.write(EventNoted("started", subject=suffix), clock[0] - minutes * MINUTE_MS)
            lost = [Lost(3, 9, "damaged")] if index == 8 and suffix == "kiosk-1" else []
            if suffix == "kiosk-1" and not lost:
                _presses(part, index, clock[0] - minutes * MINUTE_MS)
            if not (index == 5 and suffix == "speaker-1"):
                store.ingest([part.batch(head=9 if lost else part.seq, lost=lost)])
    clock[0] = now_ms
    return store


def _presses(kiosk: Box, index: int, from_ms: int) -> None:
    """A few citizens of the morning; one of them thinks again, and one press looks like a child's."""
    for number in range(3 + index % 4):
        press = f"p{index}/{index:08x}/{number + 1}"
        replaces = f"p{index}/{index:08x}/{number}" if number == 2 else ""
        flags = ["burst"] if number == 1 else []
        level = 1 + (index + number) % 5
        pressed = RatingPressed(press, "panel", level, 5, 200, "cua-1", "CB01", replaces=replaces, flags=flags)
        kiosk.write(pressed, from_ms + number * 61_000)
        if level >= 4:
            kiosk.write(RatingReason(press, "waiting", "cua-1"), from_ms + number * 61_000 + 4_000)


def _live(box: Box, index: int, now_ms: int, minutes: int, fault: Fault | None) -> None:
    start_ms = (now_ms - minutes * MINUTE_MS) // MINUTE_MS * MINUTE_MS
    box.write(JournalOpened("new"), start_ms)
    box.write(ClockAnchor(), start_ms)
    box.write(DiagnosisChanged("fine", "", start_ms, 1.0, FINE, Sentence(vi="", en="")), start_ms)
    for suffix, part in (("kiosk-1", "kiosk"), ("speaker-1", "speaker")):
        device = f"{box.device.removesuffix('-agent')}-{suffix}"
        box.write(PresenceChanged(device, part, online=True, version="0.1.0"), start_ms)
    if index % 3 == 1:
        began = start_ms + 7 * MINUTE_MS
        ended = began + (4 + index) * MINUTE_MS
        box.write(OutageOpened(f"o{index}", "internet", "fibre-down", began, "VNPT", ["internet: silent"]), began)
        box.write(
            OutageClosed(f"o{index}", "internet", "fibre-down", began, ended, index * 20_000, "VNPT", ["internet: up"]),
            ended,
        )
    for number in range(minutes):
        at_ms = start_ms + number * MINUTE_MS
        box.write(minute(index, number, at_ms, down=fault is FIBRE and minutes - number <= FIBRE.minutes), at_ms)
    if fault is not None:
        since = now_ms - fault.minutes * MINUTE_MS
        if fault is FIBRE:
            box.write(OutageOpened(f"f{index}", "internet", fault.cause, since, "VNPT", list(fault.evidence)), since)
        said = DiagnosisChanged(fault.cause, fault.subject, since, 0.95, fault.says, fault.do, list(fault.evidence))
        box.write(said, since + 3_000)
    elif index == 5:
        gone = now_ms - 26 * MINUTE_MS
        box.write(PresenceChanged("s0006-speaker-1", "speaker", online=False, version="0.1.0"), gone)


def minute(index: int, number: int, at_ms: int, *, down: bool) -> LinkMinute:
    """One minute as the agent of site `index` would tell it."""
    provider = ("VNPT", "Viettel", "FPT Telecom")[index % 3]
    spread = (index * 7 + number * 3) % 11 / 10
    targets = {
        "router": TargetMinute(60, 0, 0.0, 0.4 + spread / 5, 0.1),
        "tslcd-hub": TargetMinute(60, 0, 0.0, 3.8 + spread, 0.3),
        "dich-vu-cong": TargetMinute(12, 0, 0.0, 21.0 + 4 * spread, 1.2),
        "may-in-mot-cua": TargetMinute(12, 12 if index == 9 else 0, 100.0 if index == 9 else 0.0),
    }
    lines = {
        "internet": LineMinute(60, 60 if down else (9 if number % 97 == 41 else 0), provider),
        "tslcd": LineMinute(60, 0, "VNPT TSLCD"),
    }
    return LinkMinute(at_ms, targets, lines)


def past_months(database: Database, *, now_ms: int, days: int) -> None:
    """Minutes of the past for the pictures, straight into the table that availability is summed from."""
    with database.write() as connection:
        agents = connection.execute(
            schema.journal.select().where(schema.journal.c.device_id.endswith("-agent"))
        ).mappings()
        for agent in list(agents):
            index = int(agent["device_id"][1:5]) - 1
            connection.execute(insert(schema.line_minute), list(_past(index, dict(agent), now_ms, days)))
            hours = range((now_ms - days * 1440 * MINUTE_MS) // 3_600_000, now_ms // 3_600_000 + 1)
            site = agent["device_id"].removesuffix("-agent")
            connection.execute(insert(schema.line_touched), [{"site_id": site, "hour": hour} for hour in hours])


def _past(at: int, agent: dict[str, object], now_ms: int, days: int) -> Iterator[dict[str, object]]:
    device = str(agent["device_id"])
    first = now_ms // MINUTE_MS - days * 1440
    for number in range(days * 1440 - 400):
        if number % 1440 < at * 11 % 70:  # the box was off
            continue
        down = 60 if number % 9000 < at * 13 % 120 else 0
        for line, provider in (("internet", ("VNPT", "Viettel", "FPT Telecom")[at % 3]), ("tslcd", "VNPT TSLCD")):
            yield {
                "journal_id": agent["id"],
                "seq": 10_000_000 + number,
                "line": line,
                "site_id": device.removesuffix("-agent"),
                "device_id": device,
                "provider": provider,
                "start_ms": (first + number) * MINUTE_MS,
                "observed_s": 60,
                "down_s": down if line == "internet" else 0,
            }
