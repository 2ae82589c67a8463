"""Logs: one line an event, `event key=value ...`, with journald's priority in front when journald reads us.

An event is a short fixed phrase, so that it can be searched for; what varies stands in the keys. Secrets and whole
payloads never do.
"""

import json
import logging
import os
import sys
from typing import Final

_PRIORITY: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _LineFormatter(logging.Formatter):
    def __init__(self, *, priorities: bool) -> None:
        super().__init__()
        self._priorities = priorities

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.name}: {record.getMessage()}".replace("\n", "\\n")
        if record.exc_info:
            line += " trace=" + json.dumps(self.formatException(record.exc_info))
        if self._priorities:
            return f"<{_PRIORITY.get(record.levelno, 6)}>{line}"
        return f"{self.formatTime(record, '%H:%M:%S')} {record.levelname[0]} {line}"


def start_logging(*, verbose: bool = False) -> None:
    """Send the process's log lines to stderr; call once, from a `__main__`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(priorities="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)


def fields(**values: object) -> str:
    """`key=value` pairs, values with blanks quoted as JSON."""
    return " ".join(f"{key}={_plain(value)}" for key, value in values.items())


def _plain(value: object) -> str:
    text = str(value)
    if text and not any(character in ' "=\\' or ord(character) < 32 for character in text):
        return text
    return json.dumps(text, ensure_ascii=False)
