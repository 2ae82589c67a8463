"""What the agent knows, as Prometheus reads it: `/metrics` on the LAN side, for whoever has a Prometheus of his own.

One registry of our own, no process-wide one. A value that was not observed has no sample: absence is "no data", never
zero. Names and units follow Prometheus' rules (`promtool check metrics`): base units, `_total` for what only grows.
Series of a port or device that is gone go with it.
"""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.observations import Health, NetworkState, OpticalPower, ProbeResult, SwitchPort, UpsState

Held = TypeVar("Held")
Light = tuple[OpticalPower, float | None, float | None]  # with its threshold in dBm, and the days left


class Metrics(Collector):
    """Holds the newest observation of each kind. Use from one event loop."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._now_s = now_s
        self._results: dict[str, ProbeResult] = {}
        self._network: NetworkState | None = None
        self._health: Health | None = None
        self._optical: dict[str, Light] = {}
        self._switch_ports: dict[str, SwitchPort] = {}
        self._ups: UpsState | None = None
        self._probes = Counter("commune_probe_bursts", "Probes done.", ["target"], registry=self.registry)
        self._failures = Counter("commune_probe_failures", "Probes failed.", ["target"], registry=self.registry)
        self._unasked = Counter(
            "commune_probe_unasked",
            "Probes that the box itself could not make, and so say nothing of the line.",
            ["target"],
            registry=self.registry,
        )
        self._diagnosis = Gauge(
            "commune_diagnosis_info",
            "The one cause of what is wrong at the site; fine when nothing is.",
            ["cause", "subject"],
            registry=self.registry,
        )
        self.registry.register(self)  # last: the registry asks for all names at once

    def take_result(self, result: ProbeResult) -> None:
        """A probe has ended. One that could not be made is counted apart, and takes the one before it away."""
        if not result.asked:
            self._results.pop(result.target, None)
            self._unasked.labels(result.target).inc()
            return
        self._results[result.target] = result
        self._probes.labels(result.target).inc()
        self._failures.labels(result.target).inc(0 if result.success else 1)

    def take_network(self, state: NetworkState) -> None:
        """The ports and routes as they are now."""
        self._network = state

    def take_health(self, health: Health) -> None:
        """The box's health as it is now."""
        self._health = health

    def take_optical(
        self,
        name: str,
        power: OpticalPower | None,
        *,
        threshold_dbm: float | None = None,
        days_left: float | None = None,
    ) -> None:
        """Light at a receiver, below what it is lost, and in how many days it will be; None takes it away."""
        _keep(self._optical, name, None if power is None else (power, threshold_dbm, days_left))

    def take_switch_port(self, name: str, port: SwitchPort | None) -> None:
        """A port of a switch; None takes it away."""
        _keep(self._switch_ports, name, port)

    def take_ups(self, ups: UpsState | None) -> None:
        """The UPS; None when it is not known now."""
        self._ups = ups

    def take_diagnosis(self, cause: str, subject: str) -> None:
        """The one cause, from now on."""
        self._diagnosis.clear()
        self._diagnosis.labels(cause, subject).set(1)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry: what is read off the newest observations."""
        yield from _of_results(self._results.values(), self._now_s())
        if self._network is not None:
            yield from _of_network(self._network)
        if self._health is not None:
            yield from _of_health(self._health)
        yield from _of_light(self._optical)
        yield from _of_switch(self._switch_ports)
        if self._ups is not None:
            yield from _of_ups(self._ups)


def _keep(held: dict[str, Held], name: str, value: Held | None) -> None:
    if value is None:
        held.pop(name, None)
    else:
        held[name] = value


Rows = list[tuple[tuple[str, ...], float | None]]


def _gauge(name: str, says: str, labels: tuple[str, ...], rows: Rows) -> Iterable[Metric]:
    """A family with the rows that have a value; nothing when none has."""
    family = GaugeMetricFamily(name, says, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    if family.samples:
        yield family


def _counter(name: str, says: str, labels: tuple[str, ...], rows: Rows) -> Iterable[Metric]:
    family = CounterMetricFamily(name, says, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    if family.samples:
        yield family


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _of_results(results: Iterable[ProbeResult], now_s: float) -> Iterable[Metric]:
    held = list(results)
    by = ("target",)

    def rows(value: Callable[[ProbeResult], float | None]) -> Rows:
        return [((result.target,), value(result)) for result in held]

    yield from _gauge("commune_probe_success", "Whether the last probe succeeded.", by, rows(lambda r: r.success))
    yield from _gauge(
        "commune_probe_duration_seconds", "How long the last probe took.", by, rows(lambda r: _seconds(r.duration_ms))
    )
    yield from _gauge(
        "commune_probe_rtt_seconds", "Mean round trip of the last probe.", by, rows(lambda r: _seconds(r.rtt_ms))
    )
    yield from _gauge(
        "commune_probe_jitter_seconds", "Jitter of the last probe.", by, rows(lambda r: _seconds(r.jitter_ms))
    )
    yield from _gauge(
        "commune_probe_loss_ratio", "Packets lost in the last probe.", by, rows(lambda r: r.loss_pct / 100)
    )
    yield from _gauge(
        "commune_probe_age_seconds", "How old the last probe is.", by, rows(lambda r: max(now_s - r.mono_ns / 1e9, 0))
    )
    yield from _gauge(
        "commune_probe_http_status_code", "HTTP status of the last answer.", by, rows(lambda r: r.http_status)
    )
    yield from _gauge(
        "commune_certificate_left_seconds",
        "For how long the certificate is still good; below 0 when it has expired.",
        by,
        rows(lambda r: None if r.certificate_days is None else r.certificate_days * 86_400),
    )


def _of_network(state: NetworkState) -> Iterable[Metric]:
    ports = list(state.ports.values())
    by = ("port",)
    yield from _gauge(
        "commune_port_carrier", "Whether the port has a link.", by, [((p.name,), p.carrier) for p in ports]
    )
    yield from _gauge(
        "commune_port_speed_bytes_per_second",
        "Negotiated speed, in bytes: Prometheus knows no bits.",
        by,
        [((p.name,), None if p.speed_mbit is None else p.speed_mbit * 125_000) for p in ports],
    )
    yield from _counter("commune_port_received_bytes", "Bytes received.", by, [((p.name,), p.rx_bytes) for p in ports])
    yield from _counter("commune_port_sent_bytes", "Bytes sent.", by, [((p.name,), p.tx_bytes) for p in ports])
    yield from _counter(
        "commune_port_errors",
        "Packets with errors, both ways.",
        by,
        [((p.name,), p.rx_errors + p.tx_errors) for p in ports],
    )
    yield from _counter(
        "commune_port_carrier_changes",
        "How often the link came or went.",
        by,
        [((p.name,), p.carrier_changes) for p in ports],
    )
    yield from _gauge(
        "commune_default_route_metric",
        "Default routes; the lowest metric is in use.",
        ("port", "gateway"),
        [((route.port, route.gateway), route.metric) for route in state.routes],
    )


def _of_health(health: Health) -> Iterable[Metric]:
    plain: list[tuple[str, str, float | None]] = [
        ("commune_cpu_busy_ratio", "Share of processor time in use.", health.cpu_pct / 100),
        ("commune_load", "Load over a minute.", health.load_1m),
        ("commune_memory_size_bytes", "Memory of the box.", health.memory_total_bytes),
        ("commune_memory_available_bytes", "Memory that could be used.", health.memory_available_bytes),
        ("commune_uptime_seconds", "Time since boot.", health.uptime_s),
        ("commune_temperature_celsius", "Hottest part of the processor.", health.temperature_c),
        ("commune_clock_error_seconds", "The kernel's bound on the clock's error.", _seconds(health.clock_error_ms)),
        ("commune_clock_offset_seconds", "What the clock has still to be slewed by.", _seconds(health.clock_offset_ms)),
        ("commune_clock_synchronised", "Whether the clock is synchronised.", health.clock_error_ms is not None),
    ]
    for name, says, value in plain:
        yield from _gauge(name, says, (), [((), value)])
    if health.throttling is not None:
        power = health.throttling
        rows: Rows = [(("now",), power.under_voltage), (("since_boot",), power.under_voltage_seen)]
        yield from _gauge("commune_under_voltage", "Whether the supply was too weak.", ("when",), rows)
        rows = [(("now",), power.throttled), (("since_boot",), power.throttled_seen)]
        yield from _gauge("commune_throttled", "Whether the processor was held back.", ("when",), rows)
    disks, devices, used = health.disks, health.devices, health.processes
    yield from _gauge("commune_disk_size_bytes", "Size.", ("mount",), [((d.mount,), d.total_bytes) for d in disks])
    yield from _gauge("commune_disk_free_bytes", "Room left.", ("mount",), [((d.mount,), d.free_bytes) for d in disks])
    rows = [((d.name,), d.written_bytes) for d in devices]
    yield from _counter("commune_device_written_bytes", "Bytes written since boot.", ("device",), rows)
    rows = [((d.name,), None if d.worn_pct is None else d.worn_pct / 100) for d in devices]
    yield from _gauge("commune_device_worn_ratio", "Share of its life that is used up.", ("device",), rows)
    rows = [((d.name,), d.end_of_life) for d in devices]
    yield from _gauge("commune_device_end_of_life", "1 normal, 2 warning, 3 urgent.", ("device",), rows)
    rows = [((use.name, str(use.pid)), use.memory_bytes) for use in used]
    yield from _gauge("commune_process_memory_bytes", "Memory of our processes.", ("name", "pid"), rows)
    rows = [((use.name, str(use.pid)), use.cpu_pct / 100) for use in used]
    yield from _gauge("commune_process_cpu_ratio", "Processors that our processes use.", ("name", "pid"), rows)


def _of_light(held: dict[str, Light]) -> Iterable[Metric]:
    by = ("receiver",)
    rows: Rows = [((name,), light.received_dbm) for name, (light, _, _) in held.items()]
    yield from _gauge("commune_optical_received_dbm", "Light received.", by, rows)
    rows = [((name,), light.sent_dbm) for name, (light, _, _) in held.items()]
    yield from _gauge("commune_optical_sent_dbm", "Light sent.", by, rows)
    rows = [((name,), threshold_dbm) for name, (_, threshold_dbm, _) in held.items()]
    yield from _gauge("commune_optical_threshold_dbm", "Light below which the line is lost.", by, rows)
    rows = [((name,), None if days is None else days * 86_400) for name, (_, _, days) in held.items()]
    yield from _gauge("commune_optical_left_seconds", "Until light that falls is too little.", by, rows)


def _of_switch(held: dict[str, SwitchPort]) -> Iterable[Metric]:
    by = ("port",)
    rows: Rows = [((name,), port.up) for name, port in held.items()]
    yield from _gauge("commune_switch_port_up", "Whether the switch's port has a link.", by, rows)
    rows = [((name,), None if port.speed_mbit is None else port.speed_mbit * 125_000) for name, port in held.items()]
    yield from _gauge(
        "commune_switch_port_speed_bytes_per_second", "Negotiated speed, in bytes: Prometheus knows no bits.", by, rows
    )
    rows = [((name,), port.in_errors) for name, port in held.items()]
    yield from _counter("commune_switch_port_errors", "Packets received with errors.", by, rows)


def _of_ups(ups: UpsState) -> Iterable[Metric]:
    by = ("ups",)
    charge = None if ups.battery_pct is None else ups.battery_pct / 100
    load = None if ups.load_pct is None else ups.load_pct / 100
    yield from _gauge("commune_ups_on_mains", "Whether the mains are there.", by, [((ups.name,), ups.on_mains)])
    yield from _gauge("commune_ups_battery_low", "Whether power ends soon.", by, [((ups.name,), ups.battery_low)])
    yield from _gauge("commune_ups_battery_charge_ratio", "Charge.", by, [((ups.name,), charge)])
    yield from _gauge("commune_ups_runtime_seconds", "Time left on the battery.", by, [((ups.name,), ups.runtime_s)])
    yield from _gauge("commune_ups_load_ratio", "Load.", by, [((ups.name,), load)])
