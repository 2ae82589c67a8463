"""What the kernel says of a probe: whose fault it is."""

import errno

import pytest

from agent.observations import UNASKED
from agent.senses.faults import name_fault


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOBUFS, "timeout"),  # the port's queue is full: a hung modem is a line that is down
        (errno.EPIPE, "refused"),
        (errno.ECONNABORTED, "refused"),
        (errno.ENETRESET, "refused"),
        (errno.EMFILE, UNASKED),
        (errno.EPERM, UNASKED),
    ],
)
def test_only_what_this_box_alone_can_cause_is_unasked(code: int, reason: str) -> None:
    assert name_fault(OSError(code, "x"))[0] == reason
