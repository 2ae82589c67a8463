"""Long fault campaigns: how large they run, and how what they found gets into docs/evidence.md.

scripts/prove sets COMMUNE_PROVE=full; scripts/test runs the same code with small counts. A campaign tells what it did
in one line, `evidence("412 kills, 10,000 records: 0 lost, 0 doubled")`, which is shown at the end of every run and kept
in the document by a full one. A run of some campaigns leaves the lines of the others as they are.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from benchmarks.report import replace_section, section

_KEY: Final = "evidence"
_DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "evidence.md"
_HEAD: Final = ["| campaign | found | on | command |", "|---|---|---|---|"]


def is_full() -> bool:
    """Whether scripts/prove runs us."""
    return os.environ.get("COMMUNE_PROVE") == "full"


def rounds(*, small: int, full: int) -> int:
    """How many times a campaign goes round: `small` within scripts/test, `full` within scripts/prove."""
    return full if is_full() else small


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says in one line what the campaign did and found."""

    def tell(line: str) -> None:
        request.node.user_properties.append((_KEY, line))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the lines, and keep those of campaigns that passed in a full run."""
    passed = _lines(terminalreporter.stats.get("passed", []))
    failed = _lines(terminalreporter.stats.get("failed", []))
    if passed or failed:
        terminalreporter.section("evidence")
        for test, line in (*passed, *((test, f"FAILED: {line}") for test, line in failed)):
            terminalreporter.write_line(f"{test}: {line}")
    if passed and is_full():
        command = shlex.join(["scripts/prove", *_asked(sys.argv[1:])])
        kept = keep(_DOCUMENT.read_text(encoding="utf-8"), passed, command, datetime.now(UTC).date().isoformat())
        _DOCUMENT.write_text(kept, encoding="utf-8")


def _lines(reports: Iterable[object]) -> list[tuple[str, str]]:
    return [
        (report.nodeid, str(value))
        for report in reports
        if isinstance(report, pytest.TestReport)
        for key, value in report.user_properties
        if key == _KEY
    ]


def _asked(argv: list[str]) -> list[str]:
    """Without what scripts/prove itself puts in front."""
    own = ["-m", "prove", "--timeout", "0"]
    return argv[len(own) :] if argv[: len(own)] == own else argv


def keep(document: str, found: list[tuple[str, str]], command: str, on: str) -> str:
    """The document with the lines of these campaigns; one campaign may have told several."""
    rows: dict[str, list[str]] = {}
    for line in section(document, "prove"):
        if line.startswith("| `"):
            rows.setdefault(line.split("`")[1], []).append(line)
    for test in dict(found):
        rows.pop(test, None)
    for test, line in found:
        rows.setdefault(test, []).append(f"| `{test}` | {line.replace('|', '/')} | {on} | `{command}` |")
    table = [line for test in sorted(rows) for line in rows[test]]
    return replace_section(document, "prove", ["", *_HEAD, *table, ""])
