"""Ratings at the API, as files, on the pages and as metrics: what they say, what they keep back, and who has looked."""

import csv
import html
import io
import itertools
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from bus.entries import RatingPressed
from hub import schema
from hub.api import tokens
from hub.application import create_app
from hub.database import Database
from hub.live import Live
from hub.metrics import Metrics
from hub.ratings.periods import day_at
from hub.sheets import XLSX_TYPE
from hub.store import Store
from tests.hub.web import ballots, province
from tests.hub.web.ballots import Kiosk
from tests.hub.web.conftest import NOW_MS, PASSWORD
from tests.hub.web.contract import Contract
from web.sessions import Sessions
from web.users import Users, put_user

NAMES = province.NAMES[:6]
EVIL = "=HYPERLINK(1)"
SUMMARY = "/api/v1/ratings/summary"
TODAY = day_at(NOW_MS)


@dataclass(frozen=True, slots=True)
class Hub:
    """Six communes of voters; the last but one has few votes, the last none."""

    app: Any
    database: Database
    store: Store
    kiosks: dict[str, Kiosk]
    folder: Path
    cookies: dict[str, str]

    def program(self, *scopes: str) -> httpx.AsyncClient:
        token = tokens.issue(self.folder / "tokens.toml", name="-".join(scopes), scopes=list(scopes))
        headers = {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=headers)

    def browser(self, user: str, language: str = "vi") -> httpx.AsyncClient:
        cookies = {"ce_language": language, "ce_session": self.cookies[user]}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://hub.test", cookies=cookies)

    def looks(self) -> list[tuple[str, str, str]]:
        with self.database.read() as connection:
            rows = connection.execute(select(schema.audit).order_by(schema.audit.c.id)).all()
        return [(row.who, row.what, row.detail) for row in rows]


def build(url: str, folder: Path) -> Hub:
    database = Database(url)
    store, kiosks = ballots.seed(database, now_ms=NOW_MS, days=40, names=NAMES)
    users = folder / "users.toml"
    put_user(users, name="an", password=PASSWORD, roles=[])
    put_user(users, name="binh", password=PASSWORD, roles=["ratings-raw"])
    sessions = Sessions(folder / "sessions.json", now_s=lambda: NOW_MS / 1000)
    cookies = {user.name: sessions.start(user) for user in Users(users).all().values()}
    app = create_app(
        database=database,
        users=users,
        tokens=folder / "tokens.toml",
        metrics=lambda: b"",
        sessions=folder / "sessions.json",
        now_s=lambda: NOW_MS / 1000,
    )
    return Hub(app, database, store, kiosks, folder, cookies)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("ratings")
    lite = request.param == "sqlite"
    made = build(f"sqlite:///{folder}/hub.db" if lite else request.getfixturevalue("cluster").new_store(), folder)
    yield made
    made.database.close()


