"""The pages of ratings: communes beside each other, a month of one commune to print, and single presses.

The first two show what `hub.ratings` lets be published and no more. Single presses ask for the role `ratings-raw`, and
each look is written to `audit` before anything is shown. Communes are put in order by the lower end of the interval,
and only those with a sample that is not small: a share without its n says nothing (docs/ratings.md).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from itertools import chain
from typing import Any, Final, TypeVar

import anyio.to_thread
from msgspec import structs
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bus.errors import WrongInputError
from bus.identifiers import check_name
from bus.texts import translate
from hub import queries
from hub.api.files import KINDS, all_items, answer
from hub.api.resource import Api, Asked, Resource, audit
from hub.api.resources import rating_summary, ratings
from hub.api.resources.rating_summary import SummaryParams
from hub.api.resources.ratings import Rating, RatingParams
from hub.availability import Month
from hub.pages import words
from hub.ratings import days, reads
from hub.ratings.figures import Share, Tally, share_of, sum_of
from hub.ratings.periods import date_of, day_at, day_of, start_ms
from hub.ratings.summary import DIMENSIONS, Closing, Cut, Summed, communes, parts
from hub.sheets import Sheet, TooManyRowsError
from web.pages import Pages, language_of
from web.sign_in import SignIn
from web.times import VIETNAM, date_text, month_text
from web.users import User

T = TypeVar("T")

ROLE: Final = "ratings-raw"
ROWS_SHOWN: Final = 500
RAW_DAYS: Final = 62
MONTHS: Final = 6
_FIRST_YEAR: Final = 2000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a page: days `first_ms` to `last_ms`, and the figures where they may be shown."""

    name: str
    first_ms: int
    last_ms: int
    tally: Tally | None
    raw: Share | None
    filtered: Share | None
    small: bool


@dataclass(frozen=True, slots=True)
class Level:
    """How many votes one level of a scale got."""

    name: str
    level: int
    raw: int
    filtered: int | None
    share: float


