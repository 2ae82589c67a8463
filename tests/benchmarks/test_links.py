from benchmarks import footprint, links


def test_links_small() -> None:
    rows = {row.measure.split(",")[0].split(" in ")[0]: row for row in links.run(0.02)}
    assert rows["false downs"].value == 0
    assert 0 < rows["carrier loss to record on disk"].value < 1_000
    assert 0 < rows["silent loss to all 30 targets down"].value < 10
    assert all(row.peer_value is not None for row in rows.values() if row.peer)


def test_footprint_small() -> None:
    memory, processor, rate = footprint.run(0.05)
    assert 5 < memory.value < 60
    assert memory.peer_value is not None
    assert memory.peer_value > 5
    assert processor.value > 0
    assert rate.value > 10
