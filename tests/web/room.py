"""A small part with pages of its own, for tests of what all parts share."""

from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from web.headers import SafeHeaders
from web.pages import Look, NavLink, Pages
from web.sessions import Sessions
from web.sign_in import SignIn
from web.static_files import StaticFiles
from web.users import User, Users, put_user

PASSWORD = "mot-hai-ba-bon-nam"
ORIGIN = "http://hub.test"


class Room:
    """The application, its files, and browsers to visit it with."""

    def __init__(self, folder: Path, *, secure: bool = False) -> None:
        self.users = folder / "users.toml"
        put_user(self.users, name="an", password=PASSWORD, shown="Nguyễn Văn An", roles=["leader"])
        put_user(self.users, name="binh", password=PASSWORD + "x", roles=[])
        self.monotonic = 0.0
        static = StaticFiles()
        look = Look(title="Overview", menu=(NavLink("/", "Overview"),))
        pages = Pages(look, static, secure=secure)
        sign_in = SignIn(Users(self.users), Sessions(None), pages, secure=secure, monotonic_s=lambda: self.monotonic)

        async def inside(request: Request, user: User) -> Response:
            return PlainTextResponse(f"hello {user.name}")

        async def act(request: Request, user: User) -> Response:
            fields = await sign_in.form(request)
            return PlainTextResponse(f"{user.name} did {fields['what']}")

        self.secure = secure
        self.app = Starlette(
            routes=[
                Route("/", sign_in.required(inside)),
                Route("/leaders", sign_in.required(inside, role="leader")),
                Route("/act", sign_in.required(act), methods=["POST"]),
                Route("/static/{name}", static.serve),
                Route("/language/{code}", pages.choose_language),
                *sign_in.routes(),
            ],
            middleware=[Middleware(SafeHeaders, secure=secure)],
        )

    def browser(self) -> httpx.AsyncClient:
        base = ORIGIN.replace("http", "https") if self.secure else ORIGIN
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=base)
