"""Identifiers, topics, files, backoff and logs."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import topics
from bus.backoff import Backoff
from bus.errors import WrongInputError
from bus.files import replace_file
from bus.identifiers import EPOCH_PATTERN, SiteId, check_name, new_epoch
from bus.link import filter_matches
from bus.logs import fields

names = st.from_regex(r"\A[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?\Z")


@given(names)
def test_a_valid_name_passes_unchanged(name: str) -> None:
    assert check_name(name, what="site") == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "ă", "a b", "a/b", "a+", "#", "a" * 49, "a\n", "..", "a.b"])
def test_what_a_topic_or_a_file_would_read_as_syntax_is_no_name(name: str) -> None:
    with pytest.raises(WrongInputError, match="site"):
        check_name(name, what="site")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(name), type=SiteId)


def test_epochs_are_random() -> None:
    epochs = {new_epoch() for _ in range(1000)}
    assert len(epochs) == 1000
    assert all(re.match(EPOCH_PATTERN, epoch) for epoch in epochs)


@given(site=names, device=names)
def test_a_device_topic_is_read_back(site: str, device: str) -> None:
    for topic, leaf in (
        (topics.up(site, device), "up"),
        (topics.receipt(site, device, "hub"), "receipt/hub"),
        (topics.status(site, device), "status"),
        (topics.reported(site, device), "reported"),
    ):
        assert topics.read_device_topic(topic) == topics.DeviceTopic(site, device, leaf)


@given(st.one_of(st.text(), st.lists(st.sampled_from(["ce", "1", "2", "s", "", "A", "+", "#"])).map("/".join)))
def test_any_other_topic_is_read_or_refused(topic: str) -> None:
    try:
        read = topics.read_device_topic(topic)
    except WrongInputError:
        return
    assert f"ce/1/{read.site}/{read.device}/{read.leaf}" == topic


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a//c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("+", "a", True),
        ("+/b", "$SYS/b", False),
        ("#", "$SYS/b", False),
        ("$SYS/#", "$SYS/b", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_filters_cover_what_the_standard_says(topic_filter: str, topic: str, matches: bool) -> None:
    assert filter_matches(topic_filter, topic) is matches


@given(failures=st.integers(min_value=0, max_value=10**6), draw=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_backoff_stays_below_its_cap_and_never_overflows(failures: int, draw: float) -> None:
    backoff = Backoff(first_s=1, cap_s=60)
    assert 0 <= backoff.delay_s(failures, draw) <= 60
    assert backoff.delay_s(failures, draw) <= backoff.delay_s(failures + 1, draw)


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    replace_file(path, b"1" * 100_000, mode=0o600)
    replace_file(path, b"2", mode=0o600)
    assert path.read_bytes() == b"2"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_replacement_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    replace_file(path, b"old")
    (tmp_path / "f.part").mkdir()
    with pytest.raises(OSError, match=r"f\.part"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "a=plain"),
        ("", 'a=""'),
        ("two words", 'a="two words"'),
        ('q"', 'a="q\\""'),
        ("x\ny", 'a="x\\ny"'),
        (5, "a=5"),
    ],
)
def test_a_field_is_one_word_or_quoted(value: object, written: str) -> None:
    assert fields(a=value) == written


@pytest.mark.parametrize("journald", [True, False])
def test_one_event_is_one_line_with_journalds_priority_where_it_reads_us(journald: bool) -> None:
    program = (
        "import logging; from bus.logs import start_logging; start_logging()\n"
        "log = logging.getLogger('x'); log.info('two\\nlines'); log.debug('never')\n"
        "try: 1 / 0\nexcept ZeroDivisionError: log.exception('broken')"
    )
    environment = {key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"}
    if journald:
        environment["JOURNAL_STREAM"] = "1:2"
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("x: two\\nlines" if journald else "I x: two\\nlines")
    assert "trace=" in lines[1]
    assert (lines[0].startswith("<6>"), lines[1].startswith("<3>")) == (journald, journald)
    assert logging.getLogger("x").level == logging.NOTSET
