"""Diagnostics of an SFP module: what SFF-8472 lays out in its two EEPROM pages. Pure.

Page A0 says what the module is; byte 92 whether page A2 holds diagnostics, calibrated inside or by constants given in
A2. Powers are in 0.1 uW (table 9-11), so 0 means no light at all.
"""

import math
import struct
from dataclasses import dataclass
from typing import Final

from bus.errors import CorruptError

PAGE: Final = 256
DARK_DBM: Final = -40.0  # 0.1 uW is the smallest step a module can tell: below it there is no light
_SFP: Final = 0x03
_DIAGNOSTICS: Final = 0x40
_EXTERNAL: Final = 0x10


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What the module measures, in dBm."""

    received_dbm: float
    sent_dbm: float


def decode(eeprom: bytes) -> Diagnostics | None:
    """Read pages A0 and A2, one behind the other. None for a module without diagnostics, or of another kind."""
    if len(eeprom) < 128:
        raise CorruptError(f"module EEPROM of {len(eeprom)} bytes; wanted at least 128")
    if eeprom[0] != _SFP or not eeprom[92] & _DIAGNOSTICS or len(eeprom) < 2 * PAGE:
        return None
    page = eeprom[PAGE:]
    sent, received = struct.unpack_from("!HH", page, 102)
    if eeprom[92] & _EXTERNAL:
        received_units = _external_received(page, received)
        sent_units = _line(page, 80, sent)
    else:
        received_units, sent_units = float(received), float(sent)
    return Diagnostics(received_dbm=_dbm(received_units), sent_dbm=_dbm(sent_units))


def _external_received(page: bytes, raw: int) -> float:
    """A polynomial of fourth degree, its constants from the highest power down (section 9.3)."""
    value = 0.0
    for constant in struct.unpack_from("!5f", page, 56):
        value = value * raw + constant
    return value


def _line(page: bytes, offset: int, raw: float) -> float:
    """Slope (unsigned 8.8 fixed point) and offset (signed) at `offset`."""
    slope, shift = struct.unpack_from("!Hh", page, offset)
    return float(slope) / 256 * raw + float(shift)


def _dbm(units: float) -> float:
    if not math.isfinite(units) or units <= 1:
        return DARK_DBM
    return 10 * math.log10(units / 10_000)
