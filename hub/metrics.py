"""What Prometheus scrapes at the hub: how every commune of the known list stands now, and how the hub itself does.

How communes stand is read from the store at each scrape, so that any of several hubs gives the same answer and a
commune that never sent a byte is there too, as `silent`. Alerts stand on these gauges; history with true time stamps
goes the other way, by remote write, and no alert hangs on it. Labels: `commune` is the official code, as in the API;
`site` is the id that never changes; names stand in `commune_info`.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from hub import queries, schema
from hub.config import RATINGS, RatingsConfig
from hub.database import Database
from hub.live import Histogram, Live
from hub.ratings.metrics import RatingMetrics
from hub.standing import FINE_CAUSE, State, stand

_SITE: Final = ("commune", "site")
_DEVICE: Final = ("commune", "site", "device")


class Metrics(Collector):
    """`text` gives one scrape; it blocks on the store, so call it in a thread."""

    def __init__(
        self,
        database: Database,
        live: Live,
        *,
        silent_after_s: int,
        ratings: RatingsConfig = RATINGS,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._live = live
        self._silent_after_s = silent_after_s
        self._now_s = now_s
        self._ratings = RatingMetrics(ratings, now_s)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The exposition format 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: the names are not fixed before the store was asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, once."""
        with self._database.read() as connection:
            yield from self._communes(connection)
            yield from _devices(connection)
            yield from _journals(connection)
            yield from _refusals(connection)
            yield from _export(connection)
            yield from self._ratings.families(connection)
            run = connection.execute(select(schema.hub.c.run)).scalar() or ""
        yield from _process(self._live, run)

    def _communes(self, connection: Connection) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "commune_info", "Every commune of the known list.", labels=[*_SITE, "name", "province"]
        )
        state = GaugeMetricFamily("commune_state", "1 for the state that holds.", labels=[*_SITE, "state"])
        since = GaugeMetricFamily(
            "commune_state_since_timestamp_seconds", "Since when it holds, where that is known.", labels=_SITE
        )
        cause = GaugeMetricFamily(
            "commune_fault", "1 for the diagnosed cause, while the commune is heard.", labels=[*_SITE, "cause"]
        )
        seen = GaugeMetricFamily(
            "commune_last_seen_timestamp_seconds", "When its agent was last heard; 0: never.", labels=_SITE
        )
        outages = GaugeMetricFamily("commune_outages_open", "Outages that have not ended.", labels=_SITE)
        absent = GaugeMetricFamily("commune_devices_absent", "Devices that should be there and are not.", labels=_SITE)
        now_ms = int(self._now_s() * 1000)
        provinces = {name.site: name for name in queries.site_names(connection)}
        for facts in queries.facts(connection):
            of = [facts.code, facts.site]
            standing = stand(facts, now_ms=now_ms, silent_after_s=self._silent_after_s)
            info.add_metric([*of, facts.name, provinces[facts.site].province], 1)
            for one in State:
                state.add_metric([*of, one.value], float(standing.state is one))
            if standing.since_ms is not None:
                since.add_metric(of, standing.since_ms / 1000)
            heard = standing.state is not State.SILENT
            if heard and facts.diagnosed is not None and facts.diagnosed.cause != FINE_CAUSE:
                cause.add_metric([*of, facts.diagnosed.cause], 1)
            seen.add_metric(of, (facts.seen_ms or 0) / 1000)
            outages.add_metric(of, facts.open_outages)
            absent.add_metric(of, len(facts.absent))
        yield from (info, state, since, cause, seen, outages, absent)


