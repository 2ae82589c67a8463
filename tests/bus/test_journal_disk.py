"""A disk that is full, read-only or failing: the caller learns at once, nothing accepted is lost, it goes on after."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from bus.errors import UnavailableError
from bus.journal import Journal, disk
from tests.bus.journal_kit import add, block, open_journal, read_all, receipt, segments_of, texts, walk_chain
from tests.tools import find_tool


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run([find_tool("mount"), "-t", "tmpfs", "-o", "size=512k", "commune-test", str(folder)], check=True)
    yield folder
    subprocess.run([find_tool("umount"), str(folder)], check=True)


def _fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        _write_for_ever(file)
    return ballast


def _write_for_ever(file: FileIO) -> None:
    while True:
        file.write(b"x" * 4096)


def _try(journal: Journal, text: str) -> str:
    """What the caller is told; empty where the text was kept."""
    try:
        add(journal, text)
    except UnavailableError as error:
        return str(error)
    return ""


def test_a_full_disk(small_disk: Path) -> None:
    journal = open_journal(small_disk / "journal", segment_bytes=65_536)
    kept = [f"before {number}" for number in range(20)]
    add(journal, *kept)
    ballast = _fill(small_disk)
    tried = [f"full {number} " + "x" * 500 for number in range(60)]
    told = {text: _try(journal, text) for text in tried}
    refused = [answer for answer in told.values() if answer]
    assert len(refused) > 20
    assert all("No space left" in answer for answer in refused)
    kept += [text for text in tried if not told[text]]
    assert texts(journal) == kept, "what was accepted stands, what was refused left nothing"
    samples = [journal.append(block(1.0)).exception(10) for _ in range(50)]
    assert isinstance(samples[-1], UnavailableError)
    journal.take_receipt(receipt(journal.epoch, (1, 10)))
    ballast.unlink()
    add(journal, "room again")
    kept.append("room again")
    assert texts(journal) == kept
    walk_chain(journal)
    assert journal.counters().refused >= len(refused)
    journal.close()
    journal = open_journal(small_disk / "journal", segment_bytes=65_536)
    assert texts(journal) == kept
    assert journal.counters().damaged == 0
    walk_chain(journal)
    journal.close()


def test_opened_on_a_full_disk(small_disk: Path) -> None:
    journal = open_journal(small_disk / "journal")
    add(journal, *"abc")
    epoch = journal.epoch
    journal.close()
    for _ in range(2):
        ballast = _fill(small_disk)
        journal = open_journal(small_disk / "journal")
        assert texts(journal)[:3] == list("abc")
        with pytest.raises(UnavailableError, match="No space left"):
            add(journal, "no room" * 1000)
        assert journal.take_receipt(receipt(epoch, (1, 4))).verdict in {"taken", "stale"}
        ballast.unlink()
        add(journal, "goes on")
        walk_chain(journal)
        journal.close()


def test_opened_on_a_read_only_disk(small_disk: Path) -> None:
    mount = find_tool("mount")
    journal = open_journal(small_disk / "journal")
    (key,) = add(journal, "a")
    journal.close()
    subprocess.run([mount, "-o", "remount,ro", str(small_disk)], check=True)
    journal = open_journal(small_disk / "journal")
    assert texts(journal) == ["a"]
    with pytest.raises(UnavailableError, match="Read-only"):
        add(journal, "b")
    assert journal.take_receipt(receipt(key.epoch, (1, 2))).newly == 2
    journal.flush().result(10)
    assert journal.counters().disk_errors >= 2
    subprocess.run([mount, "-o", "remount,rw", str(small_disk)], check=True)
    add(journal, "c")
    assert texts(journal) == ["a", "c"]
    walk_chain(journal)
    journal.close()


def test_damage_on_a_read_only_disk_is_lived_with(small_disk: Path) -> None:
    mount = find_tool("mount")
    journal = open_journal(small_disk / "journal")
    add(journal, *"abcdef")
    epoch = journal.epoch
    journal.close()
    (path,) = (small_disk / "journal" / "segments").iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(b'"detail":"c"') + 10] ^= 1
    path.write_bytes(content)
    subprocess.run([mount, "-o", "remount,ro", str(small_disk)], check=True)
    for _ in range(2):
        journal = open_journal(small_disk / "journal")
        assert texts(journal) == list("abdef")
        assert [(span.first, span.last) for span in journal.epochs()[0].lost] == [(4, 4)]
        journal.close()
    subprocess.run([mount, "-o", "remount,rw", str(small_disk)], check=True)
    journal = open_journal(small_disk / "journal")
    assert set(read_all(journal, epoch, "record")) == {1, 2, 3, 5, 6, 7}
    assert len(list((small_disk / "journal" / "quarantine").iterdir())) == 1
    journal.close()


def test_a_file_system_that_turns_read_only_under_us(tmp_path: Path) -> None:
    """What ext4 does on an I/O error: from one moment on every write fails."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    image.write_bytes(bytes(8 * 1024 * 1024))
    subprocess.run([find_tool("mkfs.ext4"), "-q", "-F", str(image)], check=True)
    mount, umount = find_tool("mount"), find_tool("umount")
    subprocess.run([mount, "-o", "loop", str(image), str(folder)], check=True)
    try:
        journal = open_journal(folder / "journal")
        add(journal, *"abc")
        subprocess.run([mount, "-o", "remount,abort", str(folder)], check=True)
        with pytest.raises(UnavailableError):
            add(journal, "d")
        with pytest.raises(UnavailableError):
            add(journal, "e")
        assert texts(journal) == list("abc")
        journal.close()
    finally:
        subprocess.run([umount, str(folder)], check=True)
    subprocess.run([find_tool("e2fsck"), "-fy", str(image)], check=False, stdout=subprocess.DEVNULL)
    subprocess.run([mount, "-o", "loop", str(image), str(folder)], check=True)
    try:
        journal = open_journal(folder / "journal")
        add(journal, "f")
        assert texts(journal) == [*"abc", "f"]
        walk_chain(journal)
        journal.close()
    finally:
        subprocess.run([umount, str(folder)], check=True)


