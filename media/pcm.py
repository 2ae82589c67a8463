"""Plain PCM arithmetic on signed 16-bit mono samples, and WAV files read into it. Short prompts only: it is Python.

Two minutes of sound take seconds on a small box. Whoever must be able to stop in between takes the parts one by one.
"""

import io
import sys
import wave
from array import array
from collections.abc import Iterator
from typing import Final

from bus.errors import CorruptError

_LIMIT_S: Final = 120
_PART: Final = 16_384  # samples: some hundredths of a second of work


def read_wav(content: bytes, rate_hz: int) -> bytes:
    """A 16-bit WAV file as mono PCM at `rate_hz`; `CorruptError` where it is none, or longer than two minutes."""
    return b"".join(wav_parts(content, rate_hz))


def wav_parts(content: bytes, rate_hz: int) -> Iterator[bytes]:
    """`read_wav`, part by part; it is refused before the first."""
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
    if len(samples) > rate * _LIMIT_S * channels:
        raise CorruptError(f"WAV is longer than {_LIMIT_S} s")
    return map(_bytes, _resampled(samples, channels, rate, rate_hz))


def resample(samples: "array[int]", from_hz: int, to_hz: int) -> "array[int]":
    """By straight lines between samples: good enough for speech, and no library to carry."""
    return sum(_resampled(samples, 1, from_hz, to_hz), array("h"))


def scale(pcm: bytes, volume_pct: int) -> bytes:
    """At `volume_pct` of its amplitude, 0 to 100."""
    return b"".join(scale_parts(pcm, volume_pct))


def scale_parts(pcm: bytes, volume_pct: int) -> Iterator[bytes]:
    """`scale`, part by part."""
    if volume_pct >= 100:
        yield pcm
        return
    samples = _samples(pcm)
    for start in range(0, len(samples), _PART):
        yield _bytes(array("h", (sample * volume_pct // 100 for sample in samples[start : start + _PART])))


def _resampled(samples: "array[int]", channels: int, from_hz: int, to_hz: int) -> Iterator["array[int]"]:
    frames = len(samples) // channels
    if from_hz == to_hz or frames < 2:
        for start in range(0, frames, _PART):
            yield _mono(samples, channels, start, start + _PART)
        return
    count, step = (frames - 1) * to_hz // from_hz + 1, from_hz / to_hz
    for start in range(0, count, _PART):
        end = min(start + _PART, count)
        first = min(int(start * step), frames - 2)
        near = _mono(samples, channels, first, min(int((end - 1) * step) + 2, frames))
        part = array("h", bytes(2 * (end - start)))
        for index in range(start, end):
            at = index * step
            left = min(int(at), frames - 2)
            before, after = near[left - first], near[left - first + 1]
            part[index - start] = round(before + (after - before) * (at - left))
        yield part


def _mono(samples: "array[int]", channels: int, start: int, end: int) -> "array[int]":
    """Frames `start` to `end`, mixed to one channel."""
    part = samples[start * channels : end * channels]
    if channels == 1:
        return part
    return array("h", ((left + right) // 2 for left, right in zip(part[::2], part[1::2], strict=True)))


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
