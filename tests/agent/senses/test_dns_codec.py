import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.senses.dns_codec import Answer, decode_answer, encode_name, encode_query
from bus.errors import CorruptError, WrongInputError
from tests.agent.senses.nameserver import answer_to

ZONE = {"www.vnpt.vn": ["edge.vnpt.vn"], "edge.vnpt.vn": ["203.0.113.7", "203.0.113.8", "2001:db8::7"]}
QUERY = encode_query(7, "www.vnpt.vn", "A")


def decode(message: bytes) -> Answer | None:
    return decode_answer(message, ident=7, name="www.vnpt.vn", kind="A")


def test_a_query_is_what_the_standard_says() -> None:
    assert QUERY == b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x04vnpt\x02vn\0\0\x01\0\x01"


def test_addresses_are_followed_through_an_alias_in_either_case() -> None:
    assert decode(answer_to(QUERY, ZONE)) == Answer(
        0, truncated=False, addresses=("203.0.113.7", "203.0.113.8"), ttl_s=60
    )
    upper = answer_to(QUERY, ZONE).replace(b"\x03www\x04vnpt", b"\x03WWW\x04VNPT")
    assert decode(upper) == decode(answer_to(QUERY, ZONE))


def test_another_ones_answer_is_passed_over() -> None:
    assert decode(answer_to(encode_query(8, "www.vnpt.vn", "A"), ZONE)) is None
    assert decode(answer_to(encode_query(7, "evil.vn", "A"), {"evil.vn": ["6.6.6.6"]})) is None
    assert decode(answer_to(encode_query(7, "www.vnpt.vn", "AAAA"), ZONE)) is None
    assert decode(QUERY) is None, "a query that is sent back to us is no answer"


def test_records_of_other_names_are_not_believed() -> None:
    query = encode_query(7, "a.vn", "A")
    wrong = answer_to(query, {"a.vn": ["6.6.6.6"]}).replace(b"\xc0\x0c\0\x01", b"\x01b\0\0\x01")
    assert decode_answer(wrong, ident=7, name="a.vn", kind="A") == Answer(0, truncated=False)


def test_no_such_name_and_cut_answers_are_told() -> None:
    assert decode(answer_to(QUERY, {})) == Answer(3, truncated=False)
    assert decode(answer_to(QUERY, ZONE, flags=0x0200)) == Answer(0, truncated=True)


def test_every_cut_of_a_good_answer_is_refused() -> None:
    whole = answer_to(QUERY, ZONE)
    for length in range(len(whole)):
        with pytest.raises(CorruptError):
            decode(whole[:length])


def test_a_pointer_to_itself_or_forward_is_no_endless_loop() -> None:
    head = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0"
    for pointer in (b"\xc0\x0c", b"\xc0\x20", b"\x01a\xc0\x0c"):
        with pytest.raises(CorruptError):
            decode(head + pointer + b"\0\x01\0\x01")


@given(st.binary(max_size=600))
def test_garbage_never_does_more_than_be_refused(noise: bytes) -> None:
    for message in (noise, b"\0\x07\x81\x80" + noise, answer_to(QUERY, ZONE)[:40] + noise):
        with contextlib.suppress(CorruptError):
            decode(message)


@given(st.data())
def test_flipped_bits_never_do_more_than_be_refused(data: st.DataObject) -> None:
    message = bytearray(answer_to(QUERY, ZONE))
    for _ in range(data.draw(st.integers(1, 8))):
        message[data.draw(st.integers(0, len(message) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(CorruptError):
        decode(bytes(message))


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".vn", ".".join(["abcdefgh"] * 40)])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(WrongInputError):
        encode_name(name)


def test_vietnamese_names_go_out_in_their_wire_form() -> None:
    assert encode_name("mường-lát.vn")[1:5] == b"xn--"
