"""What every page has: the language one chose, headers that hold, and our own files only."""

import re
import unicodedata
from pathlib import Path

import pytest

from tests.web.room import Room
from web.pages import local_path
from web.static_files import StaticFiles


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_vietnamese_first_and_english_when_chosen(room: Room) -> None:
    async with room.browser() as browser:
        page = await browser.get("/sign-in")
        assert '<html lang="vi">' in page.text
        assert page.headers["content-language"] == "vi"
        assert "Đăng nhập" in page.text
        assert unicodedata.is_normalized("NFC", page.text)
        chosen = await browser.get("/language/en", params={"back": "/sign-in"})
        assert (chosen.status_code, chosen.headers["location"]) == (303, "/sign-in")
        assert "<h1>Sign in</h1>" in (await browser.get("/sign-in")).text
        await browser.get("/language/klingon")
        assert '<html lang="vi">' in (await browser.get("/sign-in")).text


async def test_every_answer_has_a_policy_that_lets_nothing_in(room: Room) -> None:
    async with room.browser() as browser:
        for path in ("/", "/sign-in", "/static/base.css", "/nothing/here"):
            headers = (await browser.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"


async def test_pages_are_kept_by_nobody(room: Room) -> None:
    async with room.browser() as browser:
        assert (await browser.get("/sign-in")).headers["cache-control"] == "no-store"


async def test_a_page_needs_nothing_from_elsewhere_and_no_inline_code(room: Room) -> None:
    async with room.browser() as browser:
        text = (await browser.get("/sign-in")).text
        links = re.findall(r'(?:href|src|action)="([^"]*)"', text)
        assert links
        assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)
        for link in links:
            if link.startswith("/static/"):
                file = await browser.get(link)
                assert file.status_code == 200
                assert "immutable" in file.headers["cache-control"]
                again = await browser.get(link, headers={"if-none-match": file.headers["etag"]})
                assert again.status_code == 304


@pytest.mark.parametrize("name", ["..%2fpages.py", "nothing.css", "%2e%2e%2f%2e%2e%2fpyproject.toml", "base.css%00"])
async def test_static_files_are_a_table_and_no_path(room: Room, name: str) -> None:
    async with room.browser() as browser:
        assert (await browser.get(f"/static/{name}")).status_code == 404


def test_style_sheets_name_only_files_that_are_there() -> None:
    static = StaticFiles()
    folder = Path(__file__).parents[2] / "web" / "static"
    for sheet in folder.glob("*.css"):
        for name in re.findall(r'url\("([^"]+)"\)', sheet.read_text()):
            assert static.link(name).startswith("/static/")


def test_local_paths_alone_are_followed() -> None:
    assert local_path("/communes/s0001?x=1") == "/communes/s0001?x=1"
    for elsewhere in ("//evil", "http://evil", "/\\evil", "evil", "", "/a\nb", "/a\u00e0"):
        assert local_path(elsewhere) == "/"
