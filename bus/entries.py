"""What a journal entry may say: one struct a kind, each a `record` or a `sample` (design decision 4).

A kind is `<subject>.<what happened>`. A hub that does not know a kind stores the entry raw; a reader accepts unknown
fields. Times inside are Unix milliseconds as the device saw them: the entry's own stamp says how far to believe them.
"""

from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from bus.errors import WrongInputError
from bus.messages import EntryClass


class JournalOpened(Struct, frozen=True, omit_defaults=True):
    """First record of an epoch. It carries the chain on from the epoch before (empty for a new journal)."""

    reason: Literal["new", "start", "repair", "receipt-above-head", "conflict"]
    previous_epoch: str = ""
    previous_head: int = 0
    previous_chain: str = ""


class ClockAnchor(Struct, frozen=True):
    """Time has become trusted in this boot: the entry's stamp ties monotonic time to UTC for all of the boot."""


class Sentence(Struct, frozen=True):
    """A text for people, in both languages."""

    vi: str
    en: str


class DiagnosisChanged(Struct, frozen=True, omit_defaults=True):
    """The one cause of what is wrong at a site, from now on. `cause` is `fine` when nothing is.

    `subject` names the line, host or rung at fault; `since_ms` is when its first symptom was seen; `confidence` is from
    0 to 1; `evidence` lists the rungs as they were seen.
    """

    cause: str
    subject: str
    since_ms: int
    confidence: float
    says: Sentence
    do: Sentence
    evidence: list[str] = []
    uplink: str = ""


class OutageOpened(Struct, frozen=True, omit_defaults=True):
    """A line or service has gone down. `outage` is unique on the device for ever.

    `carried`: it began in an earlier boot, so this boot's anchor does not move `started_ms`.
    """

    outage: str
    subject: str
    cause: str
    started_ms: int
    provider: str = ""
    evidence: list[str] = []
    carried: bool = False


class OutageClosed(Struct, frozen=True, omit_defaults=True):
    """It is over. `unwatched_ms` of it were not observed (no power, agent not running) and count as unknown.

    `carried`: it began in an earlier boot. Where this boot's anchor moves `ended_ms`, `unwatched_ms` grows by as much;
    until then, with a clock that is behind, `ended_ms` may lie before the start and `unwatched_ms` below zero.
    """

    outage: str
    subject: str
    cause: str
    started_ms: int
    ended_ms: int
    unwatched_ms: int = 0
    provider: str = ""
    evidence: list[str] = []
    carried: bool = False


class TargetMinute(Struct, frozen=True, omit_defaults=True):
    """One target in one minute: bursts tried, bursts failed, packet loss, mean round trip and jitter (ms)."""

    tried: int
    failed: int
    loss_pct: float = 0.0
    rtt_ms: float | None = None
    jitter_ms: float | None = None


class LinkMinute(Struct, frozen=True, omit_defaults=True):
    """Verdicts of one minute. A minute without this record was not watched: it is unknown, not an outage.

    `lines` gives each uplink's observed and down seconds in the minute, and its provider.
    """

    start_ms: int
    targets: dict[str, TargetMinute]
    lines: dict[str, "LineMinute"] = {}


class LineMinute(Struct, frozen=True, omit_defaults=True):
    """An uplink in one minute."""

    observed_s: int
    down_s: int
    provider: str = ""


class WatchGap(Struct, frozen=True):
    """The agent did not watch between these times (power cut, crash, restart)."""

    from_ms: int
    to_ms: int
    reason: Literal["boot", "restart"]


class PresenceChanged(Struct, frozen=True, omit_defaults=True):
    """A device of the site came or went on the site's broker. `expected` says that the roster names it."""

    device: str
    part: str
    online: bool
    expected: bool = True
    version: str = ""


class DesiredReached(Struct, frozen=True, omit_defaults=True):
    """A device has reached, refused or failed a desired property (restart, identify, configuration)."""

    device: str
    issuer: str
    name: str
    version: int
    result: Literal["done", "refused", "failed"]
    detail: str = ""


class EventNoted(Struct, frozen=True, omit_defaults=True):
    """Something an engineer will want to know later: `event` is a fixed name, `detail` varies."""

    event: str
    detail: str = ""
    subject: str = ""


