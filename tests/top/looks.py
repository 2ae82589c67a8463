"""Looks as a box would give them: a good day, a bad day, a box whose agent is away."""

from agent.top.sight import (
    BrokerView,
    Device,
    Diagnosis,
    JournalView,
    KioskNow,
    Look,
    Now,
    OpenOutage,
    Rung,
    Words,
)

NOW_MS = 1_790_000_000_000
_FINE = Diagnosis("fine", "", Words("Mọi thứ hoạt động bình thường.", "Everything works."), Words("", ""))
_DOWN = Diagnosis(
    "main-down",
    "vnpt",
    Words(
        "Đường Internet chính (VNPT) bị đứt; xã đang dùng đường dự phòng.",
        "The main Internet line (VNPT) is down; the commune uses its spare line.",
    ),
    Words("Gọi VNPT theo số 18001166, hợp đồng YB-1.", "Call VNPT on 18001166, contract YB-1."),
)
_LOG = [f"08:14:{second:02} I agent: probes done={second}" for second in range(20)]


def rungs(*, down: tuple[str, ...] = ()) -> list[Rung]:
    names = {
        "switch": ("switch", "Bộ chuyển mạch", 0.4),
        "router": ("router", "Bộ định tuyến", 1.1),
        "vnpt": ("line", "Internet VNPT", 14.2),
        "viettel": ("line", "Internet Viettel dự phòng 4G", 38.9),
        "tslcd": ("line", "Mạng TSLCD", 9.7),
        "dns": ("dns", "Máy chủ tên miền", 15.0),
        "hub": ("hub", "Trung tâm giám sát của tỉnh", 12.3),
        "mot-cua": ("service", "Phần mềm một cửa", 21.0),
        "ioffice": ("service", "iOffice", 1234.5),
        "may-in": ("host", "Máy in", None),
    }
    return [
        Rung(
            id=name,
            kind=kind,
            name=label,
            state="down" if name in down else "up",
            lossy=name == "tslcd" and bool(down),
            loss_pct=None if kind in ("dns", "hub", "service") else 100.0 if name in down else 0.0,
            rtt_ms=None if name in down else rtt,
            reason="timeout" if name in down else "",
            certificate_days={"mot-cua": 12.4, "ioffice": 240.0}.get(name),
        )
        for name, (kind, label, rtt) in names.items()
    ]


def kiosk(**changes: object) -> KioskNow:
    values: dict[str, object] = {
        "device": "s0001-kiosk-1",
        "panels": {"/dev/serial/by-id/panel": True},
        "keypads": {},
        "broker": True,
        "disk": True,
        "screen": True,
        "screen_restarts": 0,
        "waiting": "few",
    }
    return KioskNow(**{**values, **changes})  # type: ignore[arg-type]


DEVICES = [Device("s0001-kiosk-1", "kiosk", True), *(Device(f"s0001-speaker-{n}", "speaker", True) for n in (1, 2, 3))]
GOOD = Look(Now(_FINE, "vnpt", rungs(), [], DEVICES, JournalView(3), BrokerView(True, True, 240.5), _LOG), (kiosk(),))
BAD = Look(
    Now(
        _DOWN,
        "viettel",
        rungs(down=("vnpt", "may-in")),
        [OpenOutage("vnpt", "line-down", NOW_MS - 7_260_000)],
        [*DEVICES[:3], Device("s0001-speaker-3", "speaker", False), Device("s0001-speaker-4", "speaker", None)],
        JournalView(1204, recording=False),
        BrokerView(False),
        _LOG,
    ),
    (kiosk(panels={"/dev/x": False}, broker=False, disk=False, screen=False, screen_restarts=3, waiting="many"),),
)
AWAY = Look(error="/var/lib/commune/agent/control.sock: [Errno 111] Connection refused")
CROWDED = Look(
    Now(
        _DOWN,
        "",
        [
            *rungs(down=("vnpt",)),
            *(Rung(f"pc-{n}", "host", f"Máy tính quầy {n}", "up", rtt_ms=0.5) for n in range(1, 31)),
        ],
        [OpenOutage(f"pc-{n}", "host-down", NOW_MS - n * 60_000) for n in range(1, 6)],
        [Device(f"s0001-speaker-{n}", "speaker", n % 2 == 0) for n in range(1, 65)],
        JournalView(0),
        BrokerView(True, False, 12.5),
        _LOG,
    ),
    tuple(kiosk(device=f"s0001-kiosk-{n}") for n in range(1, 7)),
)