def test_a_write_that_stops_in_the_middle(tmp_path: Path) -> None:
    """A file-size limit makes the kernel write half of a frame and then refuse: the half is cut away."""
    program = (
        "import sys; from pathlib import Path; import tests.bus.journal_kit as kit\n"
        "import resource\n"
        "from bus.errors import UnavailableError\n"
        "journal = kit.open_journal(Path(sys.argv[1]), segment_bytes=100_000)\n"
        "kit.add(journal, *(str(number) for number in range(20)))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))\n"
        "refused = 0\n"
        "for number in range(20, 30):\n"
        "    try:\n"
        "        kit.add(journal, str(number) + 'x' * 300)\n"
        "    except UnavailableError:\n"
        "        refused += 1\n"
        "assert refused, 'the limit was not met'\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "kit.add(journal, 'after')\n"
        "print(len(kit.texts(journal)), refused)\n"
        "sys.stdout.flush(); __import__('os')._exit(0)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    held, refused = map(int, ran.stdout.split())
    assert held == 31 - refused
    journal = open_journal(tmp_path)
    assert len(texts(journal)) == held
    assert journal.counters().torn_bytes == 0
    assert journal.counters().damaged == 0
    journal.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


class _FailingDisk:
    """Makes the n-th call of one kind fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
        self.calls = 0
        real = getattr(disk, name)

        def call(*args: object) -> object:
            self.calls += 1
            if self.calls == number:
                raise OSError(errno.EIO, "Input/output error")
            return real(*args)

        monkeypatch.setattr(disk, name, call)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("call", ["create", "write_all", "sync", "cut"])
def test_each_call_failing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    failing = _FailingDisk(monkeypatch, call, number)
    journal = open_journal(tmp_path, segment_bytes=700)
    told = {str(step): _try(journal, str(step)) for step in range(24)}
    kept = [text for text, answer in told.items() if not answer]
    assert len(kept) >= 23, "one failure refuses one append"
    assert all("try again" in answer for answer in told.values() if answer)
    assert failing.calls >= number or call in {"create", "cut"}
    assert texts(journal) == kept
    walk_chain(journal)
    journal.close()
    journal = open_journal(tmp_path, segment_bytes=700)
    assert texts(journal) == kept
    assert journal.counters().damaged == 0
    assert all(not view.lost for view in journal.epochs())
    walk_chain(journal)
    journal.close()


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr("bus.journal.disk.os.pwrite", lambda to, content, at: real(to, bytes(content)[:7], at))
    journal = open_journal(tmp_path)
    add(journal, *"abcdefgh")
    assert texts(journal) == list("abcdefgh")
    journal.close()


def test_samples_whose_sync_fails_are_counted_and_their_numbers_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path)
    for _ in range(3):
        journal.append(block(1.0)).result(10)
    _FailingDisk(monkeypatch, "sync", 1)
    journal.flush().result(10)
    assert journal.counters().unsynced_lost == 3
    assert journal.epochs() == []
    key = journal.append(block(2.0)).result(10)
    journal.flush().result(10)
    assert key.seq == 1, "nobody had seen the first ones"
    assert len(read_all(journal, key.epoch, "sample")) == 1
    journal.close()


def test_unreadable_blocks_are_gone_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path, segment_bytes=100_000)
    add(journal, *(f"{number} " + "x" * 400 for number in range(60)))
    epoch = journal.epoch
    before = read_all(journal, epoch, "record")
    journal.close()
    real = os.pread
    (path,) = segments_of(tmp_path)
    bad = path.stat().st_ino

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad and offset < 12_288 and offset + size > 8192:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, size, offset)

    monkeypatch.setattr("bus.journal.disk.os.pread", pread)
    journal = open_journal(tmp_path)
    after = read_all(journal, epoch, "record")
    gone = set(before) - set(after)
    assert 5 < len(gone) < 12, "one block's worth"
    assert all(after[seq] == before[seq] for seq in after)
    (span,) = journal.epochs()[0].lost
    assert set(range(span.first, span.last + 1)) == gone
    journal.close()
