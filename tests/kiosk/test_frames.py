"""The panel's frames: golden bytes, round trips, and what noise cannot do."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import WrongInputError
from kiosk.panel import frames
from kiosk.panel.frames import Ack, FrameReader, FromPanel, Heartbeat, Hello, Led, Press, ToPanel, Who

BOOTS = st.text("0123456789ABCDEF", min_size=8, max_size=8)
U32 = st.integers(0, 0xFFFFFFFF)
FROM_PANEL = st.one_of(
    st.builds(Hello, st.from_regex(r"[A-Za-z0-9-]{1,24}", fullmatch=True), BOOTS, st.integers(1, 8)),
    st.builds(Press, BOOTS, U32, st.integers(1, 8), U32),
    st.builds(Heartbeat, BOOTS, U32),
)
TO_PANEL = st.one_of(st.builds(Ack, BOOTS, U32), st.builds(Led, st.integers(0, 255), st.integers(0, 2)), st.builds(Who))


def test_sum_is_the_published_one() -> None:
    assert frames.crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (Hello("P-01", "0A1B2C3D", 5), b"CEHEL,1,P-01,0A1B2C3D,5"),
        (Press("0A1B2C3D", 7, 1, 250), b"CEBTN,0A1B2C3D,7,1,250"),
        (Heartbeat("0A1B2C3D", 61), b"CEHB,0A1B2C3D,61"),
        (Ack("0A1B2C3D", 7), b"CEACK,0A1B2C3D,7"),
        (Led(31, 2), b"CELED,31,2"),
        (Who(), b"CEWHO"),
    ],
)
def test_golden_frames(message: FromPanel | ToPanel, body: bytes) -> None:
    whole = frames.encode(message)
    assert whole == b"$" + body + b"*%04X\r\n" % frames.crc16(body)
    assert list(FrameReader().feed(whole)) == [body]


def test_every_message_is_covered() -> None:
    assert {type(message) for message in (Hello("a", "0" * 8, 1), Press("", 0, 1, 0), Heartbeat("", 0))} == set(
        get_args(FromPanel)
    )


@given(FROM_PANEL)
def test_from_panel_round_trip(message: FromPanel) -> None:
    (body,) = FrameReader().feed(frames.encode(message))
    assert frames.decode_from_panel(body) == message
    assert frames.decode_to_panel(body) is None


@given(TO_PANEL)
def test_to_panel_round_trip(message: ToPanel) -> None:
    (body,) = FrameReader().feed(frames.encode(message))
    assert frames.decode_to_panel(body) == message
    assert frames.decode_from_panel(body) is None


@given(st.lists(FROM_PANEL, max_size=8), st.data())
def test_any_cut_of_the_stream_reads_the_same(messages: list[FromPanel], data: st.DataObject) -> None:
    stream = b"".join(map(frames.encode, messages))
    reader, bodies = FrameReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        bodies += list(reader.feed(stream[:cut]))
        stream = stream[cut:]
    assert [frames.decode_from_panel(body) for body in bodies] == messages
    assert (reader.noise_bytes, reader.bad_frames) == (0, 0)


@given(FROM_PANEL, FROM_PANEL, st.data())
def test_a_damaged_frame_is_dropped_and_the_next_is_read(
    broken: FromPanel, sound: FromPanel, data: st.DataObject
) -> None:
    damaged = bytearray(frames.encode(broken))
    at = data.draw(st.integers(1, len(damaged) - 3))
    damaged[at] ^= data.draw(st.integers(1, 255))
    bodies = list(FrameReader().feed(bytes(damaged) + frames.encode(sound)))
    decoded = [frames.decode_from_panel(body) for body in bodies]
    assert decoded[-1:] == [sound]
    assert broken not in decoded[:-1]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_yields_nothing_and_memory_stays_small(chunks: list[bytes]) -> None:
    reader, stream = FrameReader(), b"".join(chunks)
    for body in [body for chunk in chunks for body in reader.feed(chunk)]:
        assert b"$%s*%04X\r\n" % (body, frames.crc16(body)) in stream
    assert len(reader._held) <= frames.FRAME_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        b"CEBTN,0A1B2C3D,7,0,250",  # no button 0
        b"CEBTN,0A1B2C3D,7,9,250",
        b"CEBTN,0A1B2C3D,-7,1,250",
        b"CEBTN,0A1B2C3D,07,1,250",  # one press, one spelling
        b"CEBTN,0a1b2c3d,7,1,250",
        b"CEBTN,0A1B2C3D,4294967296,1,250",
        b"CEBTN,0A1B2C3D,7,1",
        b"CEBTN,0A1B2C3D,7,1,250,1",
        b"CEHEL,2,P,0A1B2C3D,5",
        b"CEHEL,1,,0A1B2C3D,5",
        b"CEHEL,1,P/Q,0A1B2C3D,5",
        b"CEHEL,1,P,0A1B2C3D,0",
        b"CEHB,0A1B2C3D,",
        b"",
        b"\xff\xfe",
    ],
)
def test_a_sound_frame_with_wrong_fields_is_no_message(body: bytes) -> None:
    assert frames.decode_from_panel(body) is None


def test_a_frame_past_82_bytes_is_refused() -> None:
    frames.frame("x" * 74)
    with pytest.raises(WrongInputError, match="82 at most"):
        frames.frame("x" * 75)
