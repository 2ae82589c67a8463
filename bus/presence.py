"""A device's birth, last will and goodbye on `ce/1/{site}/{device}/status`: a hint only, the latest entry decides.

Brokers keep nothing over a restart, so the birth is published again at each connect. The last will is given to the
broker with the connection: it is what others read when the device is lost without a word.
"""

from typing import Final

import msgspec

from bus import topics
from bus.errors import CommuneError, CorruptError, WrongInputError
from bus.identifiers import DeviceId, SiteId
from bus.link import Incoming, LinkBase, Will
from bus.messages import STATUS_TYPE, Status, encode

_status = msgspec.json.Decoder(Status)


def last_will(site: SiteId, device: DeviceId, part: str, *, version: str = "", boot: str = "") -> Will:
    """What to give to the link as its will."""
    status = Status(device=device, part=part, online=False, version=version, boot=boot)
    return Will(topics.status(site, device), encode(status), STATUS_TYPE)


class Presence:
    """Says that the device is here, at each connect. `at_ms`: when the process began, Unix milliseconds."""

    def __init__(
        self,
        link: LinkBase,
        site: SiteId,
        device: DeviceId,
        part: str,
        *,
        version: str = "",
        boot: str = "",
        at_ms: int = 0,
    ) -> None:
        self._link: Final = link
        self._topic: Final = topics.status(site, device)
        self._birth: Final = Status(device, part, online=True, version=version, boot=boot, at_ms=at_ms)
        link.watch(on_connect=self._publish_birth)

    async def _publish_birth(self) -> None:
        await self._link.publish(self._topic, encode(self._birth), content_type=STATUS_TYPE, retain=True)

    async def goodbye(self) -> None:
        """Say that we end on purpose; call before the link is closed. Silent where the broker is gone."""
        status = msgspec.structs.replace(self._birth, online=False)
        try:
            await self._link.publish(self._topic, encode(status), content_type=STATUS_TYPE, retain=True)
        except CommuneError:
            return  # the last will says it in our place


def read_status(incoming: Incoming) -> Status:
    """A status as it came, its device being its topic's; `WrongInputError` or `CorruptError` where it is not."""
    place = topics.read_device_topic(incoming.topic)
    try:
        status = _status.decode(incoming.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"status of {place.device}: {error}") from error
    if place.leaf != "status" or status.device != place.device:
        raise WrongInputError(f"status of {status.device[:50]!r} came on {incoming.topic}")
    return status
