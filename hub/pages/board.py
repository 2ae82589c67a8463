"""The pages: overview, a commune, outages, availability. Each is one consistent read, then a template."""

import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

import anyio.to_thread
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bus.errors import WrongInputError
from bus.identifiers import check_name
from hub import availability, queries
from hub.api.resource import Asked
from hub.api.resources import links
from hub.availability import LineMonth, Month
from hub.database import Database
from hub.pages import words
from hub.standing import Facts, Standing, State, by_urgency, stand
from web.pages import Pages
from web.sign_in import SignIn
from web.users import User

T = TypeVar("T")

HISTORY: Final = 30
OUTAGES_HERE: Final = 30
OUTAGES_ALL: Final = 300
OUTAGE_DAYS: Final = 31
JOURNALS: Final = 40
MONTHS: Final = 6
DAY_MS: Final = 86_400_000
_STATES: Final = [state.value for state in State]


class Board:
    """All pages of the hub."""

    def __init__(self, database: Database, pages: Pages, *, now_s: Callable[[], float], silent_after_s: int) -> None:
        self._database = database
        self._pages = pages
        self._now_s = now_s
        self._silent_after_s = silent_after_s

    def routes(self, sign_in: SignIn) -> list[Route]:
        """Every page, behind sign-in."""
        return [
            Route("/", sign_in.required(self.overview)),
            Route("/communes/{site}", sign_in.required(self.commune)),
            Route("/outages", sign_in.required(self.outages)),
            Route("/availability", sign_in.required(self.availability)),
        ]

    async def overview(self, request: Request, _user: User) -> Response:
        """Every commune: what is wrong, since when, last seen; the silent first."""
        now_ms = self._now_ms()
        facts, names = await self._read(lambda connection: (queries.facts(connection), queries.site_names(connection)))
        standings = sorted((self._stand(one, now_ms) for one in facts), key=by_urgency)
        wanted = request.query_params.get("state", "")
        sought = request.query_params.get("q", "").strip()[:100]
        shown = [one for one in standings if (wanted not in _STATES or one.state == wanted) and _matches(one, sought)]
        return self._pages.render(
            request,
            "overview.html",
            province=_province(names),
            counts=Counter(one.state.value for one in standings),
            total=len(standings),
            cases=[one for one in shown if one.state is not State.FINE],
            fine=[one for one in shown if one.state is State.FINE],
            wanted=wanted if wanted in _STATES else "",
            sought=sought,
            states=_STATES,
            words=words,
        )

    async def commune(self, request: Request, user: User) -> Response:
        """One commune: its standing, lines, outages, diagnoses, devices, availability and journals."""
        now_ms = self._now_ms()
        try:
            site = check_name(request.path_params["site"], what="site")
        except WrongInputError as error:
            raise HTTPException(404) from error
        raw = "ratings-raw" in user.roles
        found = await self._read(lambda connection: self._read_commune(connection, site, now_ms, raw=raw))
        if found is None:
            raise HTTPException(404)
        return self._pages.render(request, "commune.html", words=words, silent_s=self._silent_after_s, **found)

    async def outages(self, request: Request, _user: User) -> Response:
        """What is down now, and what was lately."""
        since_ms = self._now_ms() - OUTAGE_DAYS * DAY_MS
        rows = await self._read(
            lambda connection: queries.outages(connection, since_ms=since_ms, limit=OUTAGES_ALL + 1)
        )
        return self._pages.render(
            request,
            "outages.html",
            open_now=[row for row in rows if row.ended_ms is None],
            ended=[row for row in rows[:OUTAGES_ALL] if row.ended_ms is not None],
            more=len(rows) > OUTAGES_ALL,
            days=OUTAGE_DAYS,
            words=words,
        )

    async def availability(self, request: Request, _user: User) -> Response:
        """One month: by provider, then by commune and line, the worst first; observed time beside each figure."""
        now_ms = self._now_ms()
        this_month = Month.at(now_ms)
        try:
            month = Month.of(request.query_params.get("month") or this_month.name)
        except WrongInputError as error:
            raise HTTPException(404) from error
        lines, names = await self._read(
            lambda connection: (
                availability.read_month(connection, month, now_ms=now_ms),
                {one.site: one for one in queries.site_names(connection)},
            )
        )
        lines = sorted((line for line in lines if line.site in names), key=_worst_first)
        return self._pages.render(
            request,
            "availability.html",
            month=month,
            earlier=month.before().name,
            later=Month.at(month.end_ms).name if month.end_ms <= now_ms else "",
            providers=availability.by_provider(lines),
            lines=lines,
            names=names,
            province=_province(list(names.values())),
        )

    def _read_commune(self, connection: Connection, site: str, now_ms: int, *, raw: bool) -> dict[str, Any] | None:
        facts = queries.facts(connection, only=site)
        if not facts:
            return None
        month, months = Month.at(now_ms), []
        for _ in range(MONTHS):
            months += availability.read_month(connection, month, sites=[site], now_ms=now_ms)
            month = month.before()
        asked = Asked(links.LinkParams(site=site), None, 1000, now_ms, self._silent_after_s)
        return {
            "standing": self._stand(facts[0], now_ms),
            "name": next(one for one in queries.site_names(connection) if one.site == site),
            "evidence": queries.evidence(connection, site),
            "history": queries.history(connection, site, limit=HISTORY),
            "outages": queries.outages(connection, of_site=site, limit=OUTAGES_HERE),
            "devices": queries.devices(connection, site, raw=raw),
            "journals": queries.journals(connection, site, limit=JOURNALS, raw=raw),
            "links": [link for _, link in links.read(connection, asked)],
            "months": months,
        }

    def _stand(self, facts: Facts, now_ms: int) -> Standing:
        return stand(facts, now_ms=now_ms, silent_after_s=self._silent_after_s)

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)

    async def _read(self, what: Callable[[Connection], T]) -> T:
        def in_thread() -> T:
            with self._database.read() as connection:
                return what(connection)

        return await anyio.to_thread.run_sync(in_thread)


def fold(text: str) -> str:
    """Letters without their marks, lower case: "muong lat" finds Mường Lát."""
    plain = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(character for character in plain if not unicodedata.combining(character))


def _matches(standing: Standing, sought: str) -> bool:
    facts = standing.facts
    return not sought or fold(sought) in fold(f"{facts.name} {facts.code} {facts.site}")


def _province(names: list[queries.SiteName]) -> str:
    """The province, where the roster names one and the same for all."""
    provinces = {name.province for name in names if name.province}
    return provinces.pop() if len(provinces) == 1 else ""


def _worst_first(line: LineMonth) -> tuple[float, str, str]:
    share = line.availability_pct
    return (101.0 if share is None else share), line.site, line.line
