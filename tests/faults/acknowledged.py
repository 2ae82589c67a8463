"""What a killed writer had acknowledged, held against what its journal has."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bus.entries import EventNoted
from bus.messages import Entry
from tests.bus.journal_kit import open_journal, read_all, walk_chain

_WRITER = Path(__file__).with_name("journal_writer.py")


class Writer:
    """One run of journal_writer.py, perhaps under another program such as strace."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        threads: int = 4,
        limit: int = 100_000,
        pause_ms: int = 0,
        under: Sequence[str] = (),
    ) -> None:
        command = [*under, sys.executable, str(_WRITER), str(folder), name, str(threads), str(limit), str(pause_ms)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self._lines: list[str] = []
        self._rest = b""

    def read_lines(self, wanted: int) -> list[str]:
        """Wait until `wanted` lines have come, or the process has ended."""
        assert self._process.stdout is not None
        while len(self._lines) < wanted:
            block = os.read(self._process.stdout.fileno(), 65_536)
            if not block:
                break
            self._take(block)
        return list(self._lines)

    def drain_for(self, seconds: float) -> None:
        """Read what comes for a while."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._take_ready()
            time.sleep(0.001)
        os.set_blocking(self._process.stdout.fileno(), True)

    def said_so_far(self) -> list[str]:
        """Every line that was written before this call."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        while self._take_ready():
            pass
        os.set_blocking(self._process.stdout.fileno(), True)
        return list(self._lines)

    def stop(self) -> list[str]:
        """SIGSTOP at whatever it is doing; returns what it had said once every thread of it stands still."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        tasks = Path(f"/proc/{self._process.pid}/task")
        while any((task / "stat").read_text().rpartition(") ")[2][0] != "T" for task in tasks.iterdir()):
            time.sleep(0.001)
        return self.said_so_far()

    def kill(self) -> list[str]:
        """SIGKILL; returns all lines."""
        os.killpg(self._process.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> list[str]:
        """Until it ends by itself; returns all lines."""
        lines = self.read_lines(10**9)
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return lines

    def _take_ready(self) -> bool:
        assert self._process.stdout is not None
        try:
            block = os.read(self._process.stdout.fileno(), 65_536)
        except BlockingIOError:
            return False
        self._take(block)
        return bool(block)

    def _take(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        self._lines += [line.decode() for line in lines]


def acknowledged(lines: Sequence[str]) -> list[str]:
    """The texts that were acknowledged."""
    return [line for line in lines if line[0] not in "!o"]


def held_texts(folder: Path) -> list[str]:
    """What the journal holds, its own invariants checked: chain unbroken, nothing damaged."""
    journal = open_journal(folder, segment_bytes=16_384)
    try:
        assert journal.counters().damaged == 0
        walk_chain(journal)
        found = []
        for view in journal.epochs():
            assert view.lost == []
            entries = read_all(journal, view.epoch, view.klass, max_count=500)
            assert list(entries) == list(range(1, view.head + 1))
            for raw in entries.values():
                entry = msgspec.json.decode(raw, type=Entry)
                if entry.kind == "event.noted":
                    found.append(msgspec.json.decode(entry.data, type=EventNoted).event)
        return found
    finally:
        journal.close()


def compare(held: Sequence[str], told: Sequence[str], *, threads: int) -> None:
    """Every text acknowledged is held once; what is held beyond them was in flight: the next one of its thread."""
    counts = Counter(held)
    twice = [text for text, count in counts.items() if count > 1]
    assert not twice, f"stored twice: {twice[:5]}"
    missing = set(told) - set(held)
    assert not missing, f"acknowledged and gone: {sorted(missing)[:5]} and {max(0, len(missing) - 5)} more"
    last: dict[str, int] = {}
    for text in told:
        thread, _, number = text.rpartition(".")
        last[thread] = max(last.get(thread, -1), int(number))
    extra = set(held) - set(told)
    for text in extra:
        thread, _, number = text.rpartition(".")
        assert int(number) <= last.get(thread, -1) + 1, f"held, and not the next in flight: {text}"
    assert len(extra) <= threads