def _devices(connection: Connection) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "commune_device_info", "Every device of the known list.", labels=[*_DEVICE, "part", "version"]
    )
    seen = GaugeMetricFamily(
        "commune_device_last_seen_timestamp_seconds", "When it was last heard; 0: never.", labels=[*_DEVICE, "part"]
    )
    device, live = schema.device, schema.device_live
    for row in connection.execute(
        select(schema.site.c.code, device.c.site_id, device.c.id, device.c.part, live.c.version, live.c.seen_ms)
        .join(schema.site, schema.site.c.id == device.c.site_id)
        .outerjoin(live, live.c.device_id == device.c.id)
        .where(device.c.known)
    ):
        info.add_metric([*row[:4], row.version or ""], 1)
        seen.add_metric(row[:4], (row.seen_ms or 0) / 1000)
    yield from (info, seen)


def _journals(connection: Connection) -> Iterator[Metric]:
    sums: dict[tuple[str, ...], Counter[str]] = {}
    lost: Counter[tuple[str, ...]] = Counter()
    for journal, account in queries.balances_of_known(connection):
        of: tuple[str, ...] = (journal.code, journal.site, journal.device, journal.klass)
        head = max(journal.head, account.last or 0)
        sums.setdefault(of, Counter()).update(
            head=head, stored=account.stored, missing=account.missing, breaks=journal.breaks
        )
        for reason, count in account.lost.items():
            lost[*of, reason] += count
    labels = [*_DEVICE, "class"]
    for key, text in {
        "head": "Entries that the device says it has written, over all its epochs.",
        "stored": "Entries of it that are stored here.",
        "missing": "Entries of it that may still come.",
    }.items():
        family = GaugeMetricFamily(f"commune_journal_{key}_entries", text, labels=labels)
        for of, counts in sums.items():
            family.add_metric(of, counts[key])
        yield family
    gone = CounterMetricFamily(
        "commune_journal_lost_entries", "Entries that never came: shed, or damaged.", labels=[*labels, "reason"]
    )
    for one, count in lost.items():
        gone.add_metric(one, count)
    broken = CounterMetricFamily("commune_journal_chain_breaks", "Places where the hash chain breaks.", labels=labels)
    for of, counts in sums.items():
        broken.add_metric(of, counts["breaks"])
    yield from (gone, broken)


def _refusals(connection: Connection) -> Iterator[Metric]:
    site, device, aside, refused = schema.site, schema.device, schema.quarantine, schema.rejected
    gone = schema.quarantine_dropped
    dropped: Counter[tuple[str, ...]] = Counter()
    counts: Counter[tuple[str, ...]] = Counter()  # those included whose bytes had to go: a counter never falls
    kept = CounterMetricFamily(
        "commune_quarantined", "Entries and batches set aside raw.", labels=[*_DEVICE, "verdict", "reason"]
    )
    for row in connection.execute(
        select(site.c.code, site.c.id, aside.c.device_id, aside.c.verdict, aside.c.reason, func.count())
        .join(device, device.c.id == aside.c.device_id)
        .join(site, site.c.id == device.c.site_id)
        .group_by(site.c.code, site.c.id, aside.c.device_id, aside.c.verdict, aside.c.reason)
    ):
        counts[tuple(row[:5])] = row[5]
    for row in connection.execute(
        select(site.c.code, site.c.id, gone.c.device_id, gone.c.verdict, gone.c.reason, gone.c["count"])
        .join(device, device.c.id == gone.c.device_id)
        .join(site, site.c.id == device.c.site_id)
    ):
        counts[tuple(row[:5])] += row[5]
        dropped[tuple(row[:3])] += row[5]
    for of, count in counts.items():
        kept.add_metric(of, count)
    for row in connection.execute(
        select(site.c.code, site.c.id, aside.c.device_id, func.count())
        .join(device, device.c.id == aside.c.device_id)
        .join(site, site.c.id == device.c.site_id)
        .where(aside.c.kept.is_(False))
        .group_by(site.c.code, site.c.id, aside.c.device_id)
    ):
        dropped[tuple(row[:3])] += row[3]
    bytes_gone = CounterMetricFamily(
        "commune_quarantine_dropped", "Of these, those whose bytes had to make room for later ones.", labels=_DEVICE
    )
    for of, count in dropped.items():
        bytes_gone.add_metric(of, count)
    rejected = CounterMetricFamily(
        "commune_rejected_messages",
        "Messages without a receipt; no device: not on the list.",
        labels=[*_DEVICE, "reason"],
    )
    for row in connection.execute(
        select(site.c.code, site.c.id, refused.c.device_id, refused.c.reason, refused.c["count"])
        .outerjoin(device, device.c.id == refused.c.device_id)
        .outerjoin(site, site.c.id == device.c.site_id)
    ):
        rejected.add_metric([row[0] or "", row[1] or "", *row[2:4]], row[4])
    noticed = CounterMetricFamily(
        "commune_hub_noticed", "What the hub noticed in journals, by event.", labels=[*_DEVICE, "event"]
    )
    event = schema.event
    for row in connection.execute(
        select(site.c.code, site.c.id, event.c.device_id, event.c.event, func.count())
        .join(site, site.c.id == event.c.site_id)
        .where(event.c.source == "hub")
        .group_by(site.c.code, site.c.id, event.c.device_id, event.c.event)
    ):
        noticed.add_metric(row[:4], row[4])
    yield from (kept, bytes_gone, rejected, noticed)


