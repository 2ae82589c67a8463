"""What a kiosk asks, shows and sounds: settings that converge from the province or the commune.

They come as the desired property `configuration`, or stand in the configuration file until then. What is
refused is refused whole, with the reason reported back; the kiosk goes on with what it had. Times of day are local
(Asia/Ho_Chi_Minh).
"""

from datetime import datetime, time
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, field

LOCAL: Final = ZoneInfo("Asia/Ho_Chi_Minh")
MOST_REASONS: Final = 4
_UNSURE_PCT: Final = 30
# The face of each level, out of five: what a three-level scale shows must be the faces a citizen expects.
FACES: Final = {3: (1, 3, 5), 4: (1, 2, 4, 5), 5: (1, 2, 3, 4, 5)}

Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}$", description="ISO 639 code: vi, en, tai, hmn, mtq, tyz ...")]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM, 24 hours")]
Percent = Annotated[int, Meta(ge=0, le=100)]
Text = dict[Language, str]
"""A text by language; `vi` stands in where a language is absent."""


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What the citizen is asked."""

    id: Code
    text: Text


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a low rating: an icon of the kiosk's own set, and its name."""

    id: Code
    icon: Annotated[str, Meta(pattern=r"^[a-z-]{1,24}$")]
    text: Text


class Officer(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may be on duty at this counter. `badge` is what the scanner reads; the code is what is stored."""

    code: Code
    name: str
    badge: str = ""


class Hours(Struct, frozen=True, forbid_unknown_fields=True):
    """Counter hours: on these ISO weekdays (1 is Monday), from `opens` up to but not including `closes`."""

    days: list[Annotated[int, Meta(ge=1, le=7)]]
    opens: TimeOfDay
    closes: TimeOfDay

    def __post_init__(self) -> None:
        if self.opens >= self.closes:
            raise ValueError(f"hours from {self.opens} to {self.closes} end before they begin; split them at midnight")


class Volume(Struct, frozen=True, forbid_unknown_fields=True):
    """Loudness of prompts from `start` until the next rule of the day. 0 is a quiet hour."""

    start: TimeOfDay
    volume_pct: Percent


_OFFICE_HOURS: Final = [
    Hours(days=[1, 2, 3, 4, 5], opens="07:00", closes="11:30"),
    Hours(days=[1, 2, 3, 4, 5], opens="13:30", closes="17:00"),
]
_VOLUMES: Final = [Volume("00:00", 0), Volume("06:30", 70), Volume("18:00", 0)]
_QUESTION: Final = Question(
    id="overall",
    text={
        "vi": "Ông/bà có hài lòng với việc phục vụ hôm nay không?",
        "en": "Were you satisfied with the service today?",
    },
)
_REASONS: Final = [
    Reason("waiting", "clock", {"vi": "Chờ lâu", "en": "Long wait"}),
    Reason("attitude", "face", {"vi": "Thái độ phục vụ", "en": "Attitude"}),
    Reason("procedure", "paper", {"vi": "Thủ tục khó hiểu", "en": "Unclear procedure"}),
    Reason("trips", "road", {"vi": "Phải đi lại nhiều lần", "en": "Too many trips"}),
]


class KioskSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that may change on a running kiosk.

    `levels` is for touch; a panel's levels are its buttons, since a button never changes its meaning. Levels whose face
    is `reasons_from` (of five) or unhappier ask for a reason (0: none do).
    """

    counter: Code = "1"
    counter_name: Text = field(default_factory=lambda: {"vi": "Quầy số 1", "en": "Counter 1"})
    levels: Annotated[int, Meta(ge=3, le=5)] = 5
    question: Question = _QUESTION
    reasons: list[Reason] = field(default_factory=lambda: list(_REASONS))
    reasons_from: Annotated[int, Meta(ge=0, le=5)] = 4
    languages: list[Language] = field(default_factory=lambda: ["vi", "en"])
    officers: list[Officer] = field(default_factory=list)
    hours: list[Hours] = field(default_factory=lambda: list(_OFFICE_HOURS))
    volumes: list[Volume] = field(default_factory=lambda: list(_VOLUMES))
    thanks_s: Annotated[float, Meta(ge=1, le=20)] = 4.0
    reason_s: Annotated[float, Meta(ge=3, le=60)] = 12.0

    def __post_init__(self) -> None:
        if len(self.reasons) > MOST_REASONS:
            raise ValueError(
                f"{len(self.reasons)} reasons, {MOST_REASONS} at most: more cannot be told apart at a glance"
            )
        if "vi" not in self.languages:
            raise ValueError("languages must hold vi")
        if self.reasons_from == 1:
            raise ValueError("reasons_from 1 would ask the most satisfied why; use 2 to 5, or 0 for none")
        texts = [self.counter_name, self.question.text, *(reason.text for reason in self.reasons)]
        if any("vi" not in text for text in texts):
            raise ValueError("every text must have a vi form")
        for name, codes in (("reasons", [r.id for r in self.reasons]), ("officers", [o.code for o in self.officers])):
            if len(set(codes)) != len(codes):
                raise ValueError(f"two {name} have the same code")


def say(text: Text, language: str) -> str:
    """The text in `language`, in Vietnamese where it has none."""
    return text.get(language) or text["vi"]


def face_of(level: int, levels: int) -> int:
    """The face of a level, 1 the happiest to 5; a scale of another size has the faces nearest to its ends."""
    faces = FACES[min(max(levels, 3), 5)]
    return faces[min(level, len(faces)) - 1]


def asks_why(settings: KioskSettings, level: int, levels: int) -> bool:
    """Does this answer ask for a reason?"""
    return bool(settings.reasons) and 0 < settings.reasons_from <= face_of(level, levels)


def is_open(settings: KioskSettings, local: datetime) -> bool:
    """Is the counter open at this local time? No hours at all means always."""
    now = local.time()
    return not settings.hours or any(
        local.isoweekday() in hours.days and time.fromisoformat(hours.opens) <= now < time.fromisoformat(hours.closes)
        for hours in settings.hours
    )


def volume_pct(settings: KioskSettings, local: datetime) -> int:
    """Loudness at this local time: the last rule that has begun; before the first of the day, the day's last."""
    if not settings.volumes:
        return 0
    rules = sorted(settings.volumes, key=lambda rule: rule.start)
    begun = [rule for rule in rules if time.fromisoformat(rule.start) <= local.time()]
    return (begun or rules)[-1].volume_pct


def unsure_volume_pct(settings: KioskSettings) -> int:
    """Loudness on a clock that nobody vouches for: it might be the middle of the night, so soft, not silent."""
    return min(_UNSURE_PCT, max((rule.volume_pct for rule in settings.volumes), default=0))


def local_time(wall_ms: int) -> datetime:
    """Unix milliseconds as local time."""
    return datetime.fromtimestamp(wall_ms / 1000, LOCAL)
