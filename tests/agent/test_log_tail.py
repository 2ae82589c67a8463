"""The agent's last lines, for the technician's view."""

import logging

from agent.log_tail import LogTail


def test_it_keeps_the_newest_lines_and_none_is_endless() -> None:
    tail = LogTail(3)
    log = logging.getLogger("agent.of-this-test")
    log.setLevel(logging.DEBUG)
    log.addHandler(tail)
    log.debug("too small a thing")
    for number in range(5):
        log.info("line %d", number)
    assert [line.rpartition("line ")[2] for line in tail.lines] == ["2", "3", "4"]
    log.warning("a\nb %s", "x" * 10_000)
    assert len(tail.lines) == 3
    assert tail.lines[-1].endswith("agent.of-this-test: a")
    log.error("x" * 10_000)
    assert len(tail.lines[-1]) <= 300
