"""Sound through PortAudio: the one file that knows PyAudio.

The stream is opened once and kept open, silent between prompts: a freshly opened one stalls for up to two seconds on
PulseAudio, and pops on cheap amplifiers. The callback runs on PortAudio's thread with the interpreter's lock held, so
it only cuts a slice: no I/O, no logging.
"""

import contextlib
import ctypes
from collections import deque
from collections.abc import Mapping
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
        self._pcm = memoryview(b"")  # PortAudio's thread alone touches it; what is given goes through the queue
        self._given: deque[bytes] = deque()
        _quiet_libraries()
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

    @property
    def alive(self) -> bool:
        """False once the device is gone (unplugged): PortAudio then ends the stream without a word."""
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def play(self, pcm: bytes) -> None:
        """Play from the next 20 ms on."""
        self._given.append(pcm)

    def stop(self) -> None:
        """Be silent from the next 20 ms on."""
        self.play(b"")

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
        self._library.terminate()

    def _fill(self, _in: bytes | None, frames: int, _time: Mapping[str, float], status: int) -> tuple[bytes, int]:
        if status & pyaudio.paOutputUnderflow:
            self.underflows += 1
        while self._given:
            self._pcm = memoryview(self._given.popleft())
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


# Kept for the life of the process: the libraries hold the addresses.
_ALSA_SAYS: Final = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)(lambda *_: None)
_JACK_SAYS: Final = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda _: None)


def _quiet_libraries() -> None:
    """ALSA and JACK tell stderr of every device they did not find; journald has no use for a page of it.

    Theirs is silenced, not stderr: what the process logs meanwhile must not be lost.
    """
    for library, function, handler in (
        ("libasound.so.2", "snd_lib_error_set_handler", _ALSA_SAYS),
        ("libjack.so.0", "jack_set_error_function", _JACK_SAYS),
        ("libjack.so.0", "jack_set_info_function", _JACK_SAYS),
    ):
        with contextlib.suppress(OSError, AttributeError):  # not there, so not heard
            getattr(ctypes.CDLL(library), function)(handler)
