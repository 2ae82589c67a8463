"""The API as programs use it: what it answers, what it refuses, and that its document is true."""

import re
from typing import Any

import httpx
import pytest

from bus.entries import JournalOpened, OutageOpened
from bus.errors import UnavailableError
from hub.api import tokens
from hub.api.routes import RESOURCES
from hub.secrecy import day_ms, is_unheard
from tests.hub.web import province
from tests.hub.web.conftest import NOW_MS, Hub
from tests.hub.web.contract import Contract
from web.problems import MEDIA_TYPE

PATHS = [resource.path for resource in RESOURCES]


async def _items(program: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await program.get(f"/api/v1/{path}", params={key.rstrip("_"): value for key, value in params.items()})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def _contract(program: httpx.AsyncClient) -> Contract:
    return Contract((await program.get("/api/v1/openapi.json")).json())


async def test_devices_are_the_known_list_with_the_silent_ones(hub: Hub) -> None:
    async with hub.program() as program:
        devices = await _items(program, "devices", limit=1000)
        assert len(devices) == 3 * len(province.NAMES)
        by_name = {device["device"]: device for device in devices}
        assert by_name["s0001-agent"]["silent"] is False
        assert by_name["s0001-agent"]["commune_name"] == "Xã Mường Lát"
        assert by_name["s0002-agent"]["silent"] is True
        assert by_name["s0004-agent"] | {"silent": True, "last_seen": None} == by_name["s0004-agent"]
        assert {one["part"] for one in await _items(program, "devices", part="kiosk", limit=1000)} == {"kiosk"}
        assert [one["device"] for one in await _items(program, "devices", device="s0003-agent")] == ["s0003-agent"]


async def test_journals_balance(hub: Hub) -> None:
    async with hub.program() as program:
        journals = await _items(program, "journals", limit=1000)
        short = next(one for one in journals if one["device"] == "s0008-agent")
        assert short["missing"] == 3
        assert (short["first"], short["last"], short["stored"]) == (1, short["head"] - 3, short["head"] - 3)
        damaged = next(one for one in journals if one["device"] == "s0009-kiosk-1")
        assert (damaged["stored"], damaged["missing"], damaged["lost"]) == (2, 0, {"damaged": 7})
        for one in journals:
            whole = max(one["head"], one["last"] or 0)
            assert one["stored"] + one["missing"] + sum(one["lost"].values()) == whole
        assert await _items(program, "journals", device="s0008-agent", epoch=short["epoch"], class_="record") == [short]
        assert await _items(program, "journals", device="s0008-agent", class_="sample") == []


async def test_of_a_kiosk_only_those_who_may_read_presses_are_given_numbers(hub: Hub) -> None:
    """A low vote with its reason is two entries, any other one: a number that moves tells them apart."""
    token = tokens.issue(hub.folder / "tokens.toml", name="plain", scopes=["read"])
    async with hub.program() as program:
        exact = {one["device"]: one for one in await _items(program, "journals", limit=1000)}
    async with hub.program(token) as program:
        coarse = {one["device"]: one for one in await _items(program, "journals", limit=1000)}
        heard = {one["device"]: one for one in await _items(program, "devices", limit=1000)}
    assert {device for device, one in coarse.items() if one != exact[device]} == {
        device for device in exact if "kiosk" in device
    }
    kiosk = coarse["s0009-kiosk-1"]
    hidden = ("first", "last", "stored", "head", "first_held")
    assert {kiosk[name] for name in hidden} == {None}
    assert (kiosk["missing"], kiosk["lost"]) == (0, {"damaged": 7})
    assert kiosk["last_received_at"] == "2026-11-23T17:00:00.000Z"  # the day began in Vietnam
    assert heard["s0009-kiosk-1"]["last_seen"] == "2026-11-23T17:00:00.000Z"
    assert heard["s0009-kiosk-1"]["silent"] is False
    assert heard["s0004-kiosk-1"]["silent"] is True  # never heard
    assert heard["s0009-agent"]["last_seen"] > "2026-11-24T10:00:00Z"


@pytest.mark.parametrize(("days", "unheard"), [(0.2, False), (0.5, False), (0.9, True), (21, True)])
def test_a_kiosk_that_was_dark_for_days_is_silent_to_everybody(days: float, unheard: bool) -> None:
    assert is_unheard(day_ms(NOW_MS - int(days * 86_400_000)), NOW_MS, 120) is unheard


async def test_links_say_what_is_known_now_and_never_call_silence_up(hub: Hub) -> None:
    async with hub.program() as program:
        links = await _items(program, "links", limit=1000)
        down = [(one["site"], one["name"], one["provider"]) for one in links if one["state"] == "down"]
        assert down == [("s0001", "internet", "VNPT"), ("s0010", "may-in-mot-cua", "")]
        silent = [one for one in links if one["site"] == "s0002"]
        assert {one["state"] for one in silent} == {"unknown"}
        assert {one["last"] for one in silent} == {"up"}
        assert {one["site"] for one in await _items(program, "links", state="down", kind="line")} == {"s0001"}


async def test_outages_open_and_closed_with_what_nobody_watched(hub: Hub) -> None:
    async with hub.program() as program:
        outages = await _items(program, "outages", limit=1000)
        assert [one["started_at"] for one in outages] == sorted(one["started_at"] for one in outages)
        (still,) = await _items(program, "outages", state="open")
        assert (still["id"], still["ended_at"], still["cause"]) == ("s0001-agent/f0", None, "fibre-down")
        (closed,) = await _items(program, "outages", site="s0005", state="closed")
        assert closed["unwatched_s"] == 80.0
        after = await _items(program, "outages", from_="2026-11-24T10:05:00Z")
        assert [one["id"] for one in after] == ["s0001-agent/f0"]
        assert await _items(program, "outages", to="2026-11-24T00:00:00%2B07:00".replace("%2B", "+")) == []


async def test_availability_is_of_observed_time(hub: Hub) -> None:
    async with hub.program() as program:
        found = await _items(program, "links/availability", limit=1000)
        by_line = {(one["site"], one["line"]): one for one in found}
        broken = by_line["s0001", "internet"]
        assert broken["month"] == "2026-11"
        assert broken["availability_pct"] == 0.0
        assert (broken["observed_s"], broken["down_s"]) == (30 * 60, 30 * 60)
        silent = by_line["s0002", "tslcd"]
        assert silent["availability_pct"] == 100.0
        assert silent["unknown_s"] >= 197 * 60
        assert ("s0004", "internet") not in by_line
        assert await _items(program, "links/availability", from_="2026-01", to="2026-03") == []
        only = await _items(program, "links/availability", provider="Viettel", site="s0002")
        assert [(one["line"], one["provider"]) for one in only] == [("internet", "Viettel")]


async def test_a_commune_is_found_by_its_official_code(hub: Hub) -> None:
    async with hub.program() as program:
        for path in ("devices", "links", "outages", "links/availability"):
            for wanted in ("14806", "s0001"):
                found = {one["site"] for one in await _items(program, path, commune=wanted)}
                assert found <= {"s0003" if wanted == "14806" else "s0001"}


@pytest.mark.parametrize("path", PATHS)
async def test_every_listing_is_as_the_document_says(hub: Hub, path: str) -> None:
    async with hub.program() as program:
        contract = await _contract(program)
        for limit in (1, 7, 1000):
            contract.check(path, await program.get(path, params={"limit": limit}))
        contract.check(path, await program.get(path, params={"limit": 0}))
    for token in ("", "wrong"):
        async with hub.program(token) as program:
            refused = await program.get(path)
            contract.check(path, refused)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", PATHS)
async def test_pages_follow_each_other_without_gap_or_repeat(hub: Hub, path: str) -> None:
    async with hub.program() as program:
        whole = (await program.get(path, params={"limit": 1000})).json()
        assert whole["next"] is None
        found, after = [], None
        while True:
            page = (await program.get(path, params={"limit": 7, **({"after": after} if after else {})})).json()
            assert len(page["items"]) <= 7
            found += page["items"]
            after = page["next"]
            if after is None:
                break
            assert len(page["items"]) == 7
        assert found == whole["items"]


async def test_pages_stay_put_while_rows_come_in(own_hub: Hub) -> None:
    async with own_hub.program() as program:
        before = await _items(program, "outages", limit=1000)
        first = (await program.get("/api/v1/outages", params={"limit": 2})).json()
        box = province.Box(province.roster(), "s0012-agent", "f" * 16)
        box.write(JournalOpened("new"), NOW_MS)
        for number, started in ((1, 1_700_000_000_000), (2, NOW_MS - 1000)):  # one before the cursor, one behind it
            box.write(OutageOpened(f"new{number}", "tslcd", "fibre-down", started), NOW_MS)
        own_hub.store.ingest([box.batch()])
        rest = await _items(program, "outages", limit=1000, after=first["next"])
        seen = [one["id"] for one in first["items"] + rest]
        assert len(seen) == len(set(seen))
        assert {one["id"] for one in before} <= set(seen)
        assert "s0012-agent/new2" in seen


@pytest.mark.parametrize(
    ("path", "query", "named", "says"),
    [
        ("devices", "limit=0", "limit", ">= 1"),
        ("devices", "limit=1001", "limit", "<= 1000"),
        ("devices", "limit=ten", "limit", "int"),
        ("devices", "limit=1&limit=2", "limit", "twice"),
        ("devices", "comune=1", "comune", "known here: after, commune"),
        ("devices", "site=S0001", "site", "lower-case letters"),
        ("devices", "after=zzz", "after", "not a cursor"),
        ("outages", "after=WzEsMl0", "after", "not a cursor"),
        ("outages", "from=yesterday", "from", "RFC3339"),
        ("outages", "from=2026-11-24T00:00:00", "from", "timezone"),
        ("outages", "from=2026-11-24T00:00:00+07:00", "from", "write + as %2B"),
        ("outages", "state=broken", "state", "one of open, closed"),
        ("journals", "class=both", "class", "one of record, sample"),
        ("links/availability", "from=2026-13", "from", "such as 2026-11"),
        ("links/availability", "from=2026-11&to=2026-10", "from", "comes after"),
        ("links/availability", "from=2020-01&to=2026-10", "from", "more than 14 months"),
    ],
)
async def test_a_parameter_at_fault_is_named(hub: Hub, path: str, query: str, named: str, says: str) -> None:
    async with hub.program() as program:
        answer = await program.get(f"/api/v1/{path}?{query}")
        (await _contract(program)).check(f"/api/v1/{path}", answer)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == MEDIA_TYPE
        (error,) = answer.json()["errors"]
        assert error["parameter"] == named
        assert says in error["detail"]


async def test_all_parameters_at_fault_are_named_at_once(hub: Hub) -> None:
    async with hub.program() as program:
        answer = await program.get("/api/v1/outages?limit=0&from=x&colour=red")
        assert {error["parameter"] for error in answer.json()["errors"]} == {"limit", "from", "colour"}


async def test_a_token_opens_what_its_scopes_say_and_no_more(own_hub: Hub) -> None:
    file = own_hub.folder / "tokens.toml"
    reader = tokens.issue(file, name="reader", scopes=["read"])
    scraper = tokens.issue(file, name="scraper", scopes=["metrics"])
    async with own_hub.program(reader) as program:
        contract = await _contract(program)
        assert (await program.get("/api/v1/devices")).status_code == 200
        for path in ("/metrics", "/api/v1/ratings"):
            refused = await program.get(path)
            contract.check(path, refused)
            assert refused.status_code == 403
            assert "lacks the scope" in refused.json()["detail"]
            assert "insufficient_scope" in refused.headers["www-authenticate"]
    async with own_hub.program(scraper) as program:
        metrics = await program.get("/metrics")
        contract.check("/metrics", metrics)
        assert metrics.text.startswith("# TYPE")
        assert (await program.get("/api/v1/devices")).status_code == 403
        tokens.drop(file, "scraper")
        assert (await program.get("/metrics")).status_code == 401


async def test_health_is_open_and_nothing_else_is(hub: Hub) -> None:
    async with hub.program("") as program:
        healthy = await program.get("/healthz")
        assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})
        contract = await _contract(program)
        contract.check("/healthz", healthy)
        for path in contract.document["paths"]:
            expected = 200 if path in ("/healthz", "/api/v1/openapi.json") else 401
            assert (await program.get(path)).status_code == expected, path


