"""The ladder: from what probes said to the state of each rung, with hysteresis. Pure.

Rules:

- A rung is asked through one or more targets. It goes down when each target that has lately answered now fails, and at
  least two failed bursts say so (one each from two targets, or two from one). A target that never answered, such as an
  anchor that drops pings, has no say while another has.
- It comes up again on two good bursts.
- A failure only counts while what the rung stands on is up: when that comes back, everything above starts over from
  `UNKNOWN`, and a failure from before has no say any more. So a break and its mending are each one change, at the root.
- A rung without a result for `stale_ns` is `UNKNOWN`: no data is a state of its own. A probe that the box could not
  make is no result, and is only remembered.
- Loss is told apart from failure: it is measured over a window, over pings alone.

What follows from the states is the business of `agent.diagnosis`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from agent.observations import ProbeResult

NS_PER_S: Final = 1_000_000_000
CREDIT_S: Final = 60.0  # how long a target that answered keeps its say
CONFIRM: Final = 2  # bursts that make a verdict
MANY: Final = 3  # bursts with a loss in them before a rung is called lossy
SHORT_LOSS_PCT: Final = 15.0  # over the last quarter of the window: plain enough not to wait for the whole of it
NOISY_PCT: Final = 8.0  # over the last quarter: enough to fail what lives on single packets above it


class Kind(StrEnum):
    """What a rung is, in the order of the ladder."""

    SWITCH = "switch"
    ROUTER = "router"
    LINE = "line"
    DNS = "dns"
    WEB = "web"
    HUB = "hub"
    SERVICE = "service"
    HOST = "host"


class State(StrEnum):
    """What is known of a rung now."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step. `needs` lists what it stands on: of each group, one rung must be up. `pings`: its loss is measured."""

    id: str
    kind: Kind
    targets: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...] = ()
    pings: bool = False
    fails: int = CONFIRM
    interval_s: float = 1.0
    loss_pct: float = 5.0

    @property
    def stale_ns(self) -> int:
        """Without a result for so long, nothing is known."""
        return int(max(6.0, 4 * self.interval_s) * NS_PER_S)

    @property
    def credit_ns(self) -> int:
        """A target that has answered within so long has a say in whether the rung is down."""
        return int(max(CREDIT_S, 6 * self.interval_s) * NS_PER_S)


@dataclass(frozen=True, slots=True)
class Track:
    """What one target said lately. `first_ns` is the start of the first probe of the present run of like results.

    `fault` is the newest result that failed. `unasked_ns` is when the newest probe could not be made; 0: it could.
    """

    fails: int = 0
    goods: int = 0
    first_ns: int = 0
    start_ns: int = 0
    seen_ns: int = 0
    good_ns: int = 0
    answered_ns: int = 0
    bursts: tuple[tuple[int, float], ...] = ()
    last: ProbeResult | None = None
    fault: ProbeResult | None = None
    unasked_ns: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A rung's state. `onset_ns`: start of the first probe that spoke for it; `turns`: when it went down lately.

    Failures of probes begun before `void_ns`, and losses before `clean_ns`, have no say.
    """

    state: State = State.UNKNOWN
    onset_ns: int = 0
    void_ns: int = 0
    clean_ns: int = 0
    lossy: bool = False
    lossy_ns: int = 0
    turns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a window loss and flaps are judged over."""

    loss_window_ns: int = 60 * NS_PER_S
    flap_window_ns: int = 300 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Ladder:
    """All rungs in order, and what is known of them. Built by `build`; moved on by `take` and `expire`."""

    rungs: tuple[Rung, ...]
    pace: Pace = field(default_factory=Pace)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """A rung as the diagnosis reads it.

    `moving`: evidence against the present state, not enough yet. `good_ns` and `asked_ns` are when the newest good and
    the newest probe began: a success that began after a fault did clears the rung of it. Loss is None before any burst.
    `unasked_ns`: when its newest probe could not be made, 0 where it could.
    """

    rung: Rung
    state: State
    moving: bool
    onset_ns: int
    good_ns: int
    asked_ns: int
    fails: int
    loss_pct: float | None
    recent_loss_pct: float | None
    lossy: bool
    lossy_ns: int
    turns: int
    last: ProbeResult | None
    unasked_ns: int = 0

    @property
    def noisy(self) -> bool:
        """It loses so many packets that failures of what is reached over it prove little."""
        return self.recent_loss_pct is not None and self.recent_loss_pct >= NOISY_PCT


def build(rungs: Iterable[Rung], pace: Pace | None = None) -> Ladder:
    """A ladder about which nothing is known yet. A rung needs only rungs before it."""
    rungs = tuple(rungs)
    known: set[str] = set()
    for rung in rungs:
        if strange := {need for group in rung.needs for need in group} - known:
            raise ValueError(f"BUG: rung {rung.id} needs {sorted(strange)}, which do not stand before it")
        known.add(rung.id)
    return Ladder(rungs, pace or Pace(), {}, {rung.id: Standing() for rung in rungs})


