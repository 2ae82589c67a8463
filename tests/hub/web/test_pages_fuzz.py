"""Whatever is sent to the pages, they answer: never a 500, never somebody let in."""

import asyncio
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.hub.web.conftest import Hub

PARTS = st.one_of(
    st.sampled_from(
        [
            "",
            "communes",
            "s0001",
            "outages",
            "availability",
            "ratings",
            "ratings.csv",
            "sign-in",
            "sign-out",
            "language",
            "vi",
            "static",
        ]
    ),
    st.sampled_from(["base.css", "..", "%00", "%2e%2e", "en", "/"]),
    st.text(max_size=8).map(lambda text: quote(text, safe="", errors="replace")),
)
VALUES = st.one_of(st.text(max_size=20), st.sampled_from(["2026-11", "9999-12", "0001-01", "1969-12"]))
QUERY = st.lists(st.tuples(st.sampled_from(["state", "q", "month", "next", "back", "x"]), VALUES), max_size=3)
RAW = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
HEADERS = st.dictionaries(
    st.sampled_from([b"cookie", b"origin", b"host", b"content-type", b"sec-fetch-site", b"if-none-match"]),
    RAW,
    max_size=3,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.just(b"name=an&password=x&form_token="),
    st.just(b"form_token=%ff%fe&name=%00"),
    st.just(b"=" * 50),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    parts=st.lists(PARTS, max_size=4),
    query=QUERY,
    method=st.sampled_from(["GET", "GET", "POST", "HEAD", "PUT", "DELETE", "BREW"]),
    headers=HEADERS,
    body=BODIES,
    signed_in=st.booleans(),
)
@example(["sign-in"], [], "POST", {}, b"name=an", False)
@example(["communes", "%00"], [], "GET", {}, b"", True)
@example(["availability"], [("month", "9999-12")], "GET", {}, b"", True)
@example(["ratings"], [("month", "9999-12")], "GET", {}, b"", True)
@example(["communes", "s0001", "ratings"], [("month", "0001-01")], "GET", {}, b"", True)
@example([""], [("q", "\x00\ud800")], "GET", {}, b"", True)
@example(["sign-in"], [], "POST", {b"origin": b"http://[::1"}, b"name=an", False)
def test_every_request_is_answered(
    hub: Hub,
    parts: list[str],
    query: list[tuple[str, str]],
    method: str,
    headers: dict[bytes, bytes],
    body: bytes,
    signed_in: bool,
) -> None:
    answer = asyncio.run(_ask(hub, "/" + "/".join(parts), query, method, headers, body, signed_in))
    assert answer.status_code < 500, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if not signed_in:
        assert "Xã Mường Lát" not in answer.text


async def _ask(
    hub: Hub,
    path: str,
    query: list[tuple[str, str]],
    method: str,
    headers: dict[bytes, bytes],
    body: bytes,
    signed_in: bool,
) -> httpx.Response:
    sent = [(name, value) for name, value in headers.items() if not (signed_in and name == b"cookie")]
    pairs = httpx.QueryParams([(name, value.encode("utf-8", "replace").decode()) for name, value in query])
    async with hub.browser(signed_in=signed_in) as browser:
        request = browser.build_request(method, "http://hub.test/", params=pairs, headers=sent, content=body)
        request.url = request.url.copy_with(raw_path=path.encode() + b"?" + request.url.query)
        return await browser.send(request)
