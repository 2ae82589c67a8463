"""What `commune top` shows: values as the parts tell them, and the short past that it remembers itself. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import Struct

REMEMBERED: Final = 120  # looks


class Words(Struct, frozen=True):
    """A text in both languages."""

    vi: str
    en: str


class Diagnosis(Struct, frozen=True):
    """The one sentence, and what to do."""

    cause: str
    subject: str
    says: Words
    do: Words


class Rung(Struct, frozen=True):
    """A link, or what is reached over one. `state` is up, down or unknown."""

    id: str
    kind: str
    name: str
    state: str
    lossy: bool = False
    loss_pct: float | None = None
    rtt_ms: float | None = None
    reason: str = ""
    certificate_days: float | None = None


class OpenOutage(Struct, frozen=True):
    """An outage that goes on."""

    subject: str
    cause: str
    started_ms: int


class Device(Struct, frozen=True):
    """A device of the site. `online` is None while it was never heard."""

    id: str
    part: str
    online: bool | None
    expected: bool = True


class JournalView(Struct, frozen=True):
    """The agent's own journal, which holds no votes."""

    waiting: int = 0
    recording: bool = True


class BrokerView(Struct, frozen=True):
    """The commune's broker; whether it is bridged to the province's, and the box's own certificate on it."""

    connected: bool = False
    bridged: bool | None = None
    certificate_days: float | None = None


class Now(Struct, frozen=True):
    """What an agent answers."""

    diagnosis: Diagnosis | None = None
    uplink: str = ""
    rungs: list[Rung] = []
    outages: list[OpenOutage] = []
    devices: list[Device] = []
    journal: JournalView | None = None
    broker: BrokerView | None = None
    log: list[str] = []


class KioskNow(Struct, frozen=True):
    """What a kiosk tells of itself (`kiosk.standing`). `waiting` is a class, never a count."""

    device: str
    panels: dict[str, bool]
    keypads: dict[str, bool]
    broker: bool
    disk: bool
    screen: bool | None
    screen_restarts: int
    waiting: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one commune. `error` says why there was nothing to see, `silent` names kiosks that did not answer."""

    now: Now | None = None
    kiosks: tuple[KioskNow, ...] = ()
    silent: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """The newest look that saw something, how many were in vain since, and each rung's past, the oldest first.

    The past holds round trips in milliseconds; None where there was no answer.
    """

    place: str
    look: Look = Look()
    missed: int = 0
    error: str = ""
    past: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


def see(sight: Sight, look: Look) -> Sight:
    """Take a look in."""
    if look.now is None:
        kiosks = look.kiosks if look.kiosks or look.silent else sight.look.kiosks
        kept = replace(sight.look, kiosks=kiosks, silent=look.silent)
        return replace(sight, look=kept, missed=sight.missed + 1, error=look.error)
    past = {rung.id: (*sight.past.get(rung.id, ()), _mark(rung))[-REMEMBERED:] for rung in look.now.rungs}
    return replace(sight, look=look, missed=0, error="", past=past)


def _mark(rung: Rung) -> float | None:
    if rung.state != "up":
        return None
    return 0.0 if rung.rtt_ms is None else rung.rtt_ms
