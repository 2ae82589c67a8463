"""The hub's web application: the API for machines and the pages for people, over one store.

What is not found or breaks is answered in the asker's kind: below `/api` and for `/metrics` and `/healthz` a problem
document, elsewhere a page in the reader's language. A store that does not answer is a 503, said plainly; a fault of
ours is a 500, logged with its trace, and shows nobody anything of it.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bus.errors import UnavailableError
from bus.logs import fields
from bus.texts import msgid
from hub.api.resource import Api
from hub.api.routes import routes as api_routes
from hub.api.tokens import Tokens
from hub.config import RATINGS, RatingsConfig
from hub.database import Database
from hub.pages.board import Board
from hub.pages.ratings import RatingPages
from web import pages, problems
from web.headers import SafeHeaders
from web.pages import Look, NavLink, Pages
from web.problems import ProblemError, problem
from web.sessions import Sessions
from web.sign_in import SignIn
from web.static_files import StaticFiles
from web.users import Users

log = logging.getLogger("web")

_FOLDER = Path(__file__).parent
_FOR_MACHINES = ("/api/", "/metrics", "/healthz")
_MAX_BODY = 64 * 1024

LOOK = Look(
    title=msgid("Province overview"),
    menu=(
        NavLink("/", msgid("Overview")),
        NavLink("/outages", msgid("Outages")),
        NavLink("/availability", msgid("Availability")),
        NavLink("/ratings", msgid("Ratings")),
    ),
    styles=("hub.css",),
)


def create_app(
    *,
    database: Database,
    users: Path,
    tokens: Path,
    metrics: Callable[[], bytes],
    sessions: Path | None = None,
    secure: bool = False,
    silent_after_s: int = 90,
    ratings: RatingsConfig = RATINGS,
    now_s: Callable[[], float] = time.time,
) -> Starlette:
    """Compose it. `users` and `tokens` are files that may come to be later: until then nobody gets in.

    `metrics` gives the text for Prometheus, and is called in a thread. `sessions` is a file that the hub alone writes.
    `secure` says that browsers come by TLS.
    """
    static = StaticFiles(_FOLDER / "static")
    shown = Pages(LOOK, static, _FOLDER / "templates", now_s=now_s, secure=secure)
    sign_in = SignIn(Users(users), Sessions(sessions, now_s=now_s), shown, secure=secure)
    api = Api(database, Tokens(tokens), now_s, silent_after_s, ratings)
    board = Board(database, shown, now_s=now_s, silent_after_s=silent_after_s)
    refusals = _Refusals(shown)
    app = Starlette(
        routes=[
            *api_routes(api, metrics),
            Route("/static/{name}", static.serve),
            Route("/language/{code}", shown.choose_language),
            *sign_in.routes(),
            *board.routes(sign_in),
            *RatingPages(api, shown).routes(sign_in),
        ],
        middleware=[Middleware(SafeHeaders, secure=secure)],
        exception_handlers={
            HTTPException: refusals.refused,
            ProblemError: _problem,
            UnavailableError: refusals.store_away,
            PoolTimeoutError: refusals.store_away,
            Exception: refusals.broken,
        },
        max_body_size=_MAX_BODY,
    )
    # Its redirect would be built from the Host header, which is the asker's to choose.
    app.router.redirect_slashes = False
    return app


class _Refusals:
    """Answers to what cannot be answered."""

    def __init__(self, shown: Pages) -> None:
        self._pages = shown

    async def refused(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if _for_machines(request):
            return problems.answer(problems.from_http(error), headers=error.headers)
        response = self._page(request, error.status_code)
        response.headers.update(error.headers or {})
        return response

    async def store_away(self, request: Request, error: Exception) -> Response:
        log.error("store does not answer %s", fields(path=request.url.path, error=str(error).split("\n")[0]))
        if _for_machines(request):
            answer = problem(503, "store", "The store does not answer", "nothing is lost; try again in a minute")
            return problems.answer(answer, headers={"Retry-After": "30"})
        return self._page(request, 503)

    async def broken(self, request: Request, error: Exception) -> Response:
        log.error("BUG: request broke %s", fields(path=request.url.path), exc_info=error)
        if _for_machines(request):
            return problems.answer(problem(500, "internal", "A fault of the hub", "it is in the hub's log"))
        return self._page(request, 500)

    def _page(self, request: Request, status: int) -> Response:
        title = pages.TITLES.get(status, msgid("That did not work"))
        return self._pages.problem(request, status, title, pages.DETAILS.get(status, ""))


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return problems.answer(error.problem, headers=error.headers)


def _for_machines(request: Request) -> bool:
    return request.url.path.startswith(_FOR_MACHINES)
