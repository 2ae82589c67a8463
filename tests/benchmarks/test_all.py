"""Every benchmark runs to its end, small: what it measures is scripts/bench's business, that it can is ours."""

import importlib
import math

import pytest

from benchmarks.__main__ import names

_HAVE_TESTS_OF_THEIR_OWN = {"footprint", "links"}


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(set(names()) - _HAVE_TESTS_OF_THEIR_OWN))
def test_runs_small(name: str) -> None:
    rows = importlib.import_module(f"benchmarks.{name}").run(0.005)
    assert rows
    assert len({(row.measure, row.peer) for row in rows}) == len(rows)
    for row in rows:
        assert math.isfinite(row.value), row
        if row.peer:
            assert row.peer_value is not None, row
            assert math.isfinite(row.peer_value), row
