"""Signing in and out, and the guard before every page.

A page is wrapped by `SignIn.required` and gets the person; without a session the reader is asked to sign in and comes
back to where they were. Cookies are HttpOnly and SameSite=Strict, Secure and `__Host-` where TLS is on. Every POST
carries a token that only a page of ours can have put there, and an Origin that is ours (RFC 6454) where the browser
sends one. Wrong passwords cost time (`web.throttle`); the answer never says whether the name exists.
"""

import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, quote

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bus.logs import fields
from bus.texts import msgid
from web.pages import Pages, local_path
from web.sessions import Sessions, form_token, form_token_holds
from web.throttle import Throttle
from web.users import User, Users

log = logging.getLogger("signin")

MAX_FORM_BYTES: Final = 16 * 1024
WRONG: Final = msgid("Wrong name or password.")
SLOW_DOWN: Final = msgid("Too many wrong tries. Wait {wait}, then try again.")
STALE: Final = msgid("This page had been open too long. Please try again.")

Page = Callable[[Request, User], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class SignIn:
    """Knows who is there. One for a part."""

    def __init__(
        self,
        users: Users,
        sessions: Sessions,
        pages: Pages,
        *,
        secure: bool,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._pages = pages
        self._secure = secure
        self._monotonic_s = monotonic_s
        self.throttle = Throttle()
        # Each check takes 16 MiB: two at a time, the rest queue.
        self._checking = anyio.CapacityLimiter(2)
        prefix = "__Host-" if secure else ""
        self._session_cookie = f"{prefix}ce_session"
        self._form_cookie = f"{prefix}ce_form"

    def routes(self) -> list[Route]:
        """Sign-in and sign-out."""
        return [
            Route("/sign-in", self._show, methods=["GET"]),
            Route("/sign-in", self._submit, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
        ]

    def required(self, page: Page, *, role: str | None = None) -> Endpoint:
        """`page`, for signed-in people only; of `role` only, where one is named."""

        async def guarded(request: Request) -> Response:
            user = self._who(request)
            if user is None:
                return self._ask(request)
            if role is not None and role not in user.roles:
                raise HTTPException(403)
            return await page(request, user)

        return guarded

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a POST by a signed-in person; 403 where it did not come from a page of ours."""
        return await self._read_form(request, request.cookies.get(self._session_cookie, ""))

    def _who(self, request: Request) -> User | None:
        token = request.cookies.get(self._session_cookie, "")
        session = self._sessions.find(token) if token else None
        user = self._users.get(session.user) if session else None
        if session is None or user is None or user.fingerprint != session.fingerprint:
            return None
        request.state.user = user
        request.state.form_token = form_token(token)
        return user

    def _ask(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(403)
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A link in a mail or an alert: Strict cookies stay away on the first step. One step of our own brings them.
            return self._pages.render(request, "come_in.html")
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/sign-in?next={quote(request.url.path + query, safe='')}", 303)

    async def _show(self, request: Request) -> Response:
        onward = local_path(request.query_params.get("next", "/"))
        if self._who(request) is not None:
            return RedirectResponse(onward, 303)
        return self._form_page(request, onward)

    async def _submit(self, request: Request) -> Response:
        try:
            form = await self._read_form(request, request.cookies.get(self._form_cookie, ""))
        except HTTPException as error:
            if error.status_code != 403:
                raise
            return self._form_page(request, "/", message=STALE, status=403)
        onward = local_path(form.get("next", "/"))
        name = form.get("name", "").strip().lower()
        address = request.client.host if request.client else "?"
        wait_s = self.throttle.wait_s(address=address, name=name, now_s=self._monotonic_s())
        if wait_s > 0:
            log.warning("sign-in held back %s", fields(address=address, wait_s=math.ceil(wait_s)))
            return self._form_page(request, onward, message=SLOW_DOWN, status=429, wait_s=math.ceil(wait_s))
        async with self._checking:
            user = await anyio.to_thread.run_sync(self._users.check, name, form.get("password", ""))
        if user is None:
            self.throttle.wrong(address=address, name=name, now_s=self._monotonic_s())
            log.warning("sign-in refused %s", fields(address=address))
            return self._form_page(request, onward, message=WRONG, status=403)
        self.throttle.right(address=address, name=name)
        log.info("signed in %s", fields(user=user.name, address=address))
        response = RedirectResponse(onward, 303)
        self._set(response, self._session_cookie, self._sessions.start(user))
        response.delete_cookie(self._form_cookie, path="/", secure=self._secure, httponly=True, samesite="strict")
        return response

    async def _sign_out(self, request: Request) -> Response:
        if self._who(request) is not None:
            await self.form(request)
            self._sessions.end(request.cookies[self._session_cookie])
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(self._session_cookie, path="/", secure=self._secure, httponly=True, samesite="strict")
        return response

    def _form_page(
        self, request: Request, onward: str, *, message: str = "", status: int = 200, wait_s: int = 0
    ) -> Response:
        cookie = request.cookies.get(self._form_cookie) or secrets.token_urlsafe(32)
        request.state.user = None
        request.state.form_token = form_token(cookie)
        nobody = not self._users.all()
        response: Response = self._pages.render(
            request, "sign_in.html", status=status, onward=onward, message=message, wait_s=wait_s, nobody=nobody
        )
        self._set(response, self._form_cookie, cookie)
        if wait_s:
            response.headers["Retry-After"] = str(wait_s)
        return response

    async def _read_form(self, request: Request, cookie: str) -> dict[str, str]:
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            raise HTTPException(403)
        body = await _read_body(request)
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
        except ValueError as error:
            raise HTTPException(400) from error
        if not form_token_holds(cookie, form.get("form_token", "")):
            raise HTTPException(403)
        return form

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, path="/", secure=self._secure, httponly=True, samesite="strict")


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise HTTPException(413)
    return body
