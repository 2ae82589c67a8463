"""Whatever is asked, the API answers as its document says: never a 500, never an undocumented status."""

import asyncio
import json
from typing import Any

import httpx
import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub.api.openapi import document
from hub.api.parameters import read_cursor, write_cursor
from hub.api.routes import RESOURCES
from tests.hub.web.conftest import Hub
from tests.hub.web.contract import Contract
from web.problems import ProblemError

CONTRACT = Contract(json.loads(msgspec.json.encode(document(RESOURCES))))
NAMES = sorted({field.encode_name for resource in RESOURCES for field in msgspec.structs.fields(resource.params)})
VALUES = st.one_of(
    st.text(max_size=40),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        ["", "null", "true", "1", "1000", "s0001", "s0001-agent", "record", "open", "line", "up", "VNPT", "2026-11"]
    ),
    st.datetimes().map(lambda when: when.isoformat() + "Z"),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-11-24T10:00:00Z"]),
    st.lists(st.one_of(st.integers(-(2**65), 2**65), st.text(max_size=8), st.none(), st.floats()), max_size=5).map(
        lambda key: write_cursor(tuple(key))  # type: ignore[arg-type]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "content-type", "origin", "cookie", "range", "if-none-match", "x-forwarded-for"]),
    st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
    max_size=3,
)
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(sorted(CONTRACT.document["paths"])),
    query=st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), st.text(max_size=10)), VALUES), max_size=5),
    method=METHODS,
    headers=HEADERS,
    body=st.binary(max_size=200),
    token=st.one_of(st.none(), st.none(), st.none(), st.text(max_size=20)),
)
@example("/api/v1/outages", [("after", write_cursor((2**63, "a", "b")))], "GET", {}, b"", None)
@example("/api/v1/outages", [("after", write_cursor((1, "a\x00", "b")))], "GET", {}, b"", None)
@example("/api/v1/outages", [("from", "0001-01-01T00:00:00+14:00")], "GET", {}, b"", None)
@example("/api/v1/outages", [("to", "9999-12-31T23:59:59.999999-14:00")], "GET", {}, b"", None)
@example("/api/v1/devices", [("commune", "\x00")], "GET", {}, b"", None)
@example("/api/v1/devices", [("part", "\ud800")], "GET", {}, b"", None)
@example("/api/v1/links/availability", [("from", "2000-01"), ("to", "2000-01")], "GET", {}, b"", None)
def test_every_answer_is_documented(
    hub: Hub,
    path: str,
    query: list[tuple[str, str]],
    method: str,
    headers: dict[str, bytes],
    body: bytes,
    token: str | None,
) -> None:
    answer = asyncio.run(_ask(hub, path, query, method, headers, body, token))
    assert answer.status_code < 500, answer.text
    if method == "HEAD":
        assert str(answer.status_code) in CONTRACT.operation(path)["responses"]
    else:
        CONTRACT.check(path, answer)


async def _ask(
    hub: Hub,
    path: str,
    query: list[tuple[str, str]],
    method: str,
    headers: dict[str, bytes],
    body: bytes,
    token: str | None,
) -> httpx.Response:
    pairs: Any = [(_sendable(name), _sendable(value)) for name, value in query]
    text = "" if token is not None and not token.isascii() else token
    async with hub.program(text if text is None or text.isprintable() else "") as program:
        return await program.request(
            method,
            path,
            params=pairs,
            headers=[(name.encode(), value) for name, value in headers.items()],
            content=body,
        )


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    try:
        key = read_cursor(text, (int, str))
    except ProblemError as error:
        key, status = (0, ""), error.problem.status
    else:
        status = 400
    assert (status, [type(part) for part in key]) == (400, [int, str])


@given(
    st.tuples(st.integers(-(2**63) + 1, 2**63 - 1), st.text(st.characters(exclude_characters="\x00", codec="utf-8")))
)
def test_a_cursor_reads_back_as_it_was_written(key: tuple[int, str]) -> None:
    assert read_cursor(write_cursor(key), (int, str)) == key