class RatingPages:
    """All pages of ratings."""

    def __init__(self, api: Api, pages: Pages) -> None:
        self._api = api
        self._pages = pages

    def routes(self, sign_in: SignIn) -> list[Route]:
        """Every page, behind sign-in; single presses behind their role."""
        found = [
            Route("/ratings", sign_in.required(self.communes)),
            Route("/ratings/raw", sign_in.required(self.raw, role=ROLE)),
            Route("/communes/{site}/ratings", sign_in.required(self.report)),
        ]
        for kind in KINDS:
            found += [
                Route(f"/ratings.{kind}", sign_in.required(partial(self.communes_file, kind=kind))),
                Route(f"/ratings/raw.{kind}", sign_in.required(partial(self.raw_file, kind=kind), role=ROLE)),
                Route(f"/communes/{{site}}/ratings.{kind}", sign_in.required(partial(self.report_file, kind=kind))),
            ]
        return found

    async def communes(self, request: Request, user: User) -> Response:
        """Every commune in one month: in order where the sample allows it, the others apart."""
        month = self._month(request)
        lines, names, closing = await self._read(
            lambda connection: (
                self._whole(connection, self._cut(month), reads.closing(connection, self._now_ms()), None),
                {name.site: name for name in queries.site_names(connection)},
                reads.closing(connection, self._now_ms()),
            )
        )
        figures = {
            line.cell[0]: self._figure(line, names[line.cell[0]].name) for line in lines if line.cell[0] in names
        }
        whole = sum_of(one.tally for one in figures.values() if one.tally is not None)
        # A sum that holds a figure withheld elsewhere would give it away.
        filtered = [one.tally for one in figures.values() if one.tally is not None and one.filtered is not None]
        shown = [(site, one) for site, one in figures.items() if one.raw is not None]
        return self._pages.render(
            request,
            "ratings.html",
            ranked=sorted((pair for pair in shown if not pair[1].small), key=_best_first),
            small=sorted((pair for pair in shown if pair[1].small), key=lambda pair: names[pair[0]].name),
            withheld=[names[site] for site, one in figures.items() if one.raw is None],
            without=[name for site, name in names.items() if site not in figures],
            whole=share_of(whole.counted),
            whole_filtered=share_of(sum_of(filtered).filtered),
            unfiltered=sum(one.raw is not None and one.filtered is None for one in figures.values()),
            pressed=whole.pressed,
            rules=self._api.ratings,
            may_raw=ROLE in user.roles,
            over=_last_day(month) < closing.today,
            **self._steps(month),
        )

    async def report(self, request: Request, user: User) -> Response:
        """One commune in one month, made to be printed."""
        site, month = _site(request), self._month(request)
        found = await self._read(lambda connection: self._read_report(connection, site, month))
        if found is None:
            raise HTTPException(404)
        language = language_of(request)
        return self._pages.render(
            request,
            "ratings_report.html",
            levels=self._levels(found["figure"], language),
            by_counter=_named(found.pop("by_counter")),
            by_officer=_named(found.pop("by_officer")),
            by_hour=[(f"{int(one.name)}:00 – {int(one.name) + 1}:00", one) for one in found.pop("by_hour")],
            by_period=[(self._days(one, language), one) for one in found.pop("by_period")],
            months=[(month_text(language, one.name), one) for one in found.pop("months")],
            rules=self._api.ratings,
            may_raw=ROLE in user.roles,
            over=_last_day(month) < day_at(self._now_ms()),
            **found,
            **self._steps(month),
        )

    async def raw(self, request: Request, user: User) -> Response:
        """Single presses of one commune, day by day; nothing is read or journaled before a commune is chosen."""
        site, first, last = self._chosen(request)
        names = await self._read(queries.site_names)
        rows: list[Rating] = []
        if site:
            if site not in {name.site for name in names}:
                raise HTTPException(404)
            await self._audit(request, user)
            rows = await anyio.to_thread.run_sync(self._rows, site, first, last)
        return self._pages.render(
            request,
            "ratings_raw.html",
            names=names,
            site=site,
            first=date_of(first).isoformat(),
            last=date_of(last).isoformat(),
            rows=[(_epoch_ms(row.pressed_at), row) for row in rows[:ROWS_SHOWN]],
            more=len(rows) > ROWS_SHOWN,
            most=ROWS_SHOWN,
            words=words,
        )

    async def communes_file(self, request: Request, _user: User, *, kind: str) -> Response:
        """The communes of a month, by day periods."""
        month = self._month(request)
        return await self._summary_file(request, [SummaryParams(by="commune")], month, kind)

    async def report_file(self, request: Request, _user: User, *, kind: str) -> Response:
        """A month of a commune, by period, then by counter, officer and hour: what its page shows."""
        site = _site(request)
        asked = [SummaryParams(by=by, site=site) for by in ("day", "counter", "officer", "hour")]
        return await self._summary_file(request, asked, self._month(request), kind)

    async def raw_file(self, request: Request, user: User, *, kind: str) -> Response:
        """The single presses that the page lists, all of them."""
        site, first, last = self._chosen(request)
        if not site:
            raise HTTPException(404)
        await self._audit(request, user)
        items = self._all(ratings.RESOURCE, _raw_params(site, first, last))
        return await _file(request, ratings.SHEET, items, kind, f"ratings-{site}-{date_of(first)}")

    async def _summary_file(
        self, request: Request, asked: Sequence[SummaryParams], month: Month, kind: str
    ) -> Response:
        first, last = date_of(day_at(month.start_ms)).isoformat(), date_of(_last_day(month)).isoformat()
        items = chain.from_iterable(
            self._all(rating_summary.RESOURCE, structs.replace(params, from_=first, to=last)) for params in asked
        )
        name = f"ratings-{asked[0].site or 'communes'}-{month.name}"
        return await _file(request, rating_summary.SHEET, items, kind, name)

    def _all(self, resource: Resource[Any, Any], params: Any) -> Iterable[Any]:
        asked = Asked(params, None, 2000, self._now_ms(), self._api.silent_after_s, self._api.ratings)
        return all_items(self._api.database, resource, asked)

    def _rows(self, site: str, first: int, last: int) -> list[Rating]:
        asked = Asked(_raw_params(site, first, last), None, ROWS_SHOWN + 1, self._now_ms(), self._api.silent_after_s)
        with self._api.database.read() as connection:
            return [row for _, row in ratings.RESOURCE.read(connection, asked)]

    async def _audit(self, request: Request, user: User) -> None:
        await anyio.to_thread.run_sync(audit, self._api, f"user {user.name}", request.url.path, request.url.query)

    def _read_report(self, connection: Connection, site: str, month: Month) -> dict[str, Any] | None:
        name = next((one for one in queries.site_names(connection) if one.site == site), None)
        if name is None:
            return None
        cut = self._cut(month)
        closing = reads.closing(connection, self._now_ms())
        rows = reads.votes(connection, cut, DIMENSIONS, sites=[site])

        def by(part: str) -> list[Figure]:
            lines = parts(rows, cut, closing, part, least=self._api.ratings.least_n)
            return [self._figure(line, line.cell[-1]) for line in lines]

        own = self._whole(connection, cut, closing, site)
        by_day = self._whole(connection, replace(cut, split="day"), closing, site)
        return {
            "name": name,
            "figure": self._figure(own[0], site) if own else None,
            "by_period": [self._figure(line, site) for line in by_day if line.tally is not None],
            "by_counter": by("counter"),
            "by_officer": by("officer"),
            "by_hour": by("hour"),
            "parts_given": _last_day(month) <= closing.through(site),
            "months": self._months(connection, month, closing, site),
            "account": _account(connection, site, cut, closing),
        }

    def _days(self, one: Figure, language: str) -> str:
        first, last = date_text(language, one.first_ms), date_text(language, one.last_ms)
        return first if first == last else f"{first} – {last}"

    def _months(self, connection: Connection, month: Month, closing: Closing, site: str) -> list[Figure]:
        """This month and the ones before it."""
        months = [month]
        while len(months) < MONTHS:
            months.append(months[-1].before())
        return [
            self._figure(line, one.name)
            for one in reversed(months)
            for line in self._whole(connection, self._cut(one), closing, site)
        ]

    def _whole(self, connection: Connection, cut: Cut, closing: Closing, site: str | None) -> list[Summed]:
        """Communes with all their parts; one of them where `site` names it."""
        rows = reads.votes(connection, cut, (), sites=None if site is None else [site])
        return communes(rows, cut, closing, least=self._api.ratings.least_n)

    def _cut(self, month: Month) -> Cut:
        return Cut(day_at(month.start_ms), _last_day(month))

    def _figure(self, line: Summed, name: str) -> Figure:
        tally, rules = line.tally, self._api.ratings
        raw = share_of(tally.counted) if tally is not None else None
        clean = share_of(tally.filtered) if tally is not None and line.filtered else None
        small = raw is not None and raw.n < rules.small_n
        return Figure(name, start_ms(line.first), start_ms(line.last), tally, raw, clean, small)

    def _levels(self, figure: Figure | None, language: str) -> list[tuple[int, list[Level]]]:
        if figure is None or figure.tally is None:
            return []
        found = []
        for scale, counts in sorted(figure.tally.counted.items(), reverse=True):
            clean = figure.tally.filtered.get(scale) if figure.filtered is not None else None
            names = words.LEVELS.get(scale)
            rows = [
                Level(
                    translate(language, names[at]) if names else str(at + 1),
                    at + 1,
                    count,
                    clean[at] if clean is not None else None,
                    count / max(1, sum(counts)),
                )
                for at, count in enumerate(counts)
            ]
            found.append((scale, rows))
        return found

    def _month(self, request: Request) -> Month:
        now = Month.at(self._now_ms())
        try:
            month = Month.of(request.query_params.get("month") or now.name)
        except WrongInputError as error:
            raise HTTPException(404) from error
        if int(month.name[:4]) < _FIRST_YEAR or month.start_ms > now.start_ms:
            raise HTTPException(404)
        return month

    def _steps(self, month: Month) -> dict[str, Any]:
        later = Month.at(month.end_ms)
        return {
            "month": month,
            "earlier": month.before().name,
            "later": later.name if later.start_ms <= self._now_ms() else "",
        }

    def _chosen(self, request: Request) -> tuple[str, int, int]:
        """The site ("" for none yet) and days that single presses are asked of; yesterday where none are named."""
        yesterday = day_at(self._now_ms()) - 1
        asked = request.query_params
        try:
            site = check_name(asked["site"], what="site") if asked.get("site") else ""
            first = day_of(date.fromisoformat(asked["from"])) if asked.get("from") else yesterday
            last = day_of(date.fromisoformat(asked["to"])) if asked.get("to") else max(first, yesterday)
        except (ValueError, WrongInputError) as error:
            raise HTTPException(404) from error
        return site, max(first, last - RAW_DAYS + 1), last

    def _now_ms(self) -> int:
        return int(self._api.now_s() * 1000)

    async def _read(self, what: Callable[[Connection], T]) -> T:
        def in_thread() -> T:
            with self._api.database.read() as connection:
                return what(connection)

        return await anyio.to_thread.run_sync(in_thread)