@pytest.fixture
async def reader(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    async with hub.program("read") as program:
        yield program


async def items(program: httpx.AsyncClient, path: str = SUMMARY, **params: Any) -> list[dict[str, Any]]:
    answer = await program.get(path, params={"limit": 1000, **params})
    assert answer.status_code == 200, answer.text
    contract = Contract((await program.get("/api/v1/openapi.json")).json())
    contract.check(path, answer)
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_a_commune_has_one_figure_with_its_interval(hub: Hub, reader: httpx.AsyncClient) -> None:
    found = await items(reader)
    assert [one["site"] for one in found] == [f"s000{number}" for number in range(1, 6)]
    for one in found[:4]:
        assert (one["commune_name"], one["withheld"]) == (f"Xã {NAMES[int(one['site'][-1]) - 1]}", False)
        assert one["n_pressed"] >= one["n_counted"] >= (one["n_filtered"] or 5) >= 5
        assert (one["n_filtered"] is None) == (one["filtered"] is None)
        raw = one["raw"]
        assert (raw["n"], sum(map(sum, (scale["counts"] for scale in raw["scales"])))) == (one["n_counted"],) * 2
        assert 0 <= raw["low"] < raw["share"] < raw["high"] <= 1
        assert raw["satisfied"] == round(raw["share"] * raw["n"])
        assert one["to"] < "2026-11-24"  # today has not closed
    few = found[4]
    assert few["withheld"] is True
    assert {few[name] for name in ("n_pressed", "n_counted", "n_filtered", "raw", "filtered")} == {None}


@pytest.mark.parametrize("by", ["day", "month"])
async def test_days_and_months_add_up_to_the_commune(reader: httpx.AsyncClient, by: str) -> None:
    whole = {one["site"]: one for one in await items(reader, **{"from": "2026-10-16"}) if not one["withheld"]}
    parts = [one for one in await items(reader, by=by, **{"from": "2026-10-16"}) if not one["withheld"]]
    for site, one in whole.items():
        mine = [part for part in parts if part["site"] == site]
        for name in ("n_pressed", "n_counted"):
            assert sum(part[name] for part in mine) == one[name]
        assert all(part["n_counted"] >= 5 for part in mine)
        spans = sorted((part["from"], part["to"]) for part in mine)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


async def test_each_cut_has_its_cells(reader: httpx.AsyncClient) -> None:
    officers = await items(reader, by="officer", site="s0001")
    assert {one["officer"] for one in officers} == {"CB-01", "CB-02", ""}
    assert {one["to"][:7] for one in officers} == {"2026-10"}  # November is not over
    counters = await items(reader, by="counter,month")
    assert [(one["site"], one["counter"]) for one in counters][:2] == [("s0001", "mot-cua"), ("s0002", "1")]
    hours = await items(reader, by="hour", commune="14803")
    assert {one["site"] for one in hours} == {"s0002"}
    assert {one["hour"] for one in hours} <= set(range(24))
    assert all(one["raw"]["small_n"] is (one["raw"]["n"] < 30) for one in hours if one["raw"])
    kiosks = await items(reader, by="kiosk")
    assert {one["kiosk"] for one in kiosks} == {f"s000{number}-kiosk-1" for number in range(1, 5)}
    assert await items(reader, question="nobody-asked-this") == []
    assert len(await items(reader, question="overall")) == 4


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("by=counter,officer", "by"),
        ("by=counter,day", "by"),
        ("by=hour&question=overall", "by"),
        ("by=day&question=overall", "by"),
        ("by=weather", "by"),
        ("by=day,day", ""),
        ("by=day,month", ""),
        ("from=2026-13-01", "from"),
        ("from=2026-11-02&to=2026-11-01", "from"),
        ("from=2020-01-01", "from"),
        ("to=yesterday", "to"),
        ("include_open=maybe", "include_open"),
    ],
)
async def test_a_parameter_at_fault_is_named(reader: httpx.AsyncClient, query: str, named: str) -> None:
    answer = await reader.get(f"{SUMMARY}?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == named


async def test_no_filtered_figure_leaves_a_few_flagged_votes(reader: httpx.AsyncClient) -> None:
    withheld = 0
    for by in ("commune", "day", "month", "counter", "officer", "hour", "kiosk"):
        for one in await items(reader, by=by, **{"from": "2026-10-01"}):
            if one["filtered"] is not None:
                flagged = one["n_counted"] - one["n_filtered"]
                assert one["n_filtered"] == one["filtered"]["n"] >= 5
                assert flagged == 0 or (flagged >= 5 and by == "month" and one["to"] < "2026-11")
            withheld += one["filtered"] is None and not one["withheld"]
    assert withheld, "nothing is flagged: this says nothing"


async def test_moments_are_taken_as_the_days_in_which_they_lie(reader: httpx.AsyncClient) -> None:
    days = await items(reader, by="day", **{"from": "2026-11-02", "to": "2026-11-06"})
    moments = {"from": "2026-11-02T00:00:00+07:00", "to": "2026-11-06T17:00:00Z"}
    assert await items(reader, by="day", **moments) == days


async def test_open_days_ask_for_more_and_are_journaled(hub: Hub, reader: httpx.AsyncClient) -> None:
    before = hub.looks()
    refused = await reader.get(SUMMARY, params={"include_open": "true"})
    assert refused.status_code == 403
    assert hub.looks() == before
    async with hub.program("read", "ratings-raw") as program:
        found = await items(program, by="day", include_open="true", **{"from": "2026-11-24"})
        assert {one["to"] for one in found} == {"2026-11-24"}
        few = await items(program, by="day", include_open="true", site="s0005")
        assert all(0 < one["n_counted"] < 5 for one in few)  # shown here, and nowhere else
        looks = hub.looks()[len(before) :]
        assert [(who, what) for who, what, _ in looks] == [("token read-ratings-raw", SUMMARY)] * 2
        assert "include_open=true" in looks[0][2]


async def test_days_are_for_those_who_may_read_single_presses(hub: Hub, reader: httpx.AsyncClient) -> None:
    assert (await reader.get("/api/v1/ratings/days")).status_code == 403
    before = len(hub.looks())
    async with hub.program("ratings-raw") as program:
        found = await items(program, "/api/v1/ratings/days")
        assert len(found) > 50
        assert {one["agrees"] for one in found} == {True}
        assert all(one["told"] == one["found"] for one in found)
        (only,) = await items(
            program, "/api/v1/ratings/days", kiosk="s0002-kiosk-1", **{"from": "2026-11-23", "to": "2026-11-23"}
        )
        assert (only["day"], only["commune_name"]) == ("2026-11-23", "Xã Ba Thước")
    assert len(hub.looks()) == before + 2


@pytest.mark.parametrize("path", ["/api/v1/ratings", "/api/v1/ratings/days", SUMMARY])
async def test_a_file_holds_what_the_listing_holds(hub: Hub, path: str) -> None:
    async with hub.program("read", "ratings-raw") as program:
        listed: list[Any] = []
        after: dict[str, str] = {}
        while True:
            page = (await program.get(path, params={"limit": 1000, **after})).json()
            listed += page["items"]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        contract = Contract((await program.get("/api/v1/openapi.json")).json())
        text = await program.get(f"{path}.csv")
        contract.check(f"{path}.csv", text)
        assert text.content.startswith(b"\xef\xbb\xbf")
        assert "attachment" in text.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(text.content.decode("utf-8-sig"), newline="")))
        assert len(rows) == len(listed) > 4
        book = await program.get(f"{path}.xlsx")
        assert book.headers["content-type"] == XLSX_TYPE
        contract.check(f"{path}.xlsx", book)
        with zipfile.ZipFile(io.BytesIO(book.content)) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert sheet.count("<row ") == len(listed) + 1
        assert "<f>" not in sheet
        assert (await program.head(f"{path}.csv")).status_code == 200
    async with hub.program("metrics") as program:
        for kind in ("csv", "xlsx"):
            assert (await program.get(f"{path}.{kind}")).status_code == 403