def take(ladder: Ladder, result: ProbeResult) -> Ladder:
    """Take in one probe's result."""
    track = ladder.tracks.get(result.target, Track())
    if not result.asked:
        return replace(ladder, tracks={**ladder.tracks, result.target: replace(track, unasked_ns=result.mono_ns)})
    track = _follow(track, result, ladder.pace)
    ladder = replace(ladder, tracks={**ladder.tracks, result.target: track})
    for rung in ladder.rungs:
        if result.target in rung.targets:
            ladder = _settle(ladder, rung, result.mono_ns)
    return ladder


def expire(ladder: Ladder, now_ns: int) -> Ladder:
    """Let go of what is too old to be known."""
    for rung in ladder.rungs:
        standing = ladder.standings[rung.id]
        seen_ns = max((ladder.tracks[target].seen_ns for target in rung.targets if target in ladder.tracks), default=0)
        if standing.turns and standing.turns[0] <= now_ns - ladder.pace.flap_window_ns:
            turns = tuple(at for at in standing.turns if at > now_ns - ladder.pace.flap_window_ns)
            standing = replace(standing, turns=turns)
            ladder = _place(ladder, rung, standing)
        if standing.state is not State.UNKNOWN and now_ns - seen_ns > rung.stale_ns:
            ladder = _place(ladder, rung, replace(standing, state=State.UNKNOWN, onset_ns=now_ns, lossy=False))
    return ladder


def restart(ladder: Ladder, now_ns: int, ids: Iterable[str] | None = None) -> Ladder:
    """Forget the failures and losses of these rungs (all when None) from before `now_ns`: they proved nothing."""
    chosen = {rung.id for rung in ladder.rungs} if ids is None else set(ids)
    for rung in ladder.rungs:
        if rung.id in chosen:
            fresh = Standing(onset_ns=now_ns, void_ns=now_ns, clean_ns=now_ns, turns=ladder.standings[rung.id].turns)
            ladder = _place(ladder, rung, fresh)
            tracks = {name: _void(ladder.tracks[name], now_ns) for name in rung.targets if name in ladder.tracks}
            ladder = replace(ladder, tracks={**ladder.tracks, **tracks})
    return ladder


def views(ladder: Ladder) -> dict[str, View]:
    """Each rung, in order, as the diagnosis reads it."""
    return {rung.id: _view(ladder, rung) for rung in ladder.rungs}


def _cut_off(ladder: Ladder, roots: set[str]) -> set[str]:
    """The rungs that cannot be up while `roots` are down and that no other rung can carry in their place."""
    gone = set(roots)
    for rung in ladder.rungs:
        if any(set(group) <= gone for group in rung.needs):
            gone.add(rung.id)
    return gone - roots


def _follow(track: Track, result: ProbeResult, pace: Pace) -> Track:
    start_ns = result.mono_ns - int(result.duration_ms * 1e6)
    turned = track.last is None or track.last.success is not result.success or not (track.fails or track.goods)
    since_ns = result.mono_ns - pace.loss_window_ns
    return Track(
        fails=0 if result.success else track.fails + 1,
        goods=track.goods + 1 if result.success else 0,
        first_ns=start_ns if turned else track.first_ns,
        start_ns=start_ns,
        seen_ns=result.mono_ns,
        good_ns=start_ns if result.success else track.good_ns,
        answered_ns=result.mono_ns if result.success else track.answered_ns,
        bursts=(*(burst for burst in track.bursts if burst[0] > since_ns), (start_ns, result.loss_pct)),
        last=result,
        fault=track.fault if result.success else result,
    )


def _void(track: Track, now_ns: int) -> Track:
    """Nothing said before `now_ns` counts, but that the target has answered lately."""
    return replace(track, fails=0, goods=0, bursts=())


def _settle(ladder: Ladder, rung: Rung, now_ns: int) -> Ladder:
    standing = ladder.standings[rung.id]
    tracks = _tracks(ladder, rung)
    heard = [track for track in tracks if track.start_ns >= standing.void_ns and (track.fails or track.goods)]
    was = standing.state
    if was is not State.DOWN and (onset_ns := _down_since(heard, rung, now_ns)) is not None:
        window_ns = now_ns - ladder.pace.flap_window_ns
        turns = tuple(at for at in standing.turns if at > window_ns) + ((now_ns,) if was is State.UP else ())
        standing = replace(standing, state=State.DOWN, onset_ns=onset_ns, lossy=False, turns=turns)
    elif was is not State.UP and sum(track.goods for track in heard) >= (CONFIRM if was is State.DOWN else 1):
        first_ns = min(track.first_ns for track in heard if track.goods)
        # A burst that was under way when the rung came back has lost packets to the fault.
        standing = replace(standing, state=State.UP, onset_ns=first_ns, clean_ns=now_ns)
    if rung.pings and standing.state is State.UP:
        standing = _judge_loss(standing, rung, tracks, now_ns, ladder.pace)
    ladder = _place(ladder, rung, standing)
    if was is State.DOWN and standing.state is State.UP:
        ladder = _start_over(ladder, rung, now_ns)
    return ladder


