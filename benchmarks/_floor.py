"""`python -m benchmarks._floor LINE FILE BYTES STORE`: answer each frame on a serial line once it is durable.

The peers of `benchmarks.kiosk`: one thread that knows nothing else. STORE is `fdatasync` (one write and one fdatasync:
no acknowledgement that is true can come sooner from a process on this machine) or `sqlite` (one row inserted and
committed in WAL with synchronous=FULL, as a plain program would).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks._sqlite_store import connection
from kiosk.panel.frames import Ack, encode


def main() -> None:
    """Serve until killed."""
    line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    path, entry, answer = Path(sys.argv[2]), bytes(int(sys.argv[3])), encode(Ack("0000000A", 1))
    if sys.argv[4] == "sqlite":
        with connection(path) as database:
            _serve(line, answer, lambda: database.execute("insert into entry (body) values (?)", (entry,)))
    else:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def write() -> None:
            os.write(file, entry)
            os.fdatasync(file)

        _serve(line, answer, write)


def _serve(line: int, answer: bytes, commit: Callable[[], object]) -> None:
    os.write(line, b"\n")
    while frame := os.read(line, 4096):
        if frame.endswith(b"\r\n"):
            commit()
            os.write(line, answer)


if __name__ == "__main__":
    main()
