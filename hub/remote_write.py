"""The body of a Prometheus remote write request, version 1.0 (prometheus.io/docs/specs/prw/remote_write_spec).

    WriteRequest { repeated TimeSeries timeseries = 1 }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
    Label        { string name = 1; string value = 2 }
    Sample       { double value = 1; int64 timestamp = 2 }   (Unix milliseconds)

Labels come in order of their names, samples in order of time. These four messages are all that is ever written, so they
are written here and no protobuf library is carried along (docs/decisions has the why). Compressed with snappy's block
format, as the specification wants it.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import cramjam

from hub.series import Labels

HEADERS: Final = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "commune-edge-hub",
}

Points = Sequence[tuple[int, float]]  # (Unix milliseconds, value), in order of time

_double = struct.Struct("<d").pack
_NEGATIVE: Final = 1 << 64


def body(series: Iterable[tuple[Labels, Points]]) -> bytes:
    """One request's body, compressed."""
    return bytes(cramjam.snappy.compress_raw(encode(series)))


def encode(series: Iterable[tuple[Labels, Points]]) -> bytes:
    """The WriteRequest as protobuf."""
    return b"".join(_field(1, _time_series(labels, points)) for labels, points in series)


def _time_series(labels: Labels, points: Points) -> bytes:
    parts = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels]
    for at_ms, value in points:
        sample = b"\x09" + _double(value) + b"\x10" + varint(at_ms)
        parts.append(b"\x12" + bytes((len(sample),)) + sample)  # at most 20 bytes: one byte of length
    return b"".join(parts)


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Base 128, least significant first; a negative int64 as its two's complement."""
    if value < 0:
        value += _NEGATIVE
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