async def test_a_summary_file_has_the_figures_of_the_listing(reader: httpx.AsyncClient) -> None:
    listed = await items(reader)
    text = (await reader.get(f"{SUMMARY}.csv")).content.decode("utf-8-sig")
    for row, one in zip(csv.DictReader(io.StringIO(text, newline="")), listed, strict=True):
        assert row["commune_name"] == one["commune_name"]
        if one["withheld"]:
            assert (row["withheld"], row["n_counted"], row["raw_share"]) == ("1", "", "")
        else:
            assert float(row["raw_low"]) == pytest.approx(one["raw"]["low"])
            assert (
                sum(int(row[f"raw_{level}_of_5"]) for level in range(1, 6))
                + sum(int(row[f"raw_{level}_of_{levels}"]) for levels in (4, 3) for level in range(1, levels + 1))
                == one["n_counted"]
            )


async def test_what_a_device_says_is_no_formula_in_a_file(store_url: str, tmp_path: Path) -> None:
    own = build(store_url, tmp_path)
    box = province.Box(province.roster(NAMES), "s0001-kiosk-1", "e" * 16)
    for number, text in enumerate([EVIL, "+1", "-1", "@x", "\tx", "＝1", 'an,"b"\nc', "x\0y"]):
        box.write(RatingPressed(f"x/0/{number}", "touch", 1, 5, 0, text, text, text), NOW_MS)
    own.store.ingest([box.batch()])
    async with own.program("ratings-raw") as program:
        query = {"from": "2026-11-24T10:00:00Z", "site": "s0001"}
        text_file = (await program.get("/api/v1/ratings.csv", params=query)).content.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text_file, newline="")))
        cells = {row["officer"] for row in rows}
        assert {f"'{EVIL}", "'+1", "'-1", "'@x", "'\tx", "'＝1", 'an,"b"\nc'} <= cells
        book = await program.get("/api/v1/ratings.xlsx", params=query)
        with zipfile.ZipFile(io.BytesIO(book.content)) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet
        assert EVIL in sheet
    own.database.close()


