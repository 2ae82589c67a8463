"""The hub's own page for Prometheus: every commune of the known list is on it, and promtool has nothing to say."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bus.entries import DiagnosisChanged, Sentence
from bus.messages import Lost
from hub.admission import Reason, Rejected
from hub.database import Database
from hub.live import Live
from hub.metrics import Metrics
from hub.store import Store
from tests.hub.sender import START_MS, Sender, roster_of
from tests.tools import find_tool

NOW_S = START_MS / 1000
ORDER = ("commune", "site", "device", "class", "verdict", "state", "cause", "reason")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/hub.db")
    yield made
    made.close()


def samples(text: bytes, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in ORDER if label in sample.labels): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }


def test_every_known_commune_is_told_silent_ones_too(database: Database) -> None:
    heard, silent = Sender(), Sender("s0002", "s0002-agent")
    store = Store(database, now_ms=lambda: START_MS)
    store.open(roster_of(heard, silent))
    heard.add(
        DiagnosisChanged("fibre", "line-1", START_MS - 5000, 0.9, Sentence("đứt", "cut"), Sentence("gọi", "call"))
    )
    heard.add_raw(b'{"seq":2}')
    store.ingest([heard.admitted(heard.batch(1, 2, lost=[Lost(3, 5, "damaged")]))])
    heard.record.entries += [b"{}"] * 8  # told of, not sent
    store.ingest([heard.admitted(heard.batch(1, 0))])
    store.reject([Rejected("s0002-agent", Reason.WRONG_SIGNATURE, "no"), Rejected("", Reason.UNKNOWN_DEVICE, "who")])
    live = Live(batches=2)
    live.answer.add(0.02)
    metrics = Metrics(database, live, silent_after_s=90, now_s=lambda: NOW_S)
    text = metrics.text()

    states = {key for key, value in samples(text, "commune_state").items() if value == 1}
    assert states == {("code-s0001", "s0001", "fault"), ("code-s0002", "s0002", "silent")}
    assert samples(text, "commune_fault") == {("code-s0001", "s0001", "fibre"): 1}
    assert samples(text, "commune_last_seen_timestamp_seconds") == {
        ("code-s0001", "s0001"): NOW_S,
        ("code-s0002", "s0002"): 0,
    }
    assert samples(text, "commune_journal_missing_entries") == {("code-s0001", "s0001", "s0001-agent", "record"): 5}
    assert samples(text, "commune_journal_lost_entries_total") == {
        ("code-s0001", "s0001", "s0001-agent", "record", "damaged"): 3
    }
    assert samples(text, "commune_quarantined_total") == {
        ("code-s0001", "s0001", "s0001-agent", "quarantined", "broken"): 1
    }
    assert samples(text, "commune_rejected_messages_total") == {
        ("code-s0002", "s0002", "s0002-agent", "wrong-signature"): 1,
        ("", "", "", "unknown-device"): 1,
    }
    assert samples(text, "commune_hub_batches_total") == {(): 2}
    later = Metrics(database, live, silent_after_s=90, now_s=lambda: NOW_S + 91).text()
    assert samples(later, "commune_state")["code-s0001", "s0001", "silent"] == 1
    assert samples(later, "commune_fault") == {}

    checked = subprocess.run([find_tool("promtool"), "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
