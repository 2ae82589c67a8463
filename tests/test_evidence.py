"""How what the campaigns found is kept."""

from tests.evidence import keep

DOCUMENT = """# Evidence
<!-- prove -->

| campaign | found | on | command |
|---|---|---|---|
| `a.py::kills` | old | 2026-01-01 | `scripts/prove` |
| `b.py::cuts` | as it was | 2026-01-01 | `scripts/prove` |

<!-- /prove -->
after
"""


def test_a_partial_run_keeps_what_the_others_found() -> None:
    kept = keep(DOCUMENT, [("a.py::kills", "0 lost"), ("a.py::kills", "a | b")], "scripts/prove -k kills", "2026-02-02")
    assert kept.splitlines() == [
        "# Evidence",
        "<!-- prove -->",
        "",
        "| campaign | found | on | command |",
        "|---|---|---|---|",
        "| `a.py::kills` | 0 lost | 2026-02-02 | `scripts/prove -k kills` |",
        "| `a.py::kills` | a / b | 2026-02-02 | `scripts/prove -k kills` |",
        "| `b.py::cuts` | as it was | 2026-01-01 | `scripts/prove` |",
        "",
        "<!-- /prove -->",
        "after",
    ]
