"""Names of series, and the bytes of a remote write request."""

import struct
from collections.abc import Iterator

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import WrongInputError
from hub import remote_write
from hub.series import parse, placed


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("up", {}),
        ("up{}", {}),
        ('rtt_ms{target="dns"}', {"target": "dns"}),
        ('a:b{x="1", y="2",}', {"x": "1", "y": "2"}),
        (r'a{x="\"\\\n"}', {"x": '"\\\n'}),
        ('a{x="Xã Mường Lát"}', {"x": "Xã Mường Lát"}),
        ('a{x=""}', {}),
    ],
)
def test_what_is_a_series(text: str, labels: dict[str, str]) -> None:
    name, *rest = parse(text)
    assert name == ("__name__", text.split("{")[0])
    assert dict(rest) == labels


@pytest.mark.parametrize(
    "text",
    ["", "1a",
     "a b", "a{", "a}", 'a{x="1"', 'a{x="1"}b', "a{x=1}", 'a{x="1" y="2"}', 'a{x="1",x="2"}', 'a{__name__="b"}',
     'a{1="2"}', r'a{x="\z"}', 'a{x="\n"}', "ă", "a" * 2000, "a{,}", 'a{x="1",,}'],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(WrongInputError):
        parse(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except WrongInputError:
        return


@given(st.dictionaries(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,9}", fullmatch=True), st.text(min_size=1), max_size=4))
def test_what_is_written_to_the_letter_is_read_back(labels: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    inside = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    text = f"m{{{inside}}}"
    if len(text) <= 1024:
        assert dict(parse(text)) == {"__name__": "m", **labels}


def test_our_labels_win_and_stand_in_order() -> None:
    labels = placed(parse('up{device="kiosk",zone="a"}'), {"commune": "c", "site": "s", "device": "agent"})
    assert labels == (
        ("__name__", "up"),
        ("commune", "c"),
        ("device", "agent"),
        ("exported_device", "kiosk"),
        ("site", "s"),
        ("zone", "a"),
    )


def read_fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Protobuf as its wire format says it, read independently of the writer."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(content):
        key = varint()
        match key & 7:
            case 0:
                yield key >> 3, varint()
            case 1:
                yield key >> 3, content[at : at + 8]
                at += 8
            case 2:
                size = varint()
                yield key >> 3, content[at : at + size]
                at += size
            case other:
                pytest.fail(f"wire type {other}")


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.text(max_size=300), st.text(max_size=5)), max_size=3).map(tuple),
            st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), max_size=3),
        ),
        max_size=3,
    )
)
def test_requests_read_back(series: list[tuple[tuple[tuple[str, str], ...], list[tuple[int, float]]]]) -> None:
    content = bytes(cramjam.snappy.decompress_raw(remote_write.body(series)))
    read = []
    for number, one in read_fields(content):
        assert number == 1
        assert isinstance(one, bytes)
        labels, points = [], []
        for field, inner in read_fields(one):
            assert isinstance(inner, bytes)
            parts = dict(read_fields(inner))
            if field == 1:
                name, value = parts[1], parts[2]
                assert isinstance(name, bytes)
                assert isinstance(value, bytes)
                labels.append((name.decode(), value.decode()))
            else:
                at_ms, double = parts[2], parts[1]
                assert isinstance(at_ms, int)
                assert isinstance(double, bytes)
                points.append((at_ms - (1 << 64) if at_ms >> 63 else at_ms, struct.unpack("<d", double)[0]))
        read.append((tuple(labels), points))
    assert read == series
