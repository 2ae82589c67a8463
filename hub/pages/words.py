"""Words of the pages for what the store holds as fixed names."""

from typing import Final

from bus.texts import msgid

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
CLASSES: Final = {"record": msgid("records"), "sample": msgid("measurements")}
LOST: Final = {"shed": msgid("shed for want of room"), "damaged": msgid("damaged on the device")}
