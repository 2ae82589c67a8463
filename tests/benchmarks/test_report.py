"""What a benchmark's figures are held to, and how they are shown."""

import json

import pytest

import benchmarks.__main__ as runner
from benchmarks.report import Bound, Row, document, replace_section, table

FAST = Row("commits", 950, "1/s", "bare inserts", 1000, (Bound("ratio", at_least=0.9), Bound("value", at_least=100)))
SLOW = Row("commits", 850, "1/s", "bare inserts", 1000, (Bound("ratio", at_least=0.9),))


@pytest.mark.parametrize(
    ("row", "missed"),
    [
        (FAST, 0),
        (SLOW, 1),
        (Row("p99", 20.5, "ms", bounds=(Bound("value", at_most=20),)), 1),
        (Row("p99", 20, "ms", bounds=(Bound("value", at_most=20),)), 0),
        (Row("no peer", 1, "ms", bounds=(Bound("ratio", at_most=1),)), 1),
        (Row("dead peer", 1, "ms", "peer", 0, (Bound("ratio", at_most=1),)), 1),
    ],
)
def test_bounds(row: Row, missed: int) -> None:
    assert len(row.missed) == missed


def test_table_says_what_was_wanted_and_whether_it_was_kept() -> None:
    head, _, fast, slow = table({"journal": [FAST, SLOW]}).splitlines()
    assert len({len(head), len(fast), len(slow)}) == 1
    cells = [cell.strip() for cell in fast.split("|")[1:-1]]
    assert cells == ["journal: commits", "950", "1/s", "bare inserts", "1,000", "0.95", "×≥ 0.9, ≥ 100", "kept"]
    assert slow.rstrip("| ").endswith("missed")


def test_document_is_json_with_ratios() -> None:
    read = json.loads(json.dumps(document({"journal": [SLOW]}, command="scripts/bench")))
    assert read["rows"][0]["ratio"] == 0.85
    assert read["rows"][0]["missed"] is True
    assert read["machine"]["cores"] >= 1


def test_section_is_replaced_and_the_rest_kept() -> None:
    text = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
    assert replace_section(text, "bench", ["new"]) == "before\n<!-- bench -->\nnew\n<!-- /bench -->\nafter\n"
    with pytest.raises(ValueError, match="no section"):
        replace_section("nothing", "bench", [])


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(["no-such"])
    assert ended.value.code == 2
    assert "no benchmark no-such" in capsys.readouterr().err
