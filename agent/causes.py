"""The causes the agent tells apart, each a fixed name that is on the wire for ever (`DiagnosisChanged.cause`)."""

from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What is wrong, root first: where two hold, the earlier one is told and the later is silent."""

    ON_BATTERY = "on-battery"
    PORT_MISSING = "port-missing"
    CABLE_UNPLUGGED = "cable-unplugged"
    PORT_FLAPPING = "port-flapping"
    NO_ADDRESS = "no-address"
    NO_ROUTE = "no-route"
    WRONG_ROUTE = "wrong-route"
    SWITCH_DEAD = "switch-dead"
    ROUTER_DEAD = "router-dead"
    LAN_LOSS = "lan-loss"
    FIBRE_DOWN = "fibre-down"
    INTERNET_DOWN = "internet-down"
    MAIN_DOWN = "main-line-down"
    TSLCD_DOWN = "tslcd-down"
    LINE_FLAPPING = "line-flapping"
    LINE_DEGRADED = "line-degraded"
    CANNOT_PROBE = "cannot-probe"
    DNS_DEAD = "dns-dead"
    WEB_BROKEN = "web-broken"
    HUB_UNREACHABLE = "hub-unreachable"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_BAD = "certificate-bad"
    SERVICE_DOWN = "service-down"
    SPARE_DOWN = "spare-line-down"
    HOST_DOWN = "lan-host-down"
    SPEED_FELL = "speed-fell"
    LIGHT_LOW = "light-low"
    LIGHT_FALLING = "light-falling"
    RECORDING_BROKEN = "recording-broken"
    CERTIFICATE_ENDING = "certificate-ending"
    NO_DATA = "no-data"
    FINE = "fine"


ORDER: Final = {cause: place for place, cause in enumerate(Cause)}
