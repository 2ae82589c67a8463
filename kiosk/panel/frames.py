"""Frames of the serial panel: a codec without I/O.

`$...*hhhh` CR LF, framed like NMEA 0183 with a stronger sum: hhhh is CRC-16/CCITT-FALSE (polynomial 0x1021, start
0xFFFF, no reflection) of the bytes between `$` and `*`, in upper hex; at most 82 bytes with `$` and CR LF. NMEA's own
exclusive-or lets through one damaged pair in 256, and here a damaged byte would be somebody's vote.

A reader that meets noise drops bytes up to the next `$` and counts them. It never guesses.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bus.errors import WrongInputError

FRAME_LIMIT: Final = 82  # bytes, `$` and CR LF included (NMEA 0183, section 5.3)
_BOOT: Final = re.compile(rb"[0-9A-F]{8}")
_PANEL: Final = re.compile(rb"[A-Za-z0-9-]{1,24}")
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,9}")
_LAST_U32: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Hello:
    """`$CEHEL`: at power-up and when asked. Until it is heard nothing is acknowledged."""

    panel: str
    boot: str
    buttons: int


@dataclass(frozen=True, slots=True)
class Press:
    """`$CEBTN`: repeated every 250 ms until acknowledged. Button 1 is the most satisfied; `age_ms` since the press."""

    boot: str
    seq: int
    button: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """`$CEHB`: each second."""

    boot: str
    uptime_s: int


@dataclass(frozen=True, slots=True)
class Ack:
    """`$CEACK`: the press is on disk. Only now does the panel light up and beep."""

    boot: str
    seq: int


@dataclass(frozen=True, slots=True)
class Led:
    """`$CELED`: bit i of `mask` is button i + 1; mode 0 off, 1 on, 2 blink."""

    mask: int
    mode: int


@dataclass(frozen=True, slots=True)
class Who:
    """`$CEWHO`: say hello."""


FromPanel = Hello | Press | Heartbeat
ToPanel = Ack | Led | Who


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE; of b"123456789" it is 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


def frame(body: str) -> bytes:
    """Wrap `body` in `$`, its sum and CR LF."""
    data = body.encode("ascii")
    whole = b"$%s*%04X\r\n" % (data, crc16(data))
    if len(whole) > FRAME_LIMIT:
        raise WrongInputError(f"frame of {len(whole)} bytes, {FRAME_LIMIT} at most: {body!r}")
    return whole


def encode(message: FromPanel | ToPanel) -> bytes:
    """The bytes of a message on the line."""
    match message:
        case Hello(panel, boot, buttons):
            return frame(f"CEHEL,1,{panel},{boot},{buttons}")
        case Press(boot, seq, button, age_ms):
            return frame(f"CEBTN,{boot},{seq},{button},{age_ms}")
        case Heartbeat(boot, uptime_s):
            return frame(f"CEHB,{boot},{uptime_s}")
        case Ack(boot, seq):
            return frame(f"CEACK,{boot},{seq}")
        case Led(mask, mode):
            return frame(f"CELED,{mask},{mode}")
        case Who():
            return frame("CEWHO")


def decode_from_panel(body: bytes) -> FromPanel | None:
    """Read what stood between `$` and `*`; None where it is no message of a panel of version 1."""
    match body.split(b","):
        case [b"CEHEL", b"1", panel, boot, buttons] if _PANEL.fullmatch(panel) and _BOOT.fullmatch(boot):
            count = _number(buttons)
            return None if count is None or not 1 <= count <= 8 else Hello(panel.decode(), boot.decode(), count)
        case [b"CEBTN", boot, seq, button, age] if _BOOT.fullmatch(boot):
            numbers = _number(seq), _number(button), _number(age)
            if numbers[0] is None or numbers[1] is None or numbers[2] is None or not 1 <= numbers[1] <= 8:
                return None
            return Press(boot.decode(), numbers[0], numbers[1], numbers[2])
        case [b"CEHB", boot, uptime] if _BOOT.fullmatch(boot):
            uptime_s = _number(uptime)
            return None if uptime_s is None else Heartbeat(boot.decode(), uptime_s)
    return None


def decode_to_panel(body: bytes) -> ToPanel | None:
    """The panel's side of `decode_from_panel`."""
    match body.split(b","):
        case [b"CEACK", boot, seq] if _BOOT.fullmatch(boot):
            number = _number(seq)
            return None if number is None else Ack(boot.decode(), number)
        case [b"CELED", mask, mode]:
            numbers = _number(mask), _number(mode)
            if numbers[0] is None or numbers[1] is None or numbers[0] > 0xFF or numbers[1] > 2:
                return None
            return Led(numbers[0], numbers[1])
        case [b"CEWHO"]:
            return Who()
    return None


def _number(text: bytes) -> int | None:
    """Plain decimal of 32 bits without sign, blanks or leading zeros; None otherwise."""
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= _LAST_U32 else None


class FrameReader:
    """Cuts a stream of bytes into the bodies of whole, sound frames.

    `noise_bytes` counts what was dropped, `bad_frames` what began like a frame and did not hold.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self.noise_bytes = 0
        self.bad_frames = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes as they come; yield each body whose sum holds."""
        self._held += data
        while (body := self._next()) is not None:
            if body:
                yield body

    def forget(self) -> None:
        """The line was closed: what is held of a frame will not be completed."""
        self.noise_bytes += len(self._held)
        self._held.clear()

    def _next(self) -> bytes | None:
        """One body; b"" when something was dropped and there may be more; None when more bytes are wanted."""
        start = self._held.find(b"$")
        if start != 0:
            dropped = len(self._held) if start < 0 else start
            self.noise_bytes += dropped
            del self._held[:dropped]
            if start < 0:
                return None
        end = self._held.find(b"\r\n", 0, FRAME_LIMIT)
        # Another `$` before the end: the first frame was cut short, and the second may be whole.
        again = self._held.find(b"$", 1, end if end >= 0 else FRAME_LIMIT)
        if again > 0:
            return self._drop(again)
        if end < 0:
            return self._drop(1) if len(self._held) >= FRAME_LIMIT else None
        body = _body_of(bytes(self._held[1:end]))
        if body is None:
            return self._drop(end + 2)
        del self._held[: end + 2]
        return body

    def _drop(self, count: int) -> bytes:
        self.bad_frames += 1
        self.noise_bytes += count
        del self._held[:count]
        return b""


def _body_of(inner: bytes) -> bytes | None:
    """Strip and check `*hhhh`; None where it does not hold."""
    body, star, text = inner[:-5], inner[-5:-4], inner[-4:]
    if star != b"*" or not body or text != b"%04X" % crc16(body):
        return None
    return body
