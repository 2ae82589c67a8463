"""No descriptors, no memory, wrong rights on a file: that says nothing of what it holds, and takes nothing away."""

import contextlib
import errno
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.errors import UnavailableError
from tests.bus.journal_kit import add, open_journal, read_all, receipt, segments_of

_OUT_OF_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
from bus.errors import UnavailableError
from tests.bus import journal_kit as kit
journal = kit.open_journal(Path(sys.argv[1]), segment_bytes=int(sys.argv[2]))
kit.add(journal, *(f"text {number}" for number in range(300)))
journal.flush().result(10)  # a file that is turned over frees a descriptor
epoch = journal.epoch
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
for first in (1, 150, 300):
    try:
        journal.read(epoch, "record", first, max_count=1000, max_bytes=1 << 20)
        sys.exit("read without a descriptor")
    except UnavailableError as error:
        assert "try again" in str(error)
try:
    kit.open_journal(Path(sys.argv[1]).with_name("other"))
    sys.exit("opened without a descriptor")
except UnavailableError:
    pass
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
for reopened in (False, True):
    if reopened:
        journal.close()
        journal = kit.open_journal(Path(sys.argv[1]), segment_bytes=int(sys.argv[2]))
    assert journal.counters().damaged == 0
    assert journal.waiting("hub") == 301
    assert journal.epochs()[0].lost == []
    assert len(kit.read_all(journal, epoch, "record")) == 301
journal.close()
"""


@pytest.mark.parametrize("segment_bytes", [1024, 1 << 20], ids=["sealed and growing", "growing"])
def test_a_moment_without_descriptors_takes_nothing_away(tmp_path: Path, segment_bytes: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _OUT_OF_DESCRIPTORS, str(tmp_path / "journal"), str(segment_bytes)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOMEM, errno.EACCES])
def test_damage_beside_a_file_that_cannot_be_opened_is_told_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    journal = open_journal(tmp_path, segment_bytes=4096)
    add(journal, *(f"text {number}" for number in range(60)))
    epoch = journal.epoch
    before = read_all(journal, epoch, "record")
    files = segments_of(tmp_path)
    harmed, shut = files[0], files[-1]
    content = bytearray(harmed.read_bytes())
    content[100] ^= 4
    harmed.write_bytes(content)
    real = os.open

    def refuse(path: str | Path, *arguments: int, **options: int) -> int:
        if Path(path) == shut:
            raise OSError(error, os.strerror(error))
        return real(path, *arguments, **options)

    monkeypatch.setattr("bus.journal.segment.os.open", refuse)
    journal.read(epoch, "record", 1, max_count=1000, max_bytes=1 << 20)
    with pytest.raises(UnavailableError, match="try again"):
        read_all(journal, epoch, "record")
    (span,) = journal.epochs()[0].lost
    assert span.first == span.last
    monkeypatch.undo()
    for _ in range(2):
        assert set(before) - set(read_all(journal, epoch, "record")) == {span.first}
        journal.close()
        journal = open_journal(tmp_path, segment_bytes=4096)
    journal.close()


@pytest.mark.parametrize("step", range(1, 12))
def test_a_shortage_while_opening_opens_nothing_and_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    journal = open_journal(tmp_path, segment_bytes=1024)
    add(journal, *(f"text {number}" for number in range(20)))
    epoch = journal.epoch
    journal.take_receipt(receipt(epoch, (1, 5)))
    journal.close()
    real, calls = os.open, itertools.count(1)

    def refuse(path: str | Path, *arguments: int, **options: int) -> int:
        if next(calls) == step:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, *arguments, **options)

    monkeypatch.setattr("bus.journal.segment.os.open", refuse)
    with contextlib.suppress(UnavailableError):
        open_journal(tmp_path, segment_bytes=1024).close()
    monkeypatch.undo()
    journal = open_journal(tmp_path, segment_bytes=1024)
    assert journal.counters().damaged == 0
    assert journal.epochs()[0].stored["hub"] == [(1, 5)]
    assert len(read_all(journal, epoch, "record")) == 21
    journal.close()


def test_a_record_that_a_card_gives_only_sometimes_is_not_sealed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path, segment_bytes=100_000)
    add(journal, *(f"text {number}" for number in range(20)))
    epoch = journal.epoch
    real, calls = os.pread, itertools.count()

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        return bytes(len(content)) if (content := real(descriptor, size, offset)) and not next(calls) else content

    monkeypatch.setattr("bus.journal.disk.os.pread", pread)
    assert len(read_all(journal, epoch, "record")) == 20
    assert [span.reason for span in journal.epochs()[0].lost] == ["damaged"]
    journal.close()
    journal = open_journal(tmp_path, segment_bytes=100_000)
    assert len(read_all(journal, epoch, "record")) == 21
    assert journal.epochs()[0].lost == []
    journal.close()


@pytest.mark.parametrize("segment_bytes", [4096, 1 << 20], ids=["sealed", "growing"])
def test_a_file_that_is_broken_as_a_whole_is_told_and_holds_nothing_else_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segment_bytes: int
) -> None:
    """As when its inode is gone: what it held is told as damaged until the next open looks at it again."""
    journal = open_journal(tmp_path, segment_bytes=segment_bytes)
    add(journal, *(f"text {number}" for number in range(60)))
    epoch, files = journal.epoch, segments_of(tmp_path)
    before = read_all(journal, epoch, "record")
    real = os.open

    def refuse(path: str | Path, *arguments: int, **options: int) -> int:
        if Path(path) == files[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr("bus.journal.segment.os.open", refuse)
        left = read_all(journal, epoch, "record")
    (span,) = journal.epochs()[0].lost
    assert span.first == 1
    assert set(left) == set(before) - set(range(span.first, span.last + 1))
    journal.close()
    again = open_journal(tmp_path, segment_bytes=segment_bytes)
    assert read_all(again, epoch, "record") == before
    again.close()
