"""The last lines of this process's own log, for the technician's view."""

import logging
from collections import deque
from typing import Final

_LINES: Final = 50
_LONGEST: Final = 300


class LogTail(logging.Handler):
    """Keeps the newest lines from INFO on; attach it to the root logger."""

    def __init__(self, lines: int = _LINES) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=lines)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", "%H:%M:%S"))

    @property
    def lines(self) -> list[str]:
        """Oldest first."""
        return list(self._lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; called by `logging`, from any thread."""
        self._lines.append(self.format(record).splitlines()[0][:_LONGEST])
