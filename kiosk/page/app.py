"""The touch page's server: pictures out, presses in.

The page's address holds a key (256 random bits), since whoever can press can vote: without it every path answers 404,
but those of the static files. Bodies must be JSON, so that no form elsewhere can press. A press is answered only once
it is on disk, under the name that the page gave it; offered again, it is answered again and stored once. Presses faster
than fingers are told to come later (429), so that whoever has the key cannot fill the disk. When the kiosk is away, the
page keeps presses in the browser's own store (kiosk/page/static/touch.js).

What follows a low rating is sent to the page that was touched alone: a page open elsewhere must not show how somebody
voted.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import jinja2
import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from bus.errors import UnavailableError
from bus.texts import msgid, translator
from kiosk.ballots import Ballot
from kiosk.booth import Booth
from kiosk.flow import Prompt
from kiosk.page.pace import Pace
from kiosk.page.prompt_files import PromptFiles
from kiosk.panel.session import Known
from kiosk.picture import Picture
from web import problems
from web.headers import SafeHeaders
from web.problems import ProblemError, problem
from web.static_files import StaticFiles

_FOLDER: Final = Path(__file__).parent
# What speakers call their own language; the code where we do not know it. Each has its mark in the page (`tongue-...`).
LANGUAGE_NAMES: Final = {
    "vi": "Tiếng Việt",
    "en": "English",
    "mtq": "Mường",
    "tyz": "Tày",
    "nut": "Nùng",
    "hmn": "Hmoob",
    "tai": "Thái",
}
_BODY_LIMIT: Final = 4096
_PING_S: Final = 5.0
_LONGEST_AGE_MS: Final = 31 * 86_400_000
_CLIENT: Final = r"^[a-z0-9]{4,16}$"
# Two presses a second, and at once what a page may have kept while the kiosk was away.
_PRESSES_A_S: Final = 2.0
_PRESSES_AT_ONCE: Final = 500

S = TypeVar("S", bound=Struct)


class TouchPress(Struct, forbid_unknown_fields=True):
    """A touch: which page, which load of it, which press; `age_ms` since the finger.

    `age_unsure`: the page has not measured that age by its own timer, or its clocks differ about it.
    """

    client: Annotated[str, Meta(pattern=_CLIENT)]
    boot: Annotated[str, Meta(pattern=r"^[0-9A-F]{8}$")]
    seq: Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
    level: Annotated[int, Meta(ge=1, le=5)]
    levels: Annotated[int, Meta(ge=3, le=5)]
    age_ms: Annotated[int, Meta(ge=0, le=_LONGEST_AGE_MS)]
    age_unsure: bool = False

    def __post_init__(self) -> None:
        if self.level > self.levels:
            raise ValueError(f"level {self.level} of {self.levels}")

    @property
    def name(self) -> str:
        """The press's name for ever."""
        return f"{_page_name(self.client)}/{self.boot}/{self.seq}"


class TouchReason(Struct, forbid_unknown_fields=True):
    """A reason for a press of this page."""

    press: Annotated[str, Meta(max_length=64)]
    reason: Annotated[str, Meta(max_length=32)]


class TouchLanguage(Struct, forbid_unknown_fields=True):
    """The language touched."""

    language: Annotated[str, Meta(max_length=3)]


@dataclass(slots=True, eq=False)
class _Stream:
    """One open page: what it has been sent last and is to be told; no more than the newest of each is held."""

    page: str
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sent: Picture | None = None
    prompt: Prompt | None = None
    closing: bool = False


