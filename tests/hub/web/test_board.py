"""The province's pages: what they say, in which order, in which language, and to whom."""

import html
import re
import unicodedata

import httpx
import pytest

from bus.entries import DiagnosisChanged, JournalOpened, OutageOpened, RatingPressed, RatingReason, Sentence
from hub.database import Database
from hub.pages.board import fold
from hub.store import Store
from tests.hub.web import province
from tests.hub.web.conftest import NOW_MS, Hub

PAGES = ["/", "/communes/s0001", "/outages", "/availability"]


async def _text(hub: Hub, path: str, *, language: str = "vi") -> str:
    async with hub.browser(language=language) as browser:
        page = await browser.get(path)
        assert page.status_code == 200, page.text
        return page.text


def _plain(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def _cases(page: str) -> list[tuple[str, str]]:
    """(state, site) of each commune to be looked at, in order."""
    return re.findall(r'class="case case-(\w+)">.*?href="/communes/(\w+)"', page, re.DOTALL)


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_sees_a_page_without_signing_in(hub: Hub, path: str) -> None:
    async with hub.browser(signed_in=False) as browser:
        page = await browser.get(path)
        assert page.status_code == 303
        assert page.headers["location"].startswith("/sign-in?next=")


async def test_every_route_is_a_page_behind_sign_in_or_for_a_token(hub: Hub) -> None:
    open_to_all = {"/healthz", "/api/v1/openapi.json", "/static/{name}", "/language/{code}", "/sign-in", "/sign-out"}
    async with hub.browser(signed_in=False) as browser:
        for route in hub.app.routes:
            path = getattr(route, "path", "")
            if path in open_to_all:
                continue
            answer = await browser.get(path.replace("{site}", "s0001"))
            assert answer.status_code in (303, 401), path


async def test_the_overview_puts_the_silent_first_and_says_what_is_wrong(hub: Hub) -> None:
    page = await _text(hub, "/")
    assert _cases(page) == [
        ("silent", "s0004"),
        ("silent", "s0002"),
        ("fault", "s0001"),
        ("fault", "s0005"),
        ("fault", "s0003"),
        ("attention", "s0006"),
    ]
    text = _plain(page)
    assert "Tỉnh Thanh Hóa" in text
    assert "10 trên 16 xã, phường bình thường; 6 nơi cần xem xét." in text
    assert "Chưa từng nhận được tín hiệu nào từ xã này." in text
    assert province.FIBRE.says.vi in text
    assert province.FIBRE.do.vi in text
    assert "Thiết bị s0006-speaker-1 của xã không trả lời." in text
    assert "12:13" in text  # 291 minutes before the box was last heard
    assert "4 giờ 51 phút" in text


async def test_no_data_is_never_shown_as_fine(hub: Hub) -> None:
    page = await _text(hub, "/")
    fine = page[page.index('<ul class="fine') :]
    for silent in ("s0002", "s0004"):
        assert f"/communes/{silent}" not in fine
    assert "không rõ" in _plain(await _text(hub, "/communes/s0002")).lower()


async def test_the_same_in_english(hub: Hub) -> None:
    text = _plain(await _text(hub, "/", language="en"))
    assert "10 of 16 communes are normal; 6 need somebody to look." in text
    assert province.FIBRE.says.en in text
    assert "No data" in text


async def test_the_overview_is_narrowed_by_state_and_by_name(hub: Hub) -> None:
    assert _cases(await _text(hub, "/?state=silent")) == [("silent", "s0004"), ("silent", "s0002")]
    assert _cases(await _text(hub, "/?q=muong+lat")) == [("fault", "s0001")]
    assert _cases(await _text(hub, "/?q=14806")) == [("fault", "s0003")]
    assert "Không có xã, phường nào như vậy" in await _text(hub, "/?q=nowhere")
    assert fold("Đông Sơn, Mường Lát") == "dong son, muong lat"


async def test_a_communes_page_tells_all_that_is_known(hub: Hub) -> None:
    text = _plain(await _text(hub, "/communes/s0001"))
    for expected in (
        "Xã Mường Lát",
        "Mã 14800",
        province.FIBRE.says.vi,
        province.FINE.vi,
        "internet: 3 of 3 anchors silent since 09:14",
        "Vẫn mất",
        "Máy lấy ý kiến",
        "s0001-speaker-1 · 0.1.0",
        "11/2026",
        "0,00 %",
    ):
        assert expected in text, expected
    assert "trước là Xã Lương Ngoại, Thị trấn Cành Nàng" in _plain(await _text(hub, "/communes/s0002"))
    assert "7 hỏng trên thiết bị" in _plain(await _text(hub, "/communes/s0009"))
    never = _plain(await _text(hub, "/communes/s0004"))
    assert "Chưa từng có tín hiệu." in never
    assert "Chưa nhận được gì từ xã này." in never


async def test_a_communes_page_shows_no_number_that_a_vote_moves(own_hub: Hub) -> None:
    def of(page: str) -> str:
        """What is said of devices and journals, in this order, but for the time of day."""
        found = page[page.index('id="devices"') : page.index('id="months"')] + page[page.index('id="journals"') :]
        return re.sub(r"Lập lúc.*", "", _plain(found))

    box = province.Box(province.roster(), "s0001-kiosk-1", "a" * 16)
    box.write(JournalOpened("new"), NOW_MS - 60_000)
    own_hub.store.ingest([box.batch()])
    before = of(await _text(own_hub, "/communes/s0001"))
    box.write(RatingPressed("p/0/1", "touch", 5, 5, 200, "1"), NOW_MS)
    box.write(RatingReason("p/0/1", "waiting", "1"), NOW_MS)
    own_hub.store.ingest([box.batch(skip=1)])
    assert of(await _text(own_hub, "/communes/s0001")) == before
    assert "Không hiện số của máy lấy ý kiến" in before
    box.write(RatingPressed("p/0/2", "touch", 5, 5, 200, "1"), NOW_MS)
    own_hub.store.ingest([box.batch(skip=3, head=9)])
    assert "thiếu" in before.lower()
    assert of(await _text(own_hub, "/communes/s0001")) != before, "something is missing"


async def test_availability_stands_beside_what_was_observed(hub: Hub) -> None:
    page = await _text(hub, "/availability")
    text = _plain(page)
    assert text.index("Xã Mường Lát") < text.index("Xã Ba Thước")
    assert "Không quan sát" in text
    assert "Viettel" in text
    earlier = await _text(hub, "/availability?month=2026-10")
    assert "Tháng này không có quan sát nào" in earlier
    assert 'href="/availability?month=2026-11"' in earlier


@pytest.mark.parametrize(
    "path",
    ["/communes/s9999", "/communes/%00", "/availability?month=2026-13", "/availability?month=x", "/nothing", "/a/b"],
)
async def test_what_is_not_there_is_a_page_that_says_so(hub: Hub, path: str) -> None:
    async with hub.browser() as browser:
        page = await browser.get(path)
        assert page.status_code == 404
        assert "Không có trang này" in page.text
        assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/sign-in"])
@pytest.mark.parametrize("language", ["vi", "en"])
async def test_every_page_is_well_made(hub: Hub, path: str, language: str) -> None:
    async with hub.browser(language=language, signed_in=path != "/sign-in") as browser:
        page = (await browser.get(path)).text
    assert unicodedata.is_normalized("NFC", page)
    assert f'<html lang="{language}">' in page
    assert page.count("<h1") == 1
    assert '<main id="main">' in page
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
    links = re.findall(r'(?:href|src|action)="([^"]*)"', page)
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links)
    identifiers = re.findall(r'\sid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        assert 'scope="col"' in table
    # A state is never told by its icon alone.
    for pill in re.findall(r'<span class="pill[^>]*>(.*?)</span>', page, re.DOTALL):
        assert _plain(pill).strip()
    _check_nesting(page)


def _check_nesting(page: str) -> None:
    """Every element that is opened is closed, in order."""
    alone = {"meta", "link", "input", "rect", "path", "circle", "br", "hr", "img"}
    opened: list[str] = []
    for closing, name, single in re.findall(r"<(/?)([a-z0-9]+)(?:\s[^>]*?)?(/?)>", page):
        if name in alone or single:
            continue
        if closing:
            assert opened.pop() == name
        else:
            opened.append(name)
    assert opened == []


async def test_what_a_device_says_is_shown_and_never_run(own_hub: Hub) -> None:
    evil = '<script>alert(1)</script>" onload="x {0} {name} \u202e'
    box = province.Box(province.roster(), "s0012-agent", "e" * 16)
    box.write(JournalOpened("new"), NOW_MS)
    last_day = 253_402_214_400_000  # 9999-12-31, the last that is taken and too late to be shown
    said = DiagnosisChanged(evil, evil, last_day, 1.0, Sentence(evil, evil), Sentence(evil, evil), [evil], evil)
    box.write(said, NOW_MS)
    box.write(OutageOpened("x", evil, evil, 0, evil, [evil]), NOW_MS)
    own_hub.store.ingest([box.batch()])
    for path in ("/", "/communes/s0012", "/outages"):
        page = await _text(own_hub, path)
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert 'onload="x' not in page.replace("&#34;", '"') or "&#34; onload=&#34;x" in page
    assert "không rõ" in _plain(await _text(own_hub, "/"))  # a date in the far future is not shown


async def test_an_empty_roster_is_said(store_url: str, tmp_path_factory: pytest.TempPathFactory, own_hub: Hub) -> None:
    own_hub.store.sync_roster(province.roster(()))
    assert "danh sách còn trống" in await _text(own_hub, "/")


async def test_a_fault_of_ours_shows_nothing_of_itself(own_hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    own_hub.database.read = broken  # type: ignore[method-assign, assignment]
    transport = httpx.ASGITransport(own_hub.app, raise_app_exceptions=False)
    cookies = {"ce_session": own_hub.cookie}
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test", cookies=cookies) as browser:
        page = await browser.get("/")
    assert page.status_code == 500
    assert "Hệ thống gặp lỗi" in page.text
    assert "secret detail" not in page.text
    assert "BUG: request broke" in caplog.text


async def test_one_fault_is_one_sentence_after_it_ended_too(own_hub: Hub) -> None:
    box = province.Box(province.roster(), "s0001-agent", "d" * 16)
    box.write(JournalOpened("start", previous_epoch=f"{1:016x}"), NOW_MS)
    box.write(DiagnosisChanged("fine", "", NOW_MS, 1.0, province.FINE, Sentence("", "")), NOW_MS)
    own_hub.store.ingest([box.batch()])
    assert ("fault", "s0001") not in _cases(await _text(own_hub, "/"))


async def test_what_is_only_said_again_stands_once(own_hub: Hub) -> None:
    box = province.Box(province.roster(), "s0001-agent", "d" * 16)
    box.write(JournalOpened("start", previous_epoch=f"{1:016x}"), NOW_MS)
    since_ms = NOW_MS - 3_600_000
    fault = DiagnosisChanged("router-dead", "router", since_ms, 0.9, Sentence("Lỗi lặp", "Again"), Sentence("", ""))
    fine = DiagnosisChanged("fine", "", NOW_MS, 1.0, province.FINE, Sentence("", ""))
    for said in (fault, fault, fine, fine, fault):
        box.write(said, NOW_MS)
    own_hub.store.ingest([box.batch()])
    assert _plain(await _text(own_hub, "/communes/s0001")).count("Lỗi lặp") == 3, "its standing, and twice in its past"


def test_a_seeded_store_is_one_that_ingest_made(tmp_path_factory: pytest.TempPathFactory) -> None:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('seed')}/hub.db")
    assert isinstance(province.seed(database, now_ms=NOW_MS, minutes=2), Store)
    database.close()