def _export(connection: Connection) -> Iterator[Metric]:
    waiting = connection.execute(select(func.count()).select_from(schema.export_queue)).scalar_one()
    yield _gauge("commune_hub_export_queue_blocks", "Sample blocks that wait for remote write.", waiting)
    given_up = CounterMetricFamily(
        "commune_hub_given_up", "What was dropped for good, by why.", labels=["what", "reason"]
    )
    for row in connection.execute(select(schema.counter)):
        given_up.add_metric([row.name, row.label], row.value)
    yield given_up


def _process(live: Live, run: str) -> Iterator[Metric]:
    yield _gauge("commune_hub_info", "This hub.", 1, {"version": version("commune-edge"), "run": run})
    for name, text, value in (
        ("messages", "Messages heard.", live.messages),
        ("batches", "Batches committed.", live.batches),
        ("entries", "Entries stored.", live.entries),
        ("repeats", "Entries that were stored already.", live.repeats),
        ("transactions", "Transactions committed.", live.transactions),
        ("receipts", "Receipts sent.", live.receipts),
        ("receipts_unsent", "Receipts that could not be sent.", live.receipts_unsent),
        ("store_failures", "Times the store did not answer.", live.store_failures),
        ("beacons", "Beacons sent.", live.beacons),
        ("statuses_refused", "Births and wills that could not be used.", live.statuses_refused),
        ("roster_failures", "Known lists that could not be read.", live.roster_failures),
        ("exported_blocks", "Sample blocks taken by remote write.", live.exported_blocks),
        ("exported_samples", "Samples taken by remote write.", live.exported_samples),
    ):
        yield CounterMetricFamily(f"commune_hub_{name}", text, value=value)
    yield _counter("commune_hub_dropped_batches", "Batches dropped; they are sent again.", live.dropped.items())
    yield _counter("commune_hub_uncounted_rejections", "Rejected with no store to count.", live.rejected.items())
    yield _counter("commune_hub_export_failures", "Remote writes that failed.", live.export_failures.items())
    yield _counter(
        "commune_hub_faults", "Rounds of the hub's own tasks that broke; the log says why.", live.faults.items()
    )
    yield _histogram("commune_hub_commit_seconds", "From a turn's begin to its commit.", live.commit)
    yield _histogram("commune_hub_answer_seconds", "From a batch's arrival to its receipt sent.", live.answer)


def _gauge(name: str, text: str, value: float, labels: dict[str, str] | None = None) -> Metric:
    family = GaugeMetricFamily(name, text, labels=list(labels or {}))
    family.add_metric(list((labels or {}).values()), value)
    return family


def _counter(name: str, text: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["reason"])
    for reason, count in values:
        family.add_metric([reason], count)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(name, text)
    family.add_metric([], histogram.buckets(), histogram.sum_s)
    return family
