import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.senses.ethtool import read_module
from agent.senses.optical import read_sfp
from agent.senses.sff8472 import DARK_DBM, decode
from bus.errors import CorruptError
from tests.agent.senses.netlab import Lab


def module(*, diagnostics: int = 0x68, received: int = 50, sent: int = 5_012, kind: int = 3) -> bytes:
    """The two pages of a module, powers in 0.1 uW."""
    first, second = bytearray(256), bytearray(256)
    first[0] = kind
    first[92] = diagnostics
    struct.pack_into("!hHHHH", second, 96, 45 * 256 + 128, 33_000, 6_000, sent, received)
    return bytes(first + second)


def test_a_module_calibrated_inside_tells_its_light() -> None:
    found = decode(module(received=50, sent=10_000))
    assert found is not None
    assert found.received_dbm == pytest.approx(-23.01, abs=0.01)  # 5 uW
    assert found.sent_dbm == pytest.approx(0.0)


def test_constants_given_outside_are_applied() -> None:
    pages = bytearray(module(diagnostics=0x58, received=100, sent=100))
    struct.pack_into("!5f", pages, 256 + 56, 0.0, 0.0, 0.0, 0.5, 10.0)  # 0.5 x + 10
    struct.pack_into("!Hh", pages, 256 + 80, 2 * 256, -100)  # 2 x - 100
    found = decode(bytes(pages))
    assert found is not None
    assert found.received_dbm == pytest.approx(-22.218, abs=0.01)  # 60 units: 6 uW
    assert found.sent_dbm == pytest.approx(-20.0, abs=0.01)  # 100 units: 10 uW


def test_no_light_is_dark_and_not_minus_infinity() -> None:
    found = decode(module(received=0))
    assert found is not None
    assert found.received_dbm == DARK_DBM


@pytest.mark.parametrize("pages", [module(diagnostics=0), module(kind=0x0D), module()[:256]])
def test_a_module_that_measures_nothing_shows_nothing(pages: bytes) -> None:
    assert decode(pages) is None


def test_a_cut_eeprom_is_corrupt() -> None:
    with pytest.raises(CorruptError):
        decode(b"\x03" * 100)


@given(st.binary(min_size=512, max_size=512))
def test_whatever_the_bytes_nothing_breaks(noise: bytes) -> None:
    found = decode(b"\x03" + noise[1:92] + b"\x58" + noise[93:])
    assert found is not None
    assert found.received_dbm >= DARK_DBM


def test_a_port_without_a_module_shows_nothing(lab: Lab) -> None:
    assert read_module("up0") is None
    assert read_sfp("up0") is None
    assert read_sfp("nothere0") is None
