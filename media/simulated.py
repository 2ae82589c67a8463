"""Sound without hardware: paced in real time into a 16-bit WAV file.

Only what is played is written, each 20 ms when it would have sounded, so what was cut off by a newer prompt is not in
the file, as nobody would have heard it. The header is true at all times: a process that is killed leaves a file that
plays.
"""

import struct
import threading
import time
from pathlib import Path
from typing import Final

RATE_HZ: Final = 22_050
_STEP_S: Final = 0.02
_STEP_BYTES: Final = int(RATE_HZ * _STEP_S) * 2
_HEADER_BYTES: Final = 44


class WavOutput:
    """Plays into `path`, from its beginning."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._written = 0
        self._header()
        self._waiting = b""
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="wav output", daemon=True)
        self._thread.start()

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        return RATE_HZ

    @property
    def alive(self) -> bool:
        """False once the file can be written no more, or is closed."""
        return self._thread.is_alive()

    def play(self, pcm: bytes) -> None:
        """Play from the next 20 ms on."""
        with self._changed:
            self._waiting = pcm
            self._changed.notify()

    def stop(self) -> None:
        """Be silent from the next 20 ms on."""
        self.play(b"")

    def close(self) -> None:
        """Stop and close the file."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                    due = time.monotonic()
                if self._closing:
                    return
                now, self._waiting = self._waiting[:_STEP_BYTES], self._waiting[_STEP_BYTES:]
            try:
                self._file.write(now)
                self._written += len(now)
                self._header()
            except OSError:
                return  # a full disk: not `alive`
            due += _STEP_S
            time.sleep(max(0.0, due - time.monotonic()))

    def _header(self) -> None:
        size = self._written
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF",
            36 + size,
            b"WAVE",
            b"fmt ",
            16,
            1,
            1,
            RATE_HZ,
            RATE_HZ * 2,
            2,
            16,
            b"data",
            size,
        )
        self._file.seek(0)
        self._file.write(header)
        self._file.seek(_HEADER_BYTES + size)
