"""What must outlive a power cut beside the journal: open outages, when the agent last watched, each port's best speed.

One small file, written whole. An outage is in the file before its opening record is in the journal, and stays there
until its closing record is: so a crash at any point makes at most the same record twice, under the same name. A file
that cannot be read is set aside and a new one begun: then open outages are found anew, as new ones.
"""

import logging
from pathlib import Path
from typing import Final

import msgspec

from agent.outages import Outage
from bus.clock import Quality, Stamp
from bus.entries import WatchGap
from bus.files import replace_file
from bus.logs import fields

_LOG: Final = logging.getLogger(__name__)
_RESTART_MS: Final = 1_000  # a shorter stretch than this between two runs is none


class Watched(msgspec.Struct, frozen=True, omit_defaults=True):
    """The file. `seen_ms` is the last moment in which the agent watched, 0 when that is not known.

    `unannounced` names outages whose opening record was not yet known to be durable.
    """

    boot: str = ""
    seen_ms: int = 0
    open: list[Outage] = []
    unannounced: list[str] = []
    best_mbit: dict[str, int] = {}


class WatchLog:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failures = 0

    def read(self) -> Watched:
        """What was kept; an empty one for a new box."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Watched)
        except FileNotFoundError:
            return Watched()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.failures += 1
            _LOG.error("watch log not readable, set aside %s", fields(path=self._path, error=error))
            self._set_aside()
            return Watched()

    def write(self, watched: Watched) -> bool:
        """Keep it; False where the disk does not take it (counted)."""
        try:
            replace_file(self._path, msgspec.json.encode(watched))
        except OSError as error:
            self.failures += 1
            _LOG.warning("watch log not written %s", fields(path=self._path, error=error))
            return False
        return True

    def _set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_name(self._path.name + ".broken"))
        except OSError:
            self.failures += 1


def gap_since(watched: Watched, now: Stamp) -> WatchGap | None:
    """The stretch in which nobody watched, up to `now`; None where there was none, or no clock to tell it by."""
    if watched.seen_ms == 0 or now.quality is Quality.UNKNOWN or now.wall_ms - watched.seen_ms < _RESTART_MS:
        return None
    return WatchGap(watched.seen_ms, now.wall_ms, "restart" if watched.boot == now.boot else "boot")
