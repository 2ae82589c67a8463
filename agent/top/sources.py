"""Where looks come from: the sockets of a box's parts, or an agent's `/metrics` over HTTP. Nothing is ever written."""

import asyncio
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from agent.causes import Cause
from agent.diagnosis import Finding
from agent.sentences import Words as Names
from agent.sentences import words_for
from agent.top.sight import Diagnosis, KioskNow, Look, Now, Rung, Words
from bus.errors import WrongInputError
from bus.unix_sockets import connect_to

CONTROL: Final = "control.sock"
STANDING: Final = "standing.sock"
_PATIENCE_S: Final = 3.0
# One kiosk that hangs must not make the whole view slow.
_KIOSK_PATIENCE_S: Final = 1.0
_AWAY: Final = (OSError, TimeoutError, msgspec.MsgspecError, asyncio.IncompleteReadError, ValueError)
_MOST_BYTES: Final = 4 * 1024 * 1024

T = TypeVar("T")


class Source(Protocol):
    """One commune."""

    @property
    def place(self) -> str:
        """Its name."""

    async def look(self) -> Look:
        """How it stands now; never raises for what may be away."""


@dataclass(frozen=True, slots=True)
class BoxSource:
    """The parts of one box, by their state folders."""

    place: str
    agent: Path | None
    kiosks: tuple[Path, ...] = ()

    async def look(self) -> Look:
        """Ask all at once."""
        now, told = await asyncio.gather(self._agent(), asyncio.gather(*map(_standing, self.kiosks)))
        kiosks = tuple(one for one in told if one is not None)
        silent = tuple(_name(path) for path, one in zip(self.kiosks, told, strict=True) if one is None)
        return Look(now, kiosks, silent) if isinstance(now, Now) else Look(None, kiosks, silent, now)

    async def _agent(self) -> Now | str:
        """What it answers, or why there is nothing."""
        if self.agent is None:
            return f"no agent's {CONTROL} here"
        try:
            return await _ask(self.agent, b'{"do":"now"}\n', Now, within_s=_PATIENCE_S)
        except _AWAY as error:
            return f"{self.agent}: {str(error) or type(error).__name__}"


@dataclass(frozen=True, slots=True)
class MetricsSource:
    """An agent's page for Prometheus: links and the cause, no more."""

    place: str

    async def look(self) -> Look:
        """Read the page."""
        try:
            return Look(await asyncio.to_thread(_read_page, self.place))
        except (OSError, ValueError) as error:
            return Look(error=f"{self.place}: {error}")


def find_boxes(state: Path) -> list[BoxSource]:
    """The communes below `state`: a demo's folder, a box's `/var/lib/commune`, or a part's own folder."""
    if not state.is_dir():
        raise WrongInputError(f"{state} is no folder; give the state folder of a box or of a demo")
    boxes = []
    communes = sorted(path for path in (state / "communes").glob("*") if path.is_dir())
    for folder in communes or [state]:
        agents, kiosks = list(_sockets(folder, CONTROL)), list(_sockets(folder, STANDING))
        if agents or kiosks:
            boxes.append(BoxSource(folder.name, agents[0] if agents else None, tuple(kiosks)))
    if not boxes:
        raise WrongInputError(
            f"no part runs in {state}: neither {CONTROL} of an agent nor {STANDING} of a kiosk is there"
        )
    return boxes


def _sockets(folder: Path, name: str) -> Iterator[Path]:
    for pattern in (name, f"*/{name}", f"*/state/{name}"):
        yield from sorted(path for path in folder.glob(pattern) if path.is_socket())


def _name(path: Path) -> str:
    """A kiosk as its folder is called, while it cannot say its own name."""
    folder = path.parent
    return (folder.parent if folder.name == "state" else folder).name


async def _standing(path: Path) -> KioskNow | None:
    try:
        return await _ask(path, b"", KioskNow, within_s=_KIOSK_PATIENCE_S)
    except _AWAY:
        return None


async def _ask(path: Path, request: bytes, kind: type[T], *, within_s: float) -> T:
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_unix_connection(sock=connect_to(path), limit=_MOST_BYTES)
        try:
            writer.write(request)
            return msgspec.json.decode(await reader.readuntil(), type=kind)
        finally:
            writer.close()


def _read_page(url: str) -> Now:
    if not url.startswith(("http://", "https://")):
        raise ValueError("not an http or https address")
    if not urllib.parse.urlsplit(url).path.strip("/"):
        url = f"{url.rstrip('/')}/metrics"
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as page:  # noqa: S310 - looked at above
        return read_metrics(page.read(_MOST_BYTES).decode())


def read_metrics(text: str) -> Now:
    """What `/metrics` says, as far as it says it."""
    values: dict[str, dict[str, float]] = {}
    diagnosis = None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "commune_diagnosis_info" and sample.value:
                diagnosis = _diagnosis(sample.labels.get("cause", ""), sample.labels.get("subject", ""))
            elif "target" in sample.labels:
                values.setdefault(sample.labels["target"], {})[sample.name] = sample.value
    return Now(diagnosis, rungs=[_rung(target, known) for target, known in values.items()])


def _rung(target: str, known: dict[str, float]) -> Rung:
    success = known.get("commune_probe_success")
    seconds = known.get("commune_probe_rtt_seconds")
    loss, left = known.get("commune_probe_loss_ratio"), known.get("commune_certificate_left_seconds")
    return Rung(
        id=target,
        kind="target",
        name=target,
        state="unknown" if success is None else "up" if success else "down",
        loss_pct=None if loss is None else loss * 100,
        rtt_ms=None if seconds is None else seconds * 1000,
        certificate_days=None if left is None else left / 86_400,
    )


def _diagnosis(cause: str, subject: str) -> Diagnosis:
    try:
        says, do = words_for(Finding(Cause(cause), subject), Names({}, {}))
    except ValueError:  # of a newer agent
        return Diagnosis(cause, subject, Words(cause, cause), Words("", ""))
    return Diagnosis(cause, subject, Words(says.vi, says.en), Words(do.vi, do.en))
