import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.senses.icmp_codec import TOKEN_BYTES, Echo, checksum, decode_quoted, decode_reply, encode_request

TOKEN = b"12345678"
IP_HEADER = b"\x45" + bytes(19)
LONG_IP_HEADER = b"\x46" + bytes(23)


def reply_to(request: bytes, kind: int) -> bytes:
    body = bytes([kind]) + request[1:2] + b"\0\0" + request[4:]
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def test_a_request_is_what_the_standard_says() -> None:
    packet = encode_request(4, 0x1234, 7, TOKEN)
    assert packet[:2] == b"\x08\x00"
    assert packet[4:8] == b"\x12\x34\x00\x07"
    assert packet[8:16] == TOKEN
    assert checksum(packet) == 0, "the sum over a packet with its sum is nought (RFC 1071)"
    assert encode_request(6, 0x1234, 7, TOKEN)[:4] == b"\x80\x00\x00\x00"


def test_the_checksum_of_the_standards_own_example() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@pytest.mark.parametrize(("version", "kind"), [(4, 0), (6, 129)])
def test_a_reply_gives_back_what_was_sent(version: int, kind: int) -> None:
    reply = reply_to(encode_request(version, 9, 65535, TOKEN), kind)
    assert decode_reply(version, reply, ip_header=False) == Echo(9, 65535, TOKEN)
    assert decode_quoted(version, encode_request(version, 9, 65535, TOKEN)) == Echo(9, 65535, TOKEN)


@pytest.mark.parametrize("header", [IP_HEADER, LONG_IP_HEADER])
def test_an_ip_header_in_front_is_stepped_over_with_its_options(header: bytes) -> None:
    reply = reply_to(encode_request(4, 9, 1, TOKEN), 0)
    assert decode_reply(4, header + reply, ip_header=True) == Echo(9, 1, TOKEN)


def test_a_quote_may_be_cut_behind_the_icmp_header() -> None:
    assert decode_quoted(4, encode_request(4, 9, 1, TOKEN)[:8]) == Echo(9, 1, b"")


def test_requests_and_errors_are_no_replies() -> None:
    request = encode_request(4, 9, 1, TOKEN)
    assert decode_reply(4, request, ip_header=False) is None
    assert decode_reply(4, b"\x03\x01" + bytes(30), ip_header=False) is None
    assert decode_quoted(4, reply_to(request, 0)) is None


@given(st.binary(max_size=100), st.sampled_from([4, 6]), st.booleans())
def test_noise_is_never_more_than_nothing(noise: bytes, version: int, ip_header: bool) -> None:
    for found in (decode_reply(version, noise, ip_header=ip_header), decode_quoted(version, noise)):
        assert found is None or len(found.token) <= TOKEN_BYTES