class SampleBlock(Struct, frozen=True, omit_defaults=True):
    """Measurements over a stretch of time, by column.

    A series is named as in Prometheus, `name{label="value"}`, without the commune and device, which the hub adds.
    Value i was taken at `start_ms + i * step_ms`; null means that there was none.
    """

    start_ms: int
    step_ms: int
    series: dict[str, list[float | None]]


# The press was kept by a touch page whose clock nobody vouches for: not misuse, so it stays in filtered figures.
AGE_UNSURE: Final = "age-unsure"


class RatingPressed(Struct, frozen=True, omit_defaults=True):
    """A citizen pressed a button: one press, one record, never deleted.

    `press` names it for ever: `<panel>/<boot>/<seq>` whatever the source. `level` counts from 1, the most satisfied, to
    `levels`. The press was made `age_ms` before the entry's own stamp. A vote replaced within 5 s stays; the later one
    names it in `replaces`, and only the later one counts. `flags` are those of docs/ratings.md. No identity of the
    citizen is here or anywhere.
    """

    press: str
    source: Literal["panel", "keypad", "touch"]
    level: int
    levels: int
    age_ms: int
    counter: str
    officer: str = ""
    question: str = ""
    language: str = "vi"
    replaces: str = ""
    flags: list[str] = []


class RatingReason(Struct, frozen=True, omit_defaults=True):
    """The citizen gave a reason for the press before."""

    press: str
    reason: str
    counter: str


class RatingFlagged(Struct, frozen=True):
    """Presses that only later ones showed to be misuse (a burst's first presses). They stay and are flagged."""

    presses: list[str]
    flag: str


class RatingDay(Struct, frozen=True):
    """The day's totals after closing, so that a published figure can be held against them.

    `day` is the local date. `pressed` counts every press, `counted` those that stand (not replaced), `filtered` those
    that also bear no flag; each is by level, index 0 being level 1. `digest` is the SHA-256 over the lines
    `press,level` of all presses of the day in order of recording.
    """

    day: str
    counter: str
    pressed: list[int]
    counted: list[int]
    filtered: list[int]
    digest: str


class OfficerOnDuty(Struct, frozen=True, omit_defaults=True):
    """From now on ratings at `counter` belong to `officer` (a code; empty: nobody)."""

    counter: str
    officer: str
    source: Literal["badge", "console", "settings"]


EntryData = (
    JournalOpened
    | ClockAnchor
    | DiagnosisChanged
    | OutageOpened
    | OutageClosed
    | LinkMinute
    | WatchGap
    | PresenceChanged
    | DesiredReached
    | EventNoted
    | SampleBlock
    | RatingPressed
    | RatingReason
    | RatingFlagged
    | RatingDay
    | OfficerOnDuty
)

# The one table of kinds. A name here is on the wire for ever.
KINDS: Final[dict[str, type[EntryData]]] = {
    "journal.opened": JournalOpened,
    "clock.anchor": ClockAnchor,
    "diagnosis.changed": DiagnosisChanged,
    "outage.opened": OutageOpened,
    "outage.closed": OutageClosed,
    "link.minute": LinkMinute,
    "watch.gap": WatchGap,
    "presence.changed": PresenceChanged,
    "desired.reached": DesiredReached,
    "event.noted": EventNoted,
    "sample.block": SampleBlock,
    "rating.pressed": RatingPressed,
    "rating.reason": RatingReason,
    "rating.flagged": RatingFlagged,
    "rating.day": RatingDay,
    "officer.duty": OfficerOnDuty,
}
_NAMES: Final = {struct: name for name, struct in KINDS.items()}
assert set(get_args(EntryData)) == set(_NAMES), "BUG: a kind of entry has no name"  # noqa: S101


def kind_of(data: EntryData) -> str:
    """The kind's name on the wire."""
    return _NAMES[type(data)]


def class_of(kind: str) -> EntryClass:
    """`sample` for measurements, which may be shed; `record` for all else, unknown kinds included."""
    return "sample" if kind.startswith("sample.") else "record"


def read_data(kind: str, data: msgspec.Raw) -> EntryData | None:
    """Decode an entry's data; None for an unknown kind, `WrongInputError` where it does not fit its kind."""
    struct = KINDS.get(kind)
    if struct is None:
        return None
    try:
        return msgspec.json.decode(data, type=struct)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongInputError(f"entry of kind {kind}: {error}") from error