async def test_a_store_that_does_not_answer_is_said_plainly(own_hub: Hub) -> None:
    async with own_hub.program() as program, own_hub.browser() as browser:
        contract = await _contract(program)

        own_hub.database.read = _unavailable  # type: ignore[method-assign]
        for path in ("/healthz", "/api/v1/devices"):
            answer = await program.get(path)
            contract.check(path, answer)
            assert answer.status_code == 503
        page = await browser.get("/")
        assert page.status_code == 503
        assert "Kho dữ liệu không trả lời" in page.text


def _unavailable() -> Any:
    raise UnavailableError("the store cannot be used: it is on the moon")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/api/v1/devices/", "/metrics/x"])
async def test_unknown_paths_of_the_api_are_problem_documents(hub: Hub, path: str) -> None:
    async with hub.program() as program:
        answer = await program.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == MEDIA_TYPE


async def test_other_methods_are_refused_as_the_document_says(hub: Hub) -> None:
    async with hub.program() as program:
        contract = await _contract(program)
        for path in contract.document["paths"]:
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
                answer = await program.request(method, path)
                contract.check(path, answer)
                assert answer.status_code == 405
                assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
            assert (await program.head(path)).status_code == 200


async def test_the_document_is_whole(hub: Hub) -> None:
    async with hub.program("") as program:
        answer = await program.get("/api/v1/openapi.json")
        document = answer.json()
        assert document["openapi"] == "3.1.0"
        references = set(re.findall(r'"\$ref":"#/components/([^"]+)"', answer.text))
        for reference in references:
            group, name = reference.split("/")
            assert name in document["components"][group]
        operations = [path["get"] for path in document["paths"].values()]
        assert len({one["operationId"] for one in operations}) == len(operations)
        for path in PATHS:
            names = {parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]}
            assert {"limit", "after"} <= names
