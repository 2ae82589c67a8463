"""What a receipt says of a journal, from the batches that it answers. Pure.

A device lets go of what is `stored`, and appends again what is in `conflict`. So a number in conflict is never said to
be stored without its verdict, whichever receipt the device hears and whichever it misses: each one names all numbers of
the journal that are in conflict, those just offered first, and where they are too many for one message the others are
left out of `stored`, so that the device offers them again and hears of them then.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Final

from bus import ranges
from bus.messages import Range, Receipt, Refused
from bus.ranges import Ranges
from hub.intake import Taken

CONSUMER: Final = "hub"
CONFLICTS_PER_RECEIPT: Final = 2_000  # twice what a device sends in a batch; 110 KB of JSON, compressed a tenth


def receipts(taken: Sequence[Taken], run: str, at_ms: dict[str, int]) -> list[Receipt]:
    """One a journal: the last state counts, and every verdict is told."""
    by_journal: dict[int, list[Taken]] = {}
    for one in taken:
        by_journal.setdefault(one.journal.id, []).append(one)
    return [_receipt(parts, run, at_ms[parts[0].journal.device]) for parts in by_journal.values()]


def _receipt(parts: Sequence[Taken], run: str, at_ms: int) -> Receipt:
    last = parts[-1]
    quarantined = {refused.seq: refused for part in parts for refused in part.quarantined}
    told, untold = share(last.conflicts, offered=_offered(parts))
    conflicts = [Refused(seq, "conflict", "conflict") for seq in _numbers(told)]
    return Receipt(
        consumer=CONSUMER,
        device=last.journal.device,
        epoch=last.journal.epoch,
        klass="record" if last.journal.klass == "record" else "sample",
        stored=list(ranges.subtract(last.decision.spans, untold)),
        run=run,
        at_ms=at_ms,
        refused=[*quarantined.values(), *conflicts],
    )


def share(conflicts: Ranges, *, offered: Ranges, most: int = CONFLICTS_PER_RECEIPT) -> tuple[Ranges, Ranges]:
    """Which of the numbers in conflict one receipt tells, at `most` so many, `offered` ones first; and the others."""
    first = ranges.intersect(conflicts, offered)
    numbers = chain(_numbers(first), _numbers(ranges.subtract(conflicts, first)))
    told = ranges.union((seq, seq) for seq in islice(numbers, most))
    return told, ranges.subtract(conflicts, told)


def _offered(parts: Sequence[Taken]) -> Ranges:
    return ranges.union(
        (aside.seq, aside.seq)
        for part in parts
        for aside in part.decision.set_aside
        if aside.seq is not None and aside.verdict == "conflict"
    )


def _numbers(spans: Iterable[Range]) -> Iterable[int]:
    return (seq for first, last in spans for seq in range(first, last + 1))
