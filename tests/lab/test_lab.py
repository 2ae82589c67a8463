"""The lab: each fault really made in a network of namespaces, told as that fault and no other, and its end seen.

The agent is the real process; routers route, the name server answers, the services are asked over real sockets. The
two tests are two labs, so that they may run side by side.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.entries import DiagnosisChanged, OutageClosed, OutageOpened
from tests.agent.journals import of, read_records
from tests.lab import certificates
from tests.lab.box import Box
from tests.lab.faults import LAN, LINES, Fault
from tests.lab.network import Network

CALM_S = 1.2  # nothing else may be told for so long after a verdict
START_S = 30.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Network]:
    certificates.make(tmp_path, "203.0.113.44")
    network = Network(tmp_path)
    yield network
    network.close()


@pytest.fixture
def box(lab: Network, tmp_path: Path) -> Iterator[Box]:
    box = Box(lab, tmp_path)
    yield box
    box.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("faults", [LAN, LINES], ids=["lan", "lines"])
def test_each_fault_is_told_as_itself_and_no_other(lab: Network, box: Box, faults: tuple[Fault, ...]) -> None:
    assert box.wait_for("fine", after=0, limit_s=START_S), "\n".join(box.log)
    box.quiet(CALM_S)
    assert [said.cause for said in box.said] == ["fine"]
    wrong = [problem for fault in faults if (problem := play(fault, lab, box))]
    assert box.stop() == 0, "\n".join(box.log)
    assert wrong == [], "\n".join([*wrong, *box.log])
    # What was said is what stands in the journal.
    records = read_records(box.folder / "state" / "journal")
    assert [(record.cause, record.subject) for record in of(records, DiagnosisChanged)] == [
        (said.cause, said.subject) for said in box.said
    ]
    opened = [record.outage for record in of(records, OutageOpened)]
    assert opened
    assert sorted(record.outage for record in of(records, OutageClosed)) == sorted(opened)


def play(fault: Fault, lab: Network, box: Box) -> str:
    """Make a fault and mend it; returns what was wrong with what was told."""
    before, begun_s = len(box.said), time.monotonic()
    fault.make(lab)
    told = box.wait_for(fault.cause, after=before, limit_s=fault.limit_s)
    took_s = time.monotonic() - begun_s
    box.quiet(CALM_S)
    middle = len(box.said)
    fault.mend(lab)
    mended_s = time.monotonic()
    healed = box.wait_for("fine", after=middle, limit_s=fault.mend_s)
    healed_s = time.monotonic() - mended_s
    box.quiet(CALM_S)
    causes = [(said.cause, said.subject) for said in box.said[before:]]
    print(f"{fault.name}: told after {took_s:.2f} s, end after {healed_s:.2f} s: {causes}")
    wanted = [(fault.cause, fault.subject), ("fine", "")]
    seen = [pair for pair in causes if pair[0] not in fault.on_the_way]
    if told and healed and seen == wanted:
        return ""
    return f"{fault.name}: wanted {wanted}, told {causes} (in time: {told}, {healed})"
