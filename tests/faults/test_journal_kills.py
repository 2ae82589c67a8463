"""SIGKILL of a process that appends: at random moments, and at exact system calls."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evidence import rounds
from tests.faults.acknowledged import Writer, acknowledged, compare, held_texts
from tests.tools import find_tool

pytestmark = pytest.mark.prove


def test_killed_at_random_moments(tmp_path: Path, evidence: Callable[[str], None]) -> None:
    """One journal, killed and opened over and over; nothing acknowledged in any life is missing or there twice."""
    chance = random.Random(7)
    told: list[str] = []
    held: list[str] = []
    kills = rounds(small=6, full=300)
    for life in range(kills):
        writer = Writer(tmp_path, f"life{life}", pause_ms=chance.choice([0, 1]))
        writer.read_lines(2)
        writer.drain_for(chance.random() * 0.15)
        lines = acknowledged(writer.kill())
        assert lines, "the writer got nowhere"
        told += lines
        held = held_texts(tmp_path)
        compare([text for text in held if text.startswith(f"life{life}.")], lines, threads=4)
        assert not set(told) - set(held)
        if life % 20 == 19:
            # A fresh folder now and then, so that the comparison stays quick.
            for path in (tmp_path / "segments").iterdir():
                path.unlink()
            for path in tmp_path.glob("memory-*.json"):
                path.unlink()
            told, held = [], []
    evidence(f"journal: {kills} kills at random moments, 0 acknowledged records lost, 0 stored twice")


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64", "fsync", "ftruncate", "rename"])
def test_killed_at_an_exact_call(tmp_path: Path, call: str, evidence: Callable[[str], None]) -> None:
    """The N-th call of a kind is the last thing the process does."""
    strace = find_tool("strace")
    cuts = {
        "fdatasync": [1, 2, 3, 10, 40],
        "pwrite64": [2, 3, 4, 11, 50],
        "fsync": [1, 2, 3, 4, 6],
        "ftruncate": [1, 2],
        "rename": [1],
    }[call]
    cuts = cuts[: rounds(small=2, full=5)]
    for when in cuts:
        folder = tmp_path / f"{call}-{when}"
        under = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        under += ["-e", f"inject={call}:signal=SIGKILL:when={when}"]
        writer = Writer(folder, "life", threads=2, limit=400, under=under)
        lines = acknowledged(writer.wait())
        compare(held_texts(folder), lines, threads=2)
        compare(held_texts(folder), lines, threads=2)
    evidence(f"journal: killed at {call} number {', '.join(map(str, cuts))}: 0 lost, 0 stored twice")


@pytest.mark.parametrize("failure", ["fdatasync:error=EIO:when=3+5", "fsync:error=EIO:when=2+3"])
def test_a_failing_card(tmp_path: Path, failure: str) -> None:
    """Every so many syncs fail. Who was refused was told; who was not is on disk; the writer goes on to the end."""
    call = failure.partition(":")[0]
    under = [find_tool("strace"), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={failure}"]
    lines = Writer(tmp_path, "life", threads=2, limit=300, under=under).wait()
    refused = [line[1:] for line in lines if line.startswith("!")]
    told = acknowledged(lines)
    assert refused, "the failures hit nothing"
    assert len(refused) + len(told) == 600
    held = held_texts(tmp_path)
    assert not set(told) - set(held), "acknowledged and gone"
    assert len(held) == len(set(held)), "stored twice"
    assert not set(refused) & set(held), "refused, and there all the same"
