"""Plain PCM arithmetic on signed 16-bit mono samples, and WAV files read into it. Short prompts only: it is Python."""

import io
import sys
import wave
from array import array

from bus.errors import CorruptError

_LIMIT_S = 120


def read_wav(content: bytes, rate_hz: int) -> bytes:
    """A 16-bit WAV file as mono PCM at `rate_hz`; `CorruptError` where it is none, or longer than two minutes."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate, frames = (
                file.getnchannels(),
                file.getsampwidth(),
                file.getframerate(),
                file.getnframes(),
            )
            if width != 2 or not 1 <= channels <= 2 or not 4_000 <= rate <= 192_000:
                raise CorruptError(
                    f"WAV of {channels} channels, {8 * width} bits, {rate} Hz: 16 bits and 1 or 2 are read"
                )
            # espeak-ng writes to a pipe and cannot know the length: what is there counts, not what is claimed
            data = file.readframes(min(frames, rate * _LIMIT_S + 1))
    except (wave.Error, EOFError, OverflowError, RuntimeError) as error:  # RuntimeError: a chunk beyond the file's end
        raise CorruptError(f"no WAV file: {error or type(error).__name__}") from error
    samples = _samples(data[: len(data) - len(data) % (2 * channels)])
    if channels == 2:
        samples = array("h", ((left + right) // 2 for left, right in zip(samples[::2], samples[1::2], strict=True)))
    if len(samples) > rate * _LIMIT_S:
        raise CorruptError(f"WAV is longer than {_LIMIT_S} s")
    return _bytes(resample(samples, rate, rate_hz))


def resample(samples: "array[int]", from_hz: int, to_hz: int) -> "array[int]":
    """By straight lines between samples: good enough for speech, and no library to carry."""
    if from_hz == to_hz or len(samples) < 2:
        return samples
    count = (len(samples) - 1) * to_hz // from_hz + 1
    step = from_hz / to_hz
    result = array("h", bytes(2 * count))
    last = len(samples) - 2
    for index in range(count):
        at = index * step
        left = min(int(at), last)
        result[index] = round(samples[left] + (samples[left + 1] - samples[left]) * (at - left))
    return result


def scale(pcm: bytes, volume_pct: int) -> bytes:
    """At `volume_pct` of its amplitude, 0 to 100."""
    if volume_pct >= 100:
        return pcm
    return _bytes(array("h", (sample * volume_pct // 100 for sample in _samples(pcm))))


def _samples(data: bytes) -> "array[int]":
    samples = array("h")
    samples.frombytes(data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: "array[int]") -> bytes:
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    return samples.tobytes()
