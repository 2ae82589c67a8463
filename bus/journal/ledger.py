"""What a receipt means: a pure function of what is known of the consumer, the receipt and our own head.

Within a run, what a consumer holds only grows, so receipts are united. A new run may hold less (a store restored from a
backup): what it lacks is offered again. A run that was left never counts again, and a new one must be dated later than
the last receipt seen, so that an old receipt replayed frees nothing; only where that last date lies in our own future
(the hub's clock was wrong then) is an earlier one taken.
"""

from dataclasses import dataclass, replace
from typing import Final

from bus.clock import Quality, Stamp
from bus.journal.stream import Held
from bus.messages import Receipt
from bus.ranges import Ranges, clip, count, intersect, subtract, union

_RUNS_REMEMBERED: Final = 32
_FUTURE_MS: Final = 300_000


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """The run a consumer is in, the date of its latest receipt, and the runs it has left, newest last."""

    run: str = ""
    at_ms: int = 0
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`held` replaces what the stream knew. `forked`: a copy of this journal writes, or wrote, in the epoch too;
    `above_head` says that this receipt is the first to show it."""

    fresh: bool
    consumer: ConsumerState
    held: Held
    newly: int = 0
    again: Ranges = ()
    above_head: bool = False
    forked: bool = False


def enter_run(state: ConsumerState, run: str, at_ms: int, now: Stamp) -> ConsumerState | None:
    """The consumer's state once this receipt is believed; None where it is stale."""
    if run == state.run:
        return replace(state, at_ms=max(state.at_ms, at_ms))
    if run in state.left:
        return None
    if at_ms <= state.at_ms:
        was_wrong = now.quality is not Quality.UNKNOWN and state.at_ms > now.wall_ms + _FUTURE_MS
        if not was_wrong:
            return None
    left = (*state.left, state.run)[-_RUNS_REMEMBERED:] if state.run else state.left
    return ConsumerState(run, at_ms, left)


def conflicts(receipt: Receipt, *, head: int) -> Ranges:
    """Our numbers whose key the consumer has under other bytes."""
    return clip(union((item.seq, item.seq) for item in receipt.refused if item.verdict == "conflict"), 1, head)


def decide(
    consumer: ConsumerState,
    held: Held,
    receipt: Receipt,
    *,
    head: int,
    now: Stamp,
    ours: int | None = None,
    forked: bool = False,
) -> Decision:
    """Read one verified receipt against what we knew of the consumer and this stream.

    `ours`: of the running epoch, the newest number that the consumer can have from us; None: another epoch.
    """
    entered = enter_run(consumer, receipt.run, receipt.at_ms, now)
    if entered is None or (receipt.run == held.run and receipt.at_ms < held.at_ms):
        return Decision(fresh=False, consumer=consumer, held=held)
    said = union(receipt.stored)
    above_head = ours is not None and bool(said) and said[-1][1] > ours
    stored = clip(said, 1, head)
    if above_head or forked:
        # Another writes under our numbers: of what the consumer says to hold, only what it held before is surely ours.
        stored = intersect(stored, held.stored)
    if receipt.run == held.run:
        stored = union(stored, held.stored)
    return Decision(
        fresh=True,
        consumer=entered,
        held=Held(receipt.run, receipt.at_ms, stored),
        newly=count(subtract(stored, held.stored)),
        again=subtract(held.stored, stored),
        above_head=above_head,
        forked=above_head or forked,
    )
