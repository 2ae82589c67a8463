"""Pages: the templates of a part over the layout that all parts share, in the reader's language.

A part brings its own folder of templates; `base.html`, `error.html` and `sign_in.html` stand in `web/templates`. Every
value is escaped, and a name that a template misspells is an error, not a blank. The language is the reader's own
choice, kept in a cookie; Vietnamese until they choose (design decision 12).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bus.texts import DEFAULT_LANGUAGE, LANGUAGES, msgid, pick, translate
from web import times
from web.static_files import StaticFiles

LANGUAGE_COOKIE: Final = "ce_language"
_OWN: Final = Path(__file__).parent / "templates"
_A_YEAR_S: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class NavLink:
    """One entry of the menu. `text` is a key of the catalogue."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the layout says about a part: its title (a key of the catalogue), whose it is, and its menu."""

    title: str
    owner: str = ""
    menu: tuple[NavLink, ...] = ()
    styles: tuple[str, ...] = field(default=())


class Pages:
    """Renders the templates of one part."""

    def __init__(
        self, look: Look, static: StaticFiles, *folders: Path, now_s: Callable[[], float] = time.time, secure: bool
    ) -> None:
        self.look = look
        self.static = static
        self.secure = secure
        self.now_s = now_s
        self._by_language = {language: self._environment(language, (*folders, _OWN)) for language in LANGUAGES}

    def render(self, request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """The page `template`; the person and the form's token are those that `web.sign_in` left in the request."""
        environment = self._by_language[language_of(request)]
        state = request.scope.get("state", {})
        query = f"?{request.url.query}" if request.url.query else ""
        text = environment.get_template(template).render(
            here=request.url.path,
            back=request.url.path + query if request.method in ("GET", "HEAD") else "/",
            user=state.get("user"),
            form_token=state.get("form_token", ""),
            now_ms=int(self.now_s() * 1000),
            **values,
        )
        # Pages hold what only a signed-in person may see: nothing between us and them may keep one.
        return HTMLResponse(text, status, {"Cache-Control": "no-store", "Content-Language": language_of(request)})

    def problem(self, request: Request, status: int, title: str, detail: str = "") -> HTMLResponse:
        """A page that says what went wrong and what to do; both are keys of the catalogue."""
        return self.render(request, "error.html", status=status, status_code=status, title=title, detail=detail)

    async def choose_language(self, request: Request) -> Response:
        """Answer `/language/{code}`: remember the choice, and go back to the page it was made on."""
        response = RedirectResponse(local_path(request.query_params.get("back", "/")), 303)
        code = request.path_params["code"]
        response.set_cookie(
            LANGUAGE_COOKIE,
            code if code in LANGUAGES else DEFAULT_LANGUAGE,
            max_age=_A_YEAR_S,
            httponly=True,
            samesite="strict",
            secure=self.secure,
        )
        return response

    def _environment(self, language: str, folders: tuple[Path, ...]) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(folders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals.update(
            _=partial(translate, language),
            language=language,
            look=self.look,
            static=self.static.link,
            clock=lambda wall_ms: f"{times.local(wall_ms):%H:%M:%S}",
        )
        environment.filters.update(
            date=partial(times.date_text, language),
            decimal=lambda text: text if language == "en" else text.replace(".", ","),
            lasting=partial(times.length_text, language),
            month=partial(times.month_text, language),
            number=partial(_number_text, language),
            percent=partial(_percent_text, language),
            sentence=partial(pick, language),
            iso=lambda wall_ms: times.local(wall_ms).isoformat(timespec="seconds"),
        )
        environment.filters["moment"] = lambda wall_ms, now_ms: times.moment_text(language, wall_ms, now_ms=now_ms)
        return environment


def language_of(request: Request) -> str:
    """The reader's language."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, DEFAULT_LANGUAGE)
    return chosen if chosen in LANGUAGES else DEFAULT_LANGUAGE


def local_path(path: str) -> str:
    """`path` where it is one of this server, `/` otherwise: nobody is sent elsewhere by a link to us."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and path.startswith("/") and not path.startswith("//") else "/"


def _number_text(language: str, value: int) -> str:
    text = f"{value:,}"
    return text if language == "en" else text.replace(",", ".")


def _percent_text(language: str, value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}f}"
    return f"{text} %" if language == "en" else f"{text.replace('.', ',')} %"


TITLES: Final = {
    403: msgid("Not allowed"),
    404: msgid("Page not found"),
    405: msgid("Not possible here"),
    413: msgid("Too much was sent"),
    500: msgid("Something broke on our side"),
    503: msgid("Not available just now"),
}
DETAILS: Final = {
    403: msgid("Your account does not have the right for this. Ask whoever manages the accounts."),
    404: msgid("There is nothing at this address. Go back to the overview."),
    405: msgid("This page cannot be used in that way. Go back and try again."),
    413: msgid("What was sent is larger than this page takes."),
    500: msgid("The fault has been written to the log. Try again in a moment."),
    503: msgid("The store of data does not answer. Recording goes on in the communes; try again in a minute."),
}