async def page(hub: Hub, path: str, user: str = "an", language: str = "vi") -> str:
    async with hub.browser(user, language) as browser:
        answer = await browser.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


def plain(text: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


async def test_communes_are_in_order_of_the_lower_end_and_few_votes_stand_apart(
    hub: Hub, reader: httpx.AsyncClient
) -> None:
    found = await items(reader, by="month", **{"from": "2026-11-01"})
    ranked = [one for one in found if one["raw"] and not one["raw"]["small_n"]]
    expected = [one["site"] for one in sorted(ranked, key=lambda one: -one["raw"]["low"])]
    text = await page(hub, "/ratings?month=2026-11")
    table = text[text.index('id="ranked"') : text.index('id="nothing"')]
    assert re.findall(r'href="/communes/(\w+)/ratings', table) == expected
    said = plain(text)
    assert "Khoảng tin cậy 95 %" in said
    assert f"n = {ranked[0]['n_filtered']}" in said
    nothing = plain(text[text.index('id="nothing"') :])
    assert "Dưới 5 lượt" in nothing
    assert f"Xã {NAMES[4]}" in nothing
    assert f"Không có lượt nào: Xã {NAMES[5]}" in nothing
    assert "766" not in said


async def test_a_months_report_says_all_that_may_be_said(hub: Hub, reader: httpx.AsyncClient) -> None:
    (one,) = await items(reader, site="s0002", by="month", **{"from": "2026-11-01"})
    text = plain(await page(hub, "/communes/s0002/ratings"))
    share = f"{100 * one['raw']['share']:.1f} %".replace(".", ",")
    assert f"{share} trong {one['n_counted']} lượt là hài lòng" in text
    for expected in ("Số thô và số đã lọc", "Rất không hài lòng", "ngày khớp", "Người lập"):
        assert expected in text
    assert "CB-01" not in text  # the month is not over
    october = plain(await page(hub, "/communes/s0002/ratings?month=2026-10"))
    for expected in ("CB-01", "7:00 – 8:00"):
        assert expected in october
    english = plain(await page(hub, "/communes/s0002/ratings", language="en"))
    assert "votes are satisfied" in english
    few = plain(await page(hub, "/communes/s0005/ratings"))
    assert "dưới 5 lượt" in few
    assert "CB-01" not in few
    assert "chưa có lượt nào" in plain(await page(hub, "/communes/s0006/ratings"))


async def test_no_open_day_is_on_a_page(hub: Hub) -> None:
    for path in ("/ratings", "/communes/s0001/ratings"):
        text = plain(await page(hub, path))
        assert "24/11/2026" not in text.split("Lập lúc")[0]


@pytest.mark.parametrize(
    "path", ["/ratings", "/communes/s0001/ratings", "/communes/s0005/ratings", "/ratings/raw?site=s0001"]
)
@pytest.mark.parametrize("language", ["vi", "en"])
async def test_every_page_is_well_made(hub: Hub, path: str, language: str) -> None:
    text = await page(hub, path, "binh", language)
    assert text.count("<h1") == 1
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)
    names = re.findall(r'\sid="([^"]+)"', text)
    assert len(names) == len(set(names))
    assert all(link.startswith(("/", "#")) for link in re.findall(r'(?:href|src|action)="([^"]*)"', text))


