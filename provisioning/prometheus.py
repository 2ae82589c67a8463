"""Configuration of Prometheus and Alertmanager at the province.

Prometheus scrapes the hub alone (communes stand behind routers; the hub knows them all, silent ones included) and takes
history by remote write, late samples too. Alerts stand on scraped series only, never on backfill. Alertmanager groups
by commune, so that one fault is one message; how it leaves (mail, a chat hook) is the province's to fill in.

Sources: prometheus.io/docs/prometheus/2.42 configuration; prometheus.io/docs/alerting configuration, 0.25.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RULES: Final = Path(__file__).parent / "alerting" / "commune.rules.yml"

SCRAPE_INTERVAL_S: Final = 10
# A commune cut off for a month still brings its samples; older ones are in the hub's store all the same.
OUT_OF_ORDER: Final = "31d"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The hub as Prometheus sees it. `token_file` holds a token of scope `metrics`; `ca` where it speaks HTTPS."""

    host: str
    port: int
    token_file: Path
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where Alertmanager sends: a webhook that takes its JSON; none keeps alerts on its page alone."""

    webhook_url: str = ""


def prometheus_yml(hub: Scrape, *, rules: Path, alertmanager: str | None = None) -> str:
    """prometheus.yml. `alertmanager` is `host:port`."""
    lines = [
        "# Written by commune. Changes are lost when it is written again.",
        "global:",
        f"  scrape_interval: {SCRAPE_INTERVAL_S}s",
        f"  evaluation_interval: {SCRAPE_INTERVAL_S}s",
        "storage:",
        "  tsdb:",
        f"    out_of_order_time_window: {OUT_OF_ORDER}",
        "rule_files:",
        f"  - {_text(rules)}",
        "scrape_configs:",
        "  - job_name: hub",
        f"    scheme: {'https' if hub.ca else 'http'}",
        "    authorization:",
        f"      credentials_file: {_text(hub.token_file)}",
        *([f"    tls_config: {{ca_file: {_text(hub.ca)}}}"] if hub.ca else []),
        "    static_configs:",
        f"      - targets: [{_text(f'{hub.host}:{hub.port}')}]",
    ]
    if alertmanager is not None:
        lines += [
            "alerting:",
            "  alertmanagers:",
            "    - static_configs:",
            f"        - targets: [{_text(alertmanager)}]",
        ]
    return "\n".join(lines) + "\n"


def alertmanager_yml(receiver: Receiver = Receiver()) -> str:
    """alertmanager.yml. A group is one commune; what strikes the province itself is a group of its own."""
    lines = [
        "# Written by commune. Changes are lost when it is written again.",
        "route:",
        "  receiver: province",
        "  group_by: [commune, site]",
        # Long enough for all that follows from one fault to be in the first message.
        "  group_wait: 30s",
        "  group_interval: 5m",
        "  repeat_interval: 12h",
        "receivers:",
        "  - name: province",
    ]
    if receiver.webhook_url:
        lines += ["    webhook_configs:", f"      - url: {_text(receiver.webhook_url)}", "        send_resolved: true"]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """A YAML string: JSON's are a part of YAML's."""
    return json.dumps(str(value))
