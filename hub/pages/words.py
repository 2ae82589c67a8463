"""Words of the pages for what the store holds as fixed names."""

from typing import Final

from bus.texts import msgid
from hub.standing import FINE_CAUSE, MINOR_CAUSES, NO_DATA_CAUSE

STATES: Final = {
    "silent": msgid("No data"),
    "fault": msgid("Fault"),
    "attention": msgid("Needs attention"),
    "fine": msgid("Normal"),
}
LINK_STATES: Final = {
    "up": msgid("Up"),
    "unstable": msgid("Unstable"),
    "down": msgid("Down"),
    "unknown": msgid("Not known"),
}
# Which look a link's state has: those of the communes' states.
LINK_LOOKS: Final = {"up": "fine", "unstable": "attention", "down": "fault", "unknown": "silent"}
PARTS: Final = {
    "agent": msgid("Agent"),
    "kiosk": msgid("Kiosk"),
    "speaker": msgid("Loudspeaker"),
    "conductor": msgid("Conductor"),
    "console": msgid("Console"),
}
# Of an outage, by the agent's fixed names; one of a newer agent is shown as it is.
CAUSES: Final = {
    "on-battery": msgid("No mains power"),
    "port-missing": msgid("Network port gone"),
    "cable-unplugged": msgid("Cable unplugged"),
    "port-flapping": msgid("Port goes up and down"),
    "no-address": msgid("No address"),
    "no-route": msgid("No route"),
    "wrong-route": msgid("Wrong route"),
    "switch-dead": msgid("Switch does not answer"),
    "router-dead": msgid("Router does not answer"),
    "lan-loss": msgid("Packets lost in the LAN"),
    "fibre-down": msgid("Fibre broken"),
    "internet-down": msgid("Internet line down"),
    "main-line-down": msgid("Main line down, spare in use"),
    "tslcd-down": msgid("TSLCD down"),
    "line-flapping": msgid("Line goes up and down"),
    "line-degraded": msgid("Line loses packets"),
    "cannot-probe": msgid("Box cannot test the lines"),
    "dns-dead": msgid("DNS does not answer"),
    "web-broken": msgid("Web not reached"),
    "hub-unreachable": msgid("Province not reached"),
    "certificate-expired": msgid("Certificate expired"),
    "certificate-bad": msgid("Certificate not valid"),
    "service-down": msgid("Service down"),
    "spare-line-down": msgid("Spare line down"),
    "lan-host-down": msgid("Device in the LAN does not answer"),
    "speed-fell": msgid("Port speed fell"),
    "light-low": msgid("Optical power low"),
    "light-falling": msgid("Optical power falling"),
    "recording-broken": msgid("Box cannot record"),
    "certificate-ending": msgid("Certificate ends soon"),
    "no-data": msgid("No measurements"),
    "fine": msgid("Normal"),
}
# Of a scale, the best first; as the kiosk calls them.
LEVELS: Final = {
    3: (msgid("Satisfied"), msgid("Neutral"), msgid("Not satisfied")),
    4: (msgid("Very satisfied"), msgid("Satisfied"), msgid("Not satisfied"), msgid("Very dissatisfied")),
    5: (
        msgid("Very satisfied"),
        msgid("Satisfied"),
        msgid("Neutral"),
        msgid("Not satisfied"),
        msgid("Very dissatisfied"),
    ),
}
FLAGS: Final = {
    "mashing": msgid("many buttons"),
    "stuck": msgid("one button again and again"),
    "burst": msgid("too many at once"),
    "out-of-hours": msgid("out of hours"),
    "superseded": msgid("heard late"),
    "age-unsure": msgid("time not sure"),
}
CLASSES: Final = {"record": msgid("records"), "sample": msgid("measurements")}
LOST: Final = {"shed": msgid("shed for want of room"), "damaged": msgid("damaged on the device")}


def look_of(cause: str) -> str:
    """The look of a diagnosis in the history."""
    if cause == FINE_CAUSE:
        return "fine"
    if cause == NO_DATA_CAUSE:
        return "silent"
    return "attention" if cause in MINOR_CAUSES else "fault"