def _site(request: Request) -> str:
    try:
        return check_name(request.path_params["site"], what="site")
    except WrongInputError as error:
        raise HTTPException(404) from error


def _named(figures: list[Figure]) -> list[tuple[str, Figure]]:
    return [(one.name, one) for one in figures]


def _epoch_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _last_day(month: Month) -> int:
    return day_at(month.end_ms) - 1


def _best_first(pair: tuple[str, Figure]) -> tuple[float, int, str]:
    share = pair[1].raw
    return (-share.low, -share.n, pair[1].name) if share is not None else (0.0, 0, "")


def _account(connection: Connection, site: str, cut: Cut, closing: Closing) -> dict[str, int]:
    """How many closed days of the month agree with the kiosks' own totals, how many do not, how many wait."""
    last = min(cut.last, closing.through(site))
    told = days.told(connection, sites=[site], first=date_of(cut.first).isoformat(), last=date_of(last).isoformat())
    checked = days.check(connection, told)
    return {
        "agree": sum(one.agrees is True for one in checked),
        "disagree": sum(one.agrees is False for one in checked),
        "waiting": sum(one.agrees is None for one in checked),
    }


def _raw_params(site: str, first: int, last: int) -> RatingParams:
    from_, to = (datetime.fromtimestamp(start_ms(day) / 1000, VIETNAM) for day in (first, last + 1))
    return RatingParams(site=site, from_=from_, to=to)


async def _file(request: Request, sheet: Sheet[Any], items: Iterable[Any], kind: str, name: str) -> Response:
    language = language_of(request)
    heads = [
        translate(language, column.title, **dict(column.values)) if column.title else column.name
        for column in sheet.columns
    ]
    try:
        return await answer(sheet, iter(items), heads, kind, name=name)
    except TooManyRowsError as error:
        raise HTTPException(413) from error
