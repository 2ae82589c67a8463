"""When a finding may be told: a fault and its mending are each one change, without a flicker to their neighbours. Pure.

A break shows at different rungs at different moments of a second. So a finding waits until each of its witnesses has
been asked since the newest turn of events began and none is in two minds; then the evidence is of one piece. It waits
`CAP_NS` at the most. Lines that were down together are mended together: the last of them is given a moment before it is
told alone. What shows only over time (loss, a lease that may still come) is held for as long as that takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent.causes import Cause
from agent.diagnosis import Finding
from agent.ladder import NS_PER_S, State, View

CAP_NS: Final = 4 * NS_PER_S
TOGETHER_NS: Final = 2 * NS_PER_S
UNREST_NS: Final = 10 * NS_PER_S  # what keeps changing is told as it stands after so long

_HOLDS_S: Final[dict[Cause, float]] = {
    Cause.NO_DATA: 8.0,
    Cause.CANNOT_PROBE: 4.0,  # one that fell between two that could be made is nothing
    Cause.NO_ADDRESS: 6.0,  # a lease takes its time after the cable is in
    Cause.NO_ROUTE: 2.0,
    Cause.SPEED_FELL: 5.0,  # ports negotiate in steps
}


@dataclass(frozen=True, slots=True)
class Settling:
    """What has been told, and what is about to be. `told` is None until the first verdict after the start."""

    told: Finding | None = None
    next: Finding | None = None
    next_ns: int = 0
    unrest_ns: int = 0


def settle(
    state: Settling, finding: Finding, views: Mapping[str, View], now_ns: int, *, loss_hold_s: float = 5.0
) -> Settling:
    """Take in the finding of this moment. A new `told` in what is returned is to be told now."""
    if state.told is not None and state.told.identity == finding.identity:
        return Settling(told=replace(finding, since_ns=state.told.since_ns))
    if state.next is None:
        state = replace(state, unrest_ns=now_ns)
    if state.next is None or state.next.identity != finding.identity:
        state = replace(state, next=finding, next_ns=now_ns)
    state = replace(state, next=replace(finding, since_ns=state.next.since_ns if state.next else finding.since_ns))
    waited_ns = now_ns - state.next_ns
    hold_ns = int(_hold_s(finding.cause, loss_hold_s) * NS_PER_S)
    if state.told is not None and finding.subject in state.told.also:
        hold_ns = max(hold_ns, TOGETHER_NS)
    ripe = finding.sure or (waited_ns >= hold_ns and is_ripe(finding, views, now_ns))
    if ripe or waited_ns >= hold_ns + CAP_NS or now_ns - state.unrest_ns >= hold_ns + UNREST_NS:
        return Settling(told=state.next)
    return state


def is_ripe(finding: Finding, views: Mapping[str, View], now_ns: int) -> bool:
    """Whether every witness, and what is blamed, has been asked since the newest turn, and none is in two minds."""
    names = dict.fromkeys((*finding.witnesses, finding.subject, *finding.also))
    witnesses = [views[name] for name in names if name in views]
    if not witnesses:
        return finding.cause is not Cause.FINE
    newest_ns = max(finding.since_ns, *(view.onset_ns for view in witnesses))
    return all(_is_clear(view, newest_ns, now_ns) for view in witnesses)


def _is_clear(view: View, newest_ns: int, now_ns: int) -> bool:
    if view.state is State.UNKNOWN:
        return now_ns - max(view.asked_ns, view.onset_ns) > view.rung.stale_ns  # it says nothing and will not soon
    return not view.moving and view.asked_ns >= newest_ns


def _hold_s(cause: Cause, loss_hold_s: float) -> float:
    return loss_hold_s if cause in (Cause.LAN_LOSS, Cause.LINE_DEGRADED) else _HOLDS_S.get(cause, 0.0)
