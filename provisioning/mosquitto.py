"""Mosquitto's configuration, for a commune's broker, its bridge to the province, and the province's broker.

Always: no persistence (truth is in journals, brokers are pipes: design decision 1), MQTT 5 on the bridge (a bridge of
an older protocol drops content type, user properties and expiry, and with them every signature), clean sessions both
ways (an outage must not pile copies into a bridge), reconnection with jitter (a province must not return in one
second). Key names are those of mosquitto.conf(5), version 2.0.11, the oldest we run on.

This file only writes text; `provisioning.supervisor` or systemd runs the broker.
"""

import os
import zlib
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from bus import topics
from bus.config import TlsConfig
from bus.errors import WrongInputError
from bus.identifiers import SiteId

# What bus.mqtt takes as well; a larger packet ends its sender's connection.
MAX_PACKET_BYTES: Final = 2 * 1024 * 1024
KEEPALIVE_S: Final = 15
RECONNECT_FIRST_S: Final = range(1, 7)
RECONNECT_LAST_S: Final = 30


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a broker listens. With `tls`, every client must show a certificate of the same authority."""

    host: str
    port: int
    tls: TlsConfig | None = None


@dataclass(frozen=True, slots=True)
class Bridge:
    """A commune's way to the province's broker. `site_issuers` sign in the commune, `province_issuers` above it."""

    site: SiteId
    host: str
    port: int
    tls: TlsConfig | None = None
    province_issuers: tuple[str, ...] = ("hub",)
    site_issuers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BridgedTopics:
    """Topic filters that cross the bridge, by direction as seen from the commune."""

    out: tuple[str, ...]
    in_: tuple[str, ...]


def bridged_topics(bridge: Bridge) -> BridgedTopics:
    """What crosses. No filter stands in both directions and none overlap, so that nothing can go round in a circle."""
    site = bridge.site
    overlap = set(bridge.province_issuers) & set(bridge.site_issuers)
    if overlap:
        raise WrongInputError(
            f"issuers {sorted(overlap)} sign both in {site} and at the province; name each on one side"
        )
    return BridgedTopics(
        out=(
            topics.up(site, "+"),
            topics.status(site, "+"),
            topics.reported(site, "+"),
            *(topics.desired(site, issuer) for issuer in bridge.site_issuers),
        ),
        in_=(
            topics.receipt(site, "+", "hub"),
            topics.BEACON,
            *(topics.desired(site, issuer) for issuer in bridge.province_issuers),
        ),
    )


def broker_conf(listener: Listener, *, bridge: Bridge | None = None) -> str:
    """The whole mosquitto.conf of a broker."""
    lines = [
        "# Written by commune. Changes are lost when it is written again.",
        "persistence false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "sys_interval 10",
        *_run_as(),
        "",
        *_listener_lines(listener),
    ]
    if bridge is not None:
        lines += ["", *_bridge_lines(bridge)]
    return "\n".join(lines) + "\n"


def _run_as() -> list[str]:
    # Started as root, Mosquitto turns into another user, and the kernel then forgets that it is to die with its parent.
    return ["user root"] if os.geteuid() == 0 else []


def _listener_lines(listener: Listener) -> list[str]:
    lines = [f"listener {listener.port} {listener.host}"]
    if listener.tls is not None:
        return [
            *lines,
            f"cafile {listener.tls.ca}",
            f"certfile {listener.tls.cert}",
            f"keyfile {listener.tls.key}",
            "tls_version tlsv1.2",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
        ]
    if not ip_address(listener.host).is_loopback:
        raise WrongInputError(
            f"a broker without TLS may listen on loopback alone, not on {listener.host}; give it certificates"
        )
    return [*lines, "allow_anonymous true"]


def reconnect_first_s(site: SiteId) -> int:
    """Seconds before a bridge's first return, the base of Mosquitto's jitter.

    Mosquitto waits exactly the base after a good connection was lost; only from the second time on does it draw. One
    base for all would bring a province back in one second, so each site has its own.
    """
    return RECONNECT_FIRST_S[zlib.crc32(site.encode()) % len(RECONNECT_FIRST_S)]


def _bridge_lines(bridge: Bridge) -> list[str]:
    crossing = bridged_topics(bridge)
    lines = [
        f"connection {bridge.site}",
        f"address {bridge.host}:{bridge.port}",
        f"remote_clientid {bridge.site}-bridge",
        "bridge_protocol_version mqttv50",
        f"bridge_max_packet_size {MAX_PACKET_BYTES}",
        "cleansession true",
        "try_private true",
        "notifications true",
        "notifications_local_only true",
        f"keepalive_interval {KEEPALIVE_S}",
        "start_type automatic",
        f"restart_timeout {reconnect_first_s(bridge.site)} {RECONNECT_LAST_S}",
    ]
    if bridge.tls is not None:
        lines += [
            f"bridge_cafile {bridge.tls.ca}",
            f"bridge_certfile {bridge.tls.cert}",
            f"bridge_keyfile {bridge.tls.key}",
            "bridge_tls_version tlsv1.2",
        ]
    lines += [f"topic {topic} out 1" for topic in crossing.out]
    lines += [f"topic {topic} in 1" for topic in crossing.in_]
    return lines