@pytest.mark.parametrize(
    "path",
    [
        "/ratings?month=2026-13",
        "/ratings?month=2026-12",
        "/ratings?month=1999-01",
        "/communes/s9999/ratings",
        "/ratings/raw?site=s9999",
        "/ratings/raw?site=s0001&from=x",
        "/ratings/raw.csv",
        "/communes/S%00/ratings.csv",
    ],
)
async def test_what_is_not_there_is_said(hub: Hub, path: str) -> None:
    async with hub.browser("binh") as browser:
        assert (await browser.get(path)).status_code == 404


async def test_single_presses_ask_for_the_role_and_each_look_is_written_down_first(hub: Hub) -> None:
    before = len(hub.looks())
    async with hub.browser("an") as browser:
        for path in ("/ratings/raw", "/ratings/raw.csv", "/ratings/raw.xlsx"):
            assert (await browser.get(f"{path}?site=s0001")).status_code == 403
        assert "/ratings/raw" not in (await browser.get("/ratings")).text
    assert len(hub.looks()) == before
    async with hub.browser("binh") as browser:
        assert "/ratings/raw" in (await browser.get("/ratings")).text
        assert (await browser.get("/ratings/raw")).status_code == 200
        assert len(hub.looks()) == before  # nothing was shown yet
        shown = (await browser.get("/ratings/raw?site=s0001&from=2026-11-16&to=2026-11-20")).text
        held = (await browser.get("/ratings/raw.csv?site=s0001&from=2026-11-16&to=2026-11-20")).content.decode(
            "utf-8-sig"
        )
    looks = hub.looks()[before:]
    assert [(who, what) for who, what, _ in looks] == [("user binh", "/ratings/raw"), ("user binh", "/ratings/raw.csv")]
    assert "site=s0001" in looks[0][2]
    rows = list(csv.reader(io.StringIO(held, newline="")))
    assert rows[0][:2] == ["Mã lượt", "Bấm lúc (UTC)"]
    assert shown.count('<th scope="row"') == len(rows) - 1 > 5
    async with hub.browser("an") as browser:
        table = (await browser.get("/communes/s0002/ratings.csv?month=2026-10")).content.decode("utf-8-sig")
        assert "CB-01" in table
        assert "Mức 1 trên 5 (thô)" in table.splitlines()[0]
        assert "_of_" not in table
        assert (await browser.get("/ratings.xlsx?month=2026-11")).headers["content-type"] == XLSX_TYPE


async def test_metrics_stand_for_closed_days_and_enough_votes(hub: Hub, reader: httpx.AsyncClient) -> None:
    now = [NOW_MS / 1000]
    metrics = Metrics(hub.database, Live(), silent_after_s=90, now_s=lambda: now[0])

    def values(name: str, **labels: str) -> dict[str, float]:
        return {
            sample.labels["site"]: sample.value
            for family in text_string_to_metric_families(metrics.text().decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        }

    listed = {one["site"]: one for one in await items(reader) if not one["withheld"]}
    assert values("commune_ratings_counted", figure="raw") == {s: one["n_counted"] for s, one in listed.items()}
    for figure in ("raw", "filtered"):
        low = values("commune_ratings_satisfied_ratio_low", figure=figure)
        assert low == pytest.approx({site: one[figure]["low"] for site, one in listed.items() if one[figure]})
    assert values("commune_ratings_pressed") == {site: one["n_pressed"] for site, one in listed.items()}
    assert set(values("commune_ratings_disagreeing_days").values()) == {0}
    assert values("commune_ratings_closed_days")["s0001"] > 15
