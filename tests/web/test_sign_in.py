"""Signing in, as a browser does it, and as somebody does who should not get in."""

import re
from pathlib import Path

import httpx
import pytest

from tests.web.room import PASSWORD, Room
from web.throttle import FREE_BY_NAME
from web.users import drop_user, put_user


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def _sign_in(
    browser: httpx.AsyncClient, name: str = "an", password: str = PASSWORD, *, onward: str = "/"
) -> httpx.Response:
    page = await browser.get("/sign-in", params={"next": onward})
    form = dict(re.findall(r'name="(form_token|next)" value="([^"]*)"', page.text))
    return await browser.post("/sign-in", data={**form, "name": name, "password": password})


async def test_a_page_asks_for_sign_in_and_comes_back_to_where_one_was(room: Room) -> None:
    async with room.browser() as browser:
        asked = await browser.get("/leaders", params={"x": "1"})
        assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=%2Fleaders%3Fx%3D1")
        entered = await _sign_in(browser, onward="/leaders?x=1")
        assert (entered.status_code, entered.headers["location"]) == (303, "/leaders?x=1")
        assert (await browser.get("/leaders")).text == "hello an"


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(tmp_path: Path) -> None:
    for secure in (False, True):
        room = Room(tmp_path, secure=secure)
        async with room.browser() as browser:
            entered = await _sign_in(browser)
            cookies = entered.headers.get_list("set-cookie")
            session = next(cookie for cookie in cookies if "ce_session" in cookie)
            assert "HttpOnly" in session
            assert "SameSite=strict" in session
            assert "Path=/" in session
            assert ("Secure" in session and session.startswith("__Host-")) == secure
            assert ("strict-transport-security" in entered.headers) == secure


@pytest.mark.parametrize(("name", "password"), [("an", "wrong"), ("nobody", PASSWORD), ("", ""), ("binh", PASSWORD)])
async def test_wrong_names_and_passwords_get_one_and_the_same_answer(room: Room, name: str, password: str) -> None:
    async with room.browser() as browser:
        refused = await _sign_in(browser, name, password)
        assert refused.status_code == 403
        assert "Sai tên hoặc mật khẩu" in refused.text
        assert (await browser.get("/")).status_code == 303


async def test_guessing_is_slowed_and_even_the_right_password_waits(room: Room) -> None:
    async with room.browser() as browser:
        for _ in range(FREE_BY_NAME):
            assert (await _sign_in(browser, password="wrong")).status_code == 403
        held = await _sign_in(browser)
        assert held.status_code == 429
        assert int(held.headers["retry-after"]) >= 1
        room.monotonic += 10
        assert (await _sign_in(browser)).status_code == 303


async def test_a_form_that_did_not_come_from_our_page_is_refused(room: Room) -> None:
    async with room.browser() as browser:
        bare = await browser.post("/sign-in", data={"name": "an", "password": PASSWORD})
        assert bare.status_code == 403
        await _sign_in(browser)
        assert (await browser.post("/act", data={"what": "harm"})).status_code == 403
        page = await browser.get("/sign-in?next=/")
        assert page.status_code == 303  # already in


async def test_a_post_needs_the_token_of_its_own_session_and_our_origin(room: Room) -> None:
    async with room.browser() as browser, room.browser() as other:
        await _sign_in(browser)
        await _sign_in(other, "binh", PASSWORD + "x")
        mine, theirs = await _form_token(browser), await _form_token(other)
        assert (await browser.post("/act", data={"what": "good", "form_token": theirs})).status_code == 403
        foreign = {"origin": "http://evil.test"}
        refused = await browser.post("/act", data={"what": "good", "form_token": mine}, headers=foreign)
        assert refused.status_code == 403
        done = await browser.post(
            "/act", data={"what": "good", "form_token": mine}, headers={"origin": "http://hub.test"}
        )
        assert done.text == "an did good"


async def _form_token(browser: httpx.AsyncClient) -> str:
    from web.sessions import form_token

    return form_token(browser.cookies["ce_session"])


async def test_a_role_is_needed_where_one_is_named(room: Room) -> None:
    async with room.browser() as browser:
        await _sign_in(browser, "binh", PASSWORD + "x")
        assert (await browser.get("/")).text == "hello binh"
        assert (await browser.get("/leaders")).status_code == 403


async def test_signing_out_ends_the_session_at_the_server(room: Room) -> None:
    async with room.browser() as browser:
        await _sign_in(browser)
        stolen = browser.cookies["ce_session"]
        out = await browser.post("/sign-out", data={"form_token": await _form_token(browser)})
        assert out.status_code == 303
        async with room.browser() as thief:
            thief.cookies["ce_session"] = stolen
            assert (await thief.get("/")).status_code == 303


async def test_a_new_password_or_none_ends_the_old_sessions(room: Room) -> None:
    async with room.browser() as browser:
        await _sign_in(browser)
        put_user(room.users, name="an", password="quite another one", roles=["leader"])
        assert (await browser.get("/")).status_code == 303
        await _sign_in(browser, password="quite another one")
        assert (await browser.get("/")).status_code == 200
        drop_user(room.users, "an")
        assert (await browser.get("/")).status_code == 303


@pytest.mark.parametrize(
    "onward", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:x", "/%0d%0aX: y\r\n", ""]
)
async def test_nobody_is_sent_elsewhere(room: Room, onward: str) -> None:
    async with room.browser() as browser:
        entered = await _sign_in(browser, onward=onward)
        assert entered.status_code == 303
        where = entered.headers["location"]
        assert where.startswith("/")
        assert not where.startswith(("//", "/\\"))
        assert "\n" not in where


async def test_a_link_from_elsewhere_comes_in_by_one_step_of_our_own(room: Room) -> None:
    async with room.browser() as browser:
        page = await browser.get("/leaders", headers={"sec-fetch-site": "cross-site"})
        assert page.status_code == 200
        assert 'http-equiv="refresh"' in page.text
        assert "hello" not in page.text


async def test_a_form_too_large_is_refused(room: Room) -> None:
    async with room.browser() as browser:
        assert (await browser.post("/sign-in", content=b"x" * 100_000)).status_code == 413
        assert (await browser.post("/sign-in", content=b"\xff\xfe=1&" * 3)).status_code in (400, 403)
        many = "&".join("a=1" for _ in range(200))
        assert (await browser.post("/sign-in", content=many.encode())).status_code in (400, 403)


async def test_the_first_account_is_asked_for_where_there_is_none(room: Room) -> None:
    room.users.unlink()
    async with room.browser() as browser:
        assert "Chưa có tài khoản nào" in (await browser.get("/sign-in")).text
