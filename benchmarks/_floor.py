"""`python -m benchmarks._floor LINE FILE BYTES`: answer each frame on a serial line after one write and one fdatasync.

The peer of `benchmarks.kiosk`: no acknowledgement that is true can come sooner from a process on this machine.
"""

import os
import sys

from kiosk.panel.frames import Ack, encode


def main() -> None:
    """Serve until killed."""
    line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    entry, answer = bytes(int(sys.argv[3])), encode(Ack("0000000A", 1))
    os.write(line, b"\n")
    while frame := os.read(line, 4096):
        if frame.endswith(b"\r\n"):
            os.write(file, entry)
            os.fdatasync(file)
            os.write(line, answer)


if __name__ == "__main__":
    main()
