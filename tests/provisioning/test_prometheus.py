"""What we write for Prometheus and Alertmanager, held against their own tools."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from provisioning.prometheus import RULES, Receiver, Scrape, alertmanager_yml, prometheus_yml
from tests.tools import find_tool


def run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run([find_tool(words[0]), *words[1:]], capture_output=True, text=True, timeout=60, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("ca", [None, Path("ca.pem")])
@pytest.mark.parametrize("alertmanager", [None, "127.0.0.1:9093"])
def test_prometheus_takes_its_configuration(tmp_path: Path, ca: Path | None, alertmanager: str | None) -> None:
    token = tmp_path / "hub token"  # with a blank, to be quoted
    token.write_text("x")
    ca = ca and tmp_path / ca
    if ca is not None:
        ca.write_text("")
    path = tmp_path / "prometheus.yml"
    path.write_text(prometheus_yml(Scrape("127.0.0.1", 8080, token, ca), rules=RULES, alertmanager=alertmanager))
    said = run("promtool", "check", "config", str(path))
    assert "rules found" in said


@pytest.mark.parametrize("url", ["", "https://chat.example/hook?a=1&b='2'"])
def test_alertmanager_takes_its_configuration(tmp_path: Path, url: str) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_yml(Receiver(webhook_url=url)))
    assert "1 receivers" in run("amtool", "check-config", str(path))


# -- the rules: one fault is one alert. Each scenario says what the hub is scraped for over time (promtool's notation,
# one value every 10 s) and exactly which alerts fire at some moments, whatever their number.

MINUTE = 6  # scrapes
Series = dict[str, str]
Firing = dict[str, set[tuple[str, str]]]  # moment: {(alert, commune)}


def flat(value: float, minutes: int = 180) -> str:
    return f"{value}+0x{minutes * MINUTE}"


def step(before: float | str, after: float | str, *, at_minute: int, minutes: int = 180) -> str:
    def stretch(value: float | str, count: int) -> str:
        return f"_x{count}" if value == "_" else f"{value}+0x{count - 1}"

    return f"{stretch(before, at_minute * MINUTE)} {stretch(after, (minutes - at_minute) * MINUTE)}"


def healthy(*sites: str) -> Series:
    """A hub and communes with nothing wrong."""
    hub = {'up{job="hub",instance="h"}': flat(1)}
    hub['commune_hub_beacons_total{job="hub",instance="h"}'] = f"0+2x{180 * MINUTE}"
    hub['commune_hub_store_failures_total{job="hub",instance="h"}'] = flat(0)
    hub['commune_hub_export_queue_blocks{job="hub",instance="h"}'] = flat(0)
    for site in sites:
        hub |= {
            of("commune_info", site, 'name="Mường Lát",province="Thanh Hóa"'): flat(1),
            of("commune_state", site, 'state="silent"'): flat(0),
            of("commune_state", site, 'state="fault"'): flat(0),
            of("commune_state", site, 'state="fine"'): flat(1),
            of("commune_state_since_timestamp_seconds", site): flat(1_700_000_000),
            of("commune_last_seen_timestamp_seconds", site): flat(1_700_000_000),
            of("commune_devices_absent", site): flat(0),
            of("commune_journal_missing_entries", site, f'device="{site}-agent",class="record"'): flat(0),
            of("commune_journal_chain_breaks_total", site, f'device="{site}-agent",class="record"'): flat(0),
        }
    return hub


def of(name: str, site: str, more: str = "") -> str:
    return f'{name}{{job="hub",instance="h",commune="9",site="{site}"{"," + more if more else ""}}}'


THREE = healthy("s1", "s2", "s3")
SILENT = {
    of("commune_state", "s1", 'state="silent"'): step(0, 1, at_minute=60),
    of("commune_state", "s1", 'state="fine"'): step(1, 0, at_minute=60),
}
FAULT = {of("commune_fault", "s1", 'cause="fibre-down"'): step("_", 1, at_minute=60)}
ABSENT = {of("commune_devices_absent", "s1"): step(0, 4, at_minute=60)}
MISSING = of("commune_journal_missing_entries", "s1", 'device="s1-agent",class="record"')

SCENARIOS: dict[str, tuple[Series, Firing]] = {
    "all is well": (THREE, {"30m": set(), "170m": set()}),
    "a line is down": (
        THREE | FAULT,
        {"59m": set(), "62m": {("CommuneFault", "s1")}, "170m": {("CommuneFault", "s1")}},
    ),
    "a line is down, its devices gone and its journal waiting": (
        THREE | FAULT | ABSENT | {MISSING: step(0, 500, at_minute=60)},
        {"62m": {("CommuneFault", "s1")}, "170m": {("CommuneFault", "s1")}},
    ),
    "a commune is silent": (
        THREE | SILENT | ABSENT | {MISSING: step(0, 500, at_minute=60)},
        {"59m": set(), "62m": {("CommuneSilent", "s1")}, "170m": {("CommuneSilent", "s1")}},
    ),
    "a commune that was never heard wakes nobody": (
        THREE | SILENT | {of("commune_last_seen_timestamp_seconds", "s1"): flat(0)},
        {"100m": set()},
    ),
    "devices are gone, and nothing explains it": (
        THREE | ABSENT,
        {"62m": set(), "70m": {("DevicesAbsent", "s1")}},
    ),
    "the hub is down": (
        {name: re.sub(r"x\d+$", f"x{60 * MINUTE} stale", values) for name, values in THREE.items()}
        | {'up{job="hub",instance="h"}': step(1, 0, at_minute=60)},
        {"59m": set(), "63m": {("HubDown", "")}, "170m": {("HubDown", "")}},
    ),
    "the hub has no broker: every commune falls silent, one alert": (
        healthy("s1", "s2", "s3")
        | {of("commune_state", site, 'state="silent"'): step(0, 1, at_minute=62) for site in ("s1", "s2", "s3")}
        | {'commune_hub_beacons_total{job="hub",instance="h"}': f"0+2x{60 * MINUTE} 720+0x{120 * MINUTE}"},
        {"59m": set(), "70m": {("HubCutOff", "")}, "170m": {("HubCutOff", "")}},
    ),
    "the store fails": (
        THREE | {'commune_hub_store_failures_total{job="hub",instance="h"}': f"0+0x{60 * MINUTE} 0+1x{120 * MINUTE}"},
        {"59m": set(), "65m": {("HubStoreFailing", "")}},
    ),
    "a task of the hub breaks once": (
        THREE | {'commune_hub_faults_total{job="hub",instance="h",reason="rollup"}': step("_", 1, at_minute=60)},
        {"59m": set(), "61m": {("HubFault", "")}, "80m": set()},
    ),
    "a task of the hub breaks again after a new start of the hub": (
        THREE
        | {
            'commune_hub_faults_total{job="hub",instance="h",reason="roll"}': (
                f"1+0x{40 * MINUTE} _x{40 * MINUTE} 1+0x{60 * MINUTE}"
            )
        },
        {"39m": set(), "82m": {("HubFault", "")}, "100m": set()},
    ),
    "history is not taken": (
        THREE
        | {
            'commune_hub_export_queue_blocks{job="hub",instance="h"}': step(0, 40, at_minute=60),
            'commune_hub_export_failures_total{job="hub",instance="h",reason="refused"}': (
                f"0+0x{60 * MINUTE} 0+1x{120 * MINUTE}"
            ),
        },
        {"70m": set(), "80m": {("HistoryNotWritten", "")}},
    ),
    "a backlog drains": (THREE | {MISSING: f"9000-5x{180 * MINUTE}"}, {"100m": set()}),
    "entries are missing and do not come": (
        THREE | {MISSING: step(0, 12, at_minute=60)},
        {"70m": set(), "100m": {("JournalMissing", "s1")}},
    ),
    "an entry is set aside: told for an hour": (
        THREE
        | {
            of("commune_quarantined_total", "s2", 'device="s2-agent",verdict="conflict",reason="digest"'): step(
                "_", 1, at_minute=60
            )
        },
        {"59m": set(), "61m": {("Quarantined", "s2")}, "118m": {("Quarantined", "s2")}, "125m": set()},
    ),
    "a record is damaged; a shed sample is none of this": (
        THREE
        | {
            of("commune_journal_lost_entries_total", "s2", 'device="s2-agent",class="record",reason="damaged"'): step(
                0, 2, at_minute=60
            ),
            of("commune_journal_lost_entries_total", "s3", 'device="s3-agent",class="sample",reason="shed"'): step(
                0, 900, at_minute=60
            ),
        },
        {"59m": set(), "61m": {("RecordsLost", "s2")}},
    ),
    "a hash chain is broken": (
        THREE
        | {
            of("commune_journal_chain_breaks_total", "s2", 'device="s2-agent",class="record"'): step(0, 1, at_minute=60)
        },
        {"59m": set(), "61m": {("ChainBroken", "s2")}},
    ),
    "a stranger sends under many names": (
        THREE
        | {
            of("commune_rejected_messages_total", "", f'device="{name}",reason="wrong-signature"'): step(
                "_", 3, at_minute=60
            )
            for name in ("a", "b", "c")
        },
        {"59m": set(), "61m": {("MessagesRejected", "")}, "80m": set()},
    ),
}


def alerts() -> set[str]:
    return set(re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE))


def test_the_rules_are_sound() -> None:
    assert f"{len(alerts())} rules found" in run("promtool", "check", "rules", str(RULES))


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_fault_is_one_alert(tmp_path: Path, name: str) -> None:
    series, firing = SCENARIOS[name]
    test = {
        "interval": "10s",
        "input_series": [{"series": series_name, "values": values} for series_name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, site) (ALERTS{alertstate="firing"})',
                "eval_time": moment,
                "exp_samples": [{"labels": _labels(alert, commune), "value": 1} for alert, commune in sorted(expected)],
            }
            for moment, expected in firing.items()
        ],
    }
    path = tmp_path / "scenario.yml"  # JSON is YAML
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "10s", "tests": [test]}))
    assert "SUCCESS" in run("promtool", "test", "rules", str(path))


def _labels(alert: str, commune: str) -> str:
    return f'{{alertname="{alert}"' + (f',site="{commune}"' if commune else "") + "}"


def test_every_alert_is_proved_to_fire() -> None:
    fired = {alert for _, firing in SCENARIOS.values() for expected in firing.values() for alert, _ in expected}
    assert fired == alerts()


def test_every_alert_has_its_page_in_the_operations_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", guide, re.MULTILINE))
    assert alerts() <= headings
    assert set(re.findall(r"operations\.md#(\w+)", RULES.read_text())) == {alert.lower() for alert in alerts()}


def test_what_is_told_names_the_commune_in_vietnamese(tmp_path: Path) -> None:
    test = {
        "interval": "10s",
        "input_series": [{"series": name, "values": values} for name, values in (THREE | FAULT).items()],
        "alert_rule_test": [
            {
                "eval_time": "70m",
                "alertname": "CommuneFault",
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": "page", "commune": "9", "site": "s1", "cause": "fibre-down"},
                        "exp_annotations": {
                            "summary": "Mường Lát: fibre-down từ 2023-11-14 22:13:20 +0000 UTC; câu chẩn đoán ở trang "
                            "của tỉnh. / the diagnosis in words is on the province's page.",
                            "runbook": "docs/operations.md#communefault",
                        },
                    }
                ],
            }
        ],
    }
    path = tmp_path / "scenario.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "10s", "tests": [test]}))
    assert "SUCCESS" in run("promtool", "test", "rules", str(path))
