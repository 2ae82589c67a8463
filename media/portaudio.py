"""Sound through PortAudio: the one file that knows PyAudio.

The stream is opened once and kept open, silent between prompts: a freshly opened one stalls for up to two seconds on
PulseAudio, and pops on cheap amplifiers. The callback runs on PortAudio's thread with the interpreter's lock held, so
it only cuts a slice: no I/O, no logging.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyaudio

from bus.errors import UnavailableError

RATE_HZ: Final = 22_050
_FRAMES: Final = 441  # 20 ms: short enough for "at once", long enough for a busy Pi
_WIDTH: Final = 2


class PortAudioOutput:
    """The default device, or the first whose name holds `device`. `UnavailableError` where there is none."""

    def __init__(self, device: str = "") -> None:
        self.underflows = 0
        self._pcm = memoryview(b"")
        with _quiet_alsa():
            self._library = pyaudio.PyAudio()
            try:
                self._stream = self._library.open(
                    rate=RATE_HZ,
                    channels=1,
                    format=pyaudio.paInt16,
                    output=True,
                    output_device_index=self._find(device),
                    frames_per_buffer=_FRAMES,
                    stream_callback=self._fill,
                )
            except (OSError, ValueError) as error:
                self._library.terminate()
                raise UnavailableError(f"no sound device {device!r} can be opened: {error}") from error

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        return RATE_HZ

    def play(self, pcm: bytes) -> None:
        """Play from the next 20 ms on."""
        self._pcm = memoryview(pcm)

    def stop(self) -> None:
        """Be silent from the next 20 ms on."""
        self._pcm = memoryview(b"")

    def close(self) -> None:
        """Close the stream."""
        with _quiet_alsa():
            self._stream.close()
            self._library.terminate()

    def _fill(self, _in: bytes | None, frames: int, _time: Mapping[str, float], status: int) -> tuple[bytes, int]:
        if status & pyaudio.paOutputUnderflow:
            self.underflows += 1
        wanted = frames * _WIDTH
        now, self._pcm = self._pcm[:wanted], self._pcm[wanted:]
        return bytes(now) + bytes(wanted - len(now)), pyaudio.paContinue

    def _find(self, device: str) -> int | None:
        if not device:
            return None
        for index in range(self._library.get_device_count()):
            info: dict[str, Any] = self._library.get_device_info_by_index(index)
            if device in str(info["name"]) and int(info["maxOutputChannels"]) > 0:
                return index
        raise ValueError(f"none of {self._library.get_device_count()} devices is called {device!r}")


@contextlib.contextmanager
def _quiet_alsa() -> Iterator[None]:
    """ALSA tells the process's stderr of every device it did not find; journald has no use for a page of it."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
