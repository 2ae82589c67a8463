"""Daily medians of received light, kept small on disk: a number a day and receiver, 120 days.

Today's samples are thinned to one in 15 minutes. The file is written when a day ends, each hour, and at `close`, so a
power cut costs an hour of samples at most. A file that cannot be read is set aside, and a new one begun; a disk that
takes nothing is no reason to stop watching.
"""

import logging
import statistics
from pathlib import Path
from typing import Final

import msgspec

from bus.clock import Quality, Stamp
from bus.files import replace_file
from bus.logs import fields

_LOG: Final = logging.getLogger(__name__)
KEEP_DAYS: Final = 120
_DAY_MS: Final = 86_400_000
_THIN_MS: Final = 900_000
_WRITE_MS: Final = 3_600_000


class Receiver(msgspec.Struct):
    """One receiver's past: medians by day number (days since 1970, UTC), and the samples of `today`."""

    daily_dbm: dict[int, float] = {}
    today: int = 0
    samples_dbm: list[float] = []
    sampled_ms: int = 0


class OpticalHistory:
    """All receivers of a box, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written_ms = 0
        self.failures = 0
        self._receivers = self._read()

    def add(self, name: str, dbm: float, at: Stamp) -> None:
        """Take a sample. One with an unknown clock belongs to no day, and is left out."""
        if at.quality is Quality.UNKNOWN:
            return
        receiver = self._receivers.setdefault(name, Receiver())
        day = at.wall_ms // _DAY_MS
        if day < receiver.today or 0 <= at.wall_ms - receiver.sampled_ms < _THIN_MS:
            return
        if day > receiver.today:
            receiver.today, receiver.samples_dbm = day, []
            receiver.daily_dbm = {
                kept: median for kept, median in receiver.daily_dbm.items() if day - KEEP_DAYS < kept <= day
            }
        receiver.sampled_ms = at.wall_ms
        receiver.samples_dbm.append(dbm)
        receiver.daily_dbm[day] = statistics.median(receiver.samples_dbm)
        if not 0 <= at.wall_ms - self._written_ms < _WRITE_MS:
            self._write()
            self._written_ms = at.wall_ms

    def daily_dbm(self, name: str) -> dict[int, float]:
        """Medians by day number, today's so far included."""
        receiver = self._receivers.get(name)
        return dict(receiver.daily_dbm) if receiver else {}

    def close(self) -> None:
        """Keep what there is."""
        if self._receivers:
            self._write()

    def _read(self) -> dict[str, Receiver]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Receiver])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.failures += 1
            _LOG.error("light history not readable, set aside %s", fields(path=self._path, error=error))
            self._set_aside()
            return {}

    def _set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_name(self._path.name + ".broken"))
        except OSError:
            self.failures += 1

    def _write(self) -> None:
        try:
            replace_file(self._path, msgspec.json.encode(self._receivers))
        except OSError as error:  # memory still holds it, and the next hour tries again
            self.failures += 1
            _LOG.warning("light history not written %s", fields(path=self._path, error=error))