def _down_since(heard: list[Track], rung: Rung, now_ns: int) -> int | None:
    """When the fault of a rung began, if it is down; None while it is not."""
    credible = [track for track in heard if track.answered_ns and now_ns - track.answered_ns < rung.credit_ns]
    voters = credible or heard
    if not voters or any(track.goods for track in voters):
        return None
    if not credible and len(heard) < len(rung.targets):
        return None  # at the start each target is heard before any is judged
    if sum(track.fails for track in voters) < max(rung.fails, CONFIRM):
        return None
    return max(track.first_ns for track in voters)


def _judge_loss(standing: Standing, rung: Rung, tracks: list[Track], now_ns: int, pace: Pace) -> Standing:
    whole = _loss(tracks, max(now_ns - pace.loss_window_ns, standing.clean_ns))
    recent = _loss(tracks, max(now_ns - pace.loss_window_ns // 4, standing.clean_ns))
    if whole is None or recent is None:
        return standing
    if standing.lossy:
        return replace(standing, lossy=whole >= rung.loss_pct / 2)
    lost = [at for track in tracks for at, loss in track.bursts if loss > 0 and at > standing.clean_ns]
    plain = recent >= max(SHORT_LOSS_PCT, rung.loss_pct)
    if len(lost) >= MANY and (plain or (_full(tracks, now_ns, pace) and whole >= rung.loss_pct)):
        return replace(standing, lossy=True, lossy_ns=min(lost))
    return standing


def _loss(tracks: list[Track], since_ns: int) -> float | None:
    """Loss on the way to the target that is best reached: another one's own trouble is not the rung's."""
    by_target = ([loss for at, loss in track.bursts if at > since_ns] for track in tracks)
    return min((sum(losses) / len(losses) for losses in by_target if losses), default=None)


def _full(tracks: list[Track], now_ns: int, pace: Pace) -> bool:
    """Whether at least three quarters of the window have been watched."""
    oldest_ns = min((track.bursts[0][0] for track in tracks if track.bursts), default=now_ns)
    return now_ns - oldest_ns >= pace.loss_window_ns * 3 // 4


def _start_over(ladder: Ladder, root: Rung, now_ns: int) -> Ladder:
    """`root` has come back: what stands on it is asked anew."""
    return restart(ladder, now_ns, _cut_off(ladder, {root.id} | _down_beside(ladder, root)))


def _down_beside(ladder: Ladder, root: Rung) -> set[str]:
    """Rungs that could have stood in for `root` but were down too."""
    beside = {need for rung in ladder.rungs for group in rung.needs if root.id in group for need in group}
    return {name for name in beside if ladder.standings[name].state is not State.UP}


def _place(ladder: Ladder, rung: Rung, standing: Standing) -> Ladder:
    if ladder.standings[rung.id] == standing:
        return ladder
    return replace(ladder, standings={**ladder.standings, rung.id: standing})


def _tracks(ladder: Ladder, rung: Rung) -> list[Track]:
    return [ladder.tracks[target] for target in rung.targets if target in ladder.tracks]


def _view(ladder: Ladder, rung: Rung) -> View:
    standing, tracks = ladder.standings[rung.id], _tracks(ladder, rung)
    newest = max(tracks, key=lambda track: track.seen_ns, default=Track())
    failing = [track for track in tracks if track.fails and track.last]
    goods = [track for track in tracks if track.goods]
    down = standing.state is State.DOWN
    faults = [track.fault for track in tracks if track.fault is not None]
    loss_pct = recent_pct = None
    if rung.pings:
        loss_pct = _loss(tracks, max(newest.seen_ns - ladder.pace.loss_window_ns, standing.clean_ns))
        recent_pct = _loss(tracks, max(newest.seen_ns - ladder.pace.loss_window_ns // 4, standing.clean_ns))
    return View(
        rung=rung,
        state=standing.state,
        moving=bool(goods) if down else _in_doubt(failing, goods),
        onset_ns=standing.onset_ns,
        good_ns=max((track.good_ns for track in tracks), default=0),
        asked_ns=newest.start_ns,
        fails=min((track.fails for track in tracks), default=0),
        loss_pct=loss_pct,
        recent_loss_pct=recent_pct,
        lossy=standing.lossy,
        lossy_ns=standing.lossy_ns,
        turns=len(standing.turns),
        last=max(faults, key=lambda fault: fault.mono_ns) if faults and (down or failing) else newest.last,
        unasked_ns=max((track.unasked_ns for track in tracks), default=0),
    )


def _in_doubt(failing: list[Track], goods: list[Track]) -> bool:
    """Whether failures stand unanswered: no target has been reached by a probe begun since they began."""
    return bool(failing) and not any(good.good_ns >= max(track.first_ns for track in failing) for good in goods)