class TouchPage:
    """One page on one booth. `prompts` are for a page that is to sound itself; None where the kiosk does."""

    def __init__(self, booth: Booth, key: str, *, prompts: PromptFiles | None) -> None:
        self._booth = booth
        self._key = key
        self._prompts = prompts
        self._static = StaticFiles(_FOLDER / "static")
        loader = jinja2.FileSystemLoader(_FOLDER / "templates")
        self._templates = jinja2.Environment(loader=loader, autoescape=True)
        self._streams: set[_Stream] = set()
        self._pace = Pace(_PRESSES_A_S, _PRESSES_AT_ONCE)
        booth.on_picture(lambda _: self._wake())
        booth.on_prompt(self._prompted)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/static/{name}", self._static.serve),
                Route("/{key}/", self._page),
                Route("/{key}/events", self._events),
                Route("/{key}/presses", self._press, methods=["POST"]),
                Route("/{key}/reasons", self._reason, methods=["POST"]),
                Route("/{key}/skip", self._skip, methods=["POST"]),
                Route("/{key}/language", self._language, methods=["POST"]),
                Route("/{key}/prompts/{language}/{name}.wav", self._prompt),
                Route("/{key}/worker.js", self._worker),
            ],
            middleware=[Middleware(SafeHeaders, secure=False)],
            exception_handlers={ProblemError: _refused, HTTPException: _not_found},
        )

    def close(self) -> None:
        """End the streams, so that the server need not wait for them."""
        for stream in self._streams:
            stream.closing = True
        self._wake()

    async def _page(self, request: Request) -> Response:
        self._open(request)
        text = self._templates.get_template("touch.html").render(
            static=self._static.link,
            language=self._booth.picture.language,
            start=msgspec.json.encode(
                {
                    "picture": self._booth.picture,
                    "thanks_s": self._booth.settings.thanks_s,
                    "thanks": {language: _thanks(language) for language in self._booth.settings.languages},
                    "sounds": self._prompts is not None,
                }
            )
            .decode()
            .replace("<", "\\u003c"),
            languages=[
                (language, _name(language), language if language in LANGUAGE_NAMES else "other")
                for language in self._booth.settings.languages
            ],
        )
        return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

    async def _worker(self, request: Request) -> Response:
        self._open(request)
        script = (_FOLDER / "static" / "worker.js").read_text()
        files = [self._static.link(name) for name in ("touch.css", "touch.js", "base.css")]
        script = f"const FILES = {msgspec.json.encode(files).decode()};\n{script}"
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    async def _press(self, request: Request) -> Response:
        self._open(request)
        press = await _read(request, TouchPress)
        if self._booth.box.known(press.name) is Known.NEW and (wait_s := self._pace.take(self._booth.now_ms())):
            raise ProblemError(
                problem(429, "pace", "Too many presses", "no finger is that fast; send it again later"),
                headers={"Retry-After": str(ceil(wait_s))},
            )
        pressed_ms = self._booth.now_ms() - press.age_ms
        ballot = Ballot(press.name, "touch", press.level, press.levels, pressed_ms, age_unsure=press.age_unsure)
        try:
            new = await self._booth.put(ballot)
        except UnavailableError as error:
            raise ProblemError(
                problem(503, "disk", "The press could not be saved", f"{error}; send it again")
            ) from error
        return _json({"stored": True, "press": press.name, "new": new})

    async def _reason(self, request: Request) -> Response:
        self._open(request)
        given = await _read(request, TouchReason)
        self._booth.reason(given.press, given.reason)
        return Response(status_code=204)

    async def _skip(self, request: Request) -> Response:
        self._open(request)
        await _read(request, Struct)
        self._booth.skip()
        return Response(status_code=204)

    async def _language(self, request: Request) -> Response:
        self._open(request)
        self._booth.language((await _read(request, TouchLanguage)).language)
        return Response(status_code=204)

    async def _prompt(self, request: Request) -> Response:
        self._open(request)
        wav = None
        if self._prompts is not None:
            wav = self._prompts.wav(request.path_params["language"], request.path_params["name"])
        if wav is None:
            raise HTTPException(404)
        return Response(wav, media_type="audio/wav", headers={"Cache-Control": "no-store"})

    async def _events(self, request: Request) -> Response:
        self._open(request)
        stream = _Stream(_page_name(request.query_params.get("client", "")))
        return StreamingResponse(
            self._stream(stream), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _stream(self, stream: _Stream) -> AsyncIterator[bytes]:
        self._streams.add(stream)
        try:
            while not stream.closing:
                stream.changed.clear()
                picture, prompt = self._booth.picture_for(stream.page), stream.prompt
                if picture != stream.sent:
                    stream.sent = picture
                    yield _event("picture", picture)
                if prompt is not None:
                    stream.prompt = None
                    yield _event("prompt", prompt)
                try:
                    await asyncio.wait_for(stream.changed.wait(), _PING_S)
                except TimeoutError:
                    # The page takes a kiosk that says nothing for three of these as away.
                    yield b"event: ping\ndata: {}\n\n"
        finally:
            self._streams.discard(stream)

    def _prompted(self, prompt: Prompt) -> None:
        for stream in self._streams:
            stream.prompt = prompt
        self._wake()

    def _wake(self) -> None:
        for stream in self._streams:
            stream.changed.set()

    def _open(self, request: Request) -> None:
        """A wrong key finds nothing: it does not even learn that there is a kiosk."""
        if not hmac.compare_digest(request.path_params["key"].encode(), self._key.encode()):
            raise HTTPException(404)


async def _read(request: Request, struct: type[S]) -> S:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ProblemError(problem(415, "body", "JSON is wanted", "send Content-Type: application/json"))
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise ProblemError(problem(413, "body", "The body is too long", f"{_BODY_LIMIT} bytes at most"))
    try:
        return msgspec.json.decode(body, type=struct)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProblemError(problem(400, "body", "The body does not hold", str(error))) from error


def _page_name(client: str) -> str:
    """How the names of this page's presses begin."""
    return f"touch-{client}"


def _event(name: str, value: Picture | Prompt) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))


def _json(value: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def _thanks(language: str) -> str:
    return translator(language).gettext(msgid("Thank you! Your answer has been recorded."))


def _name(language: str) -> str:
    return LANGUAGE_NAMES.get(language, language.upper())


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return problems.answer(error.problem, headers=error.headers)


async def _not_found(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problems.answer(problems.from_http(error), headers=error.headers)
