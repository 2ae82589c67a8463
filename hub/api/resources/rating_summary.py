"""`/api/v1/ratings/summary`: votes summed by commune, kiosk, counter, officer, hour, day or month.

Figures are those of whole periods of closed days with enough votes; parts of a commune, one kind at a time, are given
by months that are over (`hub.ratings`, docs/ratings.md). `include_open` gives every day and part as it is, single votes
included, to whoever may read single presses.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from bus.identifiers import SiteId
from bus.texts import msgid
from hub.api.parameters import CursorKey, Paging, Words, refuse
from hub.api.resource import Asked, Resource, of_commune
from hub.api.tokens import Scope
from hub.config import RatingsConfig
from hub.ratings import reads
from hub.ratings.figures import share_of
from hub.ratings.periods import date_of, day_at, day_of
from hub.ratings.summary import DIMENSIONS, QUESTION, Closing, Cut, Summed, communes, everything, parts
from hub.schema import site
from hub.sheets import Column, Sheet, Value
from web.problems import ParameterError

_WORDS: Final = "commune|kiosk|counter|officer|hour|day|month"
By = Annotated[
    str,
    Meta(
        pattern=f"^({_WORDS})(,({_WORDS}))*$",
        description="what to sum by, such as counter,month; each commune stands by itself always",
    ),
]
Day = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:\d{2}))?$",
        description="a local day, such as 2026-11-24, or a moment in it with its offset",
    ),
]
LocalDate = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a local day (UTC+7)")]
DEFAULT_DAYS: Final = 31
MAX_DAYS: Final = 800


class Scale(Struct, frozen=True):
    """Votes by level on one scale; `counts` begins with level 1, the most satisfied."""

    levels: int
    counts: list[int]


class Satisfaction(Struct, frozen=True):
    """The share of satisfied votes (levels 1 and 2 of five and of four, 1 of three), with Wilson's 95 % interval."""

    n: Annotated[int, Meta(ge=1)]
    satisfied: Annotated[int, Meta(ge=0)]
    share: Annotated[float, Meta(ge=0, le=1)]
    low: Annotated[float, Meta(ge=0, le=1)]
    high: Annotated[float, Meta(ge=0, le=1)]
    small_n: Annotated[bool, Meta(description="a small sample: read the interval, not the share")]
    scales: list[Scale]


class RatingSummary(Struct, frozen=True, rename={"from_": "from"}):
    """A sum of votes. Where `withheld`, there are votes, too few to be shown, and every figure is null."""

    site: str
    commune: Annotated[str, Meta(description="the official code")]
    commune_name: str
    kiosk: str | None
    counter: str | None
    officer: Annotated[str | None, Meta(description="a code; empty for nobody on duty")]
    hour: Annotated[Annotated[int, Meta(ge=0, le=23)] | None, Meta(description="local hour of the day")]
    from_: Annotated[LocalDate, Meta(description="the first day that is in the figure")]
    to: Annotated[LocalDate, Meta(description="the last day that is in the figure")]
    withheld: bool
    n_pressed: Annotated[int | None, Meta(description="every press")]
    n_counted: Annotated[int | None, Meta(description="votes that stand")]
    n_filtered: Annotated[int | None, Meta(description="votes that stand and bear no flag; null where withheld")]
    raw: Annotated[Satisfaction | None, Meta(description="of all votes that stand")]
    filtered: Annotated[Satisfaction | None, Meta(description="of those without a flag; null where withheld")]


class SummaryParams(Paging, frozen=True, rename={"from_": "from"}):
    """Filters. `from` and `to` are local days, both included: figures are those of periods that end within them.

    Parts of a commune have those of months that end within them.
    """

    by: By = "commune"
    site: SiteId | None = None
    commune: Words | None = None
    question: Words | None = None
    from_: Day | None = None
    to: Day | None = None
    include_open: Annotated[
        bool, Meta(description="each day as it is, open ones too; asks for the scope ratings-raw, and is journaled")
    ] = False

    def __post_init__(self) -> None:
        words = self.by.split(",")
        if len(set(words)) != len(words):
            raise ValueError(f"by: {self.by} names something twice")
        if {"day", "month"} <= set(words):
            raise ValueError("by: day and month together; a day lies in one month, so leave month out")


def _read(connection: Connection, asked: Asked[SummaryParams]) -> list[tuple[CursorKey, RatingSummary]]:
    params = asked.params
    words = params.by.split(",")
    dimensions = [name for name in DIMENSIONS if name in words]
    part = "" if params.include_open else _part(params, words, dimensions)
    cut = cut_of(params, words, now_ms=asked.now_ms)
    query = select(site.c.id, site.c.code, site.c.name)
    if params.site is not None:
        query = query.where(site.c.id == params.site)
    if params.commune is not None:
        query = query.where(of_commune(params.commune))
    names = {row.id: (row.code, row.name) for row in connection.execute(query)}
    only = None if params.site is None and params.commune is None else sorted(names)
    if params.include_open:
        lines = everything(reads.votes(connection, cut, dimensions, sites=only), cut)
    else:
        closing = _closing(connection, cut, asked.now_ms)
        rows = reads.votes(connection, cut, DIMENSIONS if part else (), sites=only)
        least = asked.ratings.least_n
        lines = parts(rows, cut, closing, part, least=least) if part else communes(rows, cut, closing, least=least)
    found = [_item(line, dimensions, names[line.cell[0]], asked.ratings) for line in lines]
    keyed = sorted(((_key(one), one) for one in found), key=lambda pair: pair[0])
    return [pair for pair in keyed if asked.after is None or pair[0] > asked.after][: asked.count]


def _part(params: SummaryParams, words: list[str], dimensions: list[str]) -> str:
    """The kind of parts asked for, if any. Cuts that would give single votes away are refused, not thinned out."""
    asked = [*dimensions, *([QUESTION] if params.question is not None else [])]
    if len(asked) > 1:
        raise refuse([ParameterError("by", f"{' and '.join(asked)}: one at a time, but for `include_open`")])
    if asked and "day" in words:
        raise refuse([ParameterError("by", f"{asked[0]} and day: parts are of months, but for `include_open`")])
    return asked[0] if asked else ""


def cut_of(params: SummaryParams, words: list[str], *, now_ms: int) -> Cut:
    """The days asked for; the last `DEFAULT_DAYS` where nothing is said."""
    today = day_at(now_ms)
    last = min(_day("to", params.to, last=True) if params.to else today, today + 1)
    first = _day("from", params.from_, last=False) if params.from_ else last - DEFAULT_DAYS + 1
    if first > last and params.from_ is not None and params.to is not None:
        raise refuse([ParameterError("from", f"{date_of(first)} comes after `to`, {date_of(last)}")])
    if last - first >= MAX_DAYS:
        raise refuse([ParameterError("from", f"more than {MAX_DAYS} days until `to`, {date_of(last)}")])
    split = "day" if "day" in words else "month" if "month" in words else ""
    return Cut(first, last, params.question, split)


def _day(name: str, text: str, *, last: bool) -> int:
    try:
        if len(text) == 10:
            return day_of(date.fromisoformat(text))
        moment = datetime.fromisoformat(text).astimezone(UTC)
        # A moment ends a day that it begins: `to` 00:00 is the end of the day before.
        return day_at(int(moment.timestamp() * 1000) - (1 if last else 0))
    except (ValueError, OverflowError) as error:
        raise refuse([ParameterError(name, f"found {text!r}; a local day such as 2026-11-24 is wanted")]) from error


def _closing(connection: Connection, cut: Cut, now_ms: int) -> Closing:
    closing = reads.closing(connection, now_ms)
    return closing if cut.last >= closing.today else Closing(closing.today)


def _item(
    line: Summed,
    dimensions: list[str],
    name: tuple[str, str],
    rules: RatingsConfig,
) -> RatingSummary:
    value_of = dict(zip(dimensions, line.cell[1:], strict=True))
    tally = line.tally
    clean = tally if line.filtered else None
    return RatingSummary(
        site=line.cell[0],
        commune=name[0],
        commune_name=name[1],
        kiosk=value_of.get("kiosk"),
        counter=value_of.get("counter"),
        officer=value_of.get("officer"),
        hour=int(value_of["hour"]) if "hour" in value_of else None,
        from_=date_of(line.first).isoformat(),
        to=date_of(line.last).isoformat(),
        withheld=tally is None,
        n_pressed=tally.pressed if tally is not None else None,
        n_counted=tally.n_counted if tally is not None else None,
        n_filtered=clean.n_filtered if clean is not None else None,
        raw=satisfaction(tally.counted, rules) if tally is not None else None,
        filtered=satisfaction(clean.filtered, rules) if clean is not None else None,
    )


def satisfaction(scales: dict[int, list[int]], rules: RatingsConfig) -> Satisfaction | None:
    """A share as the API gives it; None where there is no vote."""
    share = share_of(scales)
    if share is None:
        return None
    given = [Scale(levels, list(counts)) for levels, counts in sorted(scales.items())]
    return Satisfaction(share.n, share.satisfied, share.share, share.low, share.high, share.n < rules.small_n, given)


def _key(one: RatingSummary) -> CursorKey:
    hour = "" if one.hour is None else f"{one.hour:02}"
    return (one.site, one.kiosk or "", one.counter or "", one.officer or "", hour, one.from_, one.to)


def _level(part: str, level: int, levels: int) -> Callable[[RatingSummary], Value]:
    def of(one: RatingSummary) -> Value:
        found: Satisfaction | None = getattr(one, part)
        if found is None:
            return None
        scale = next((scale for scale in found.scales if scale.levels == levels), None)
        return 0 if scale is None else scale.counts[level - 1]

    return of


def _figure(part: str, name: str) -> Callable[[RatingSummary], Value]:
    def of(one: RatingSummary) -> Value:
        found = getattr(one, part)
        value: Value = None if found is None else getattr(found, name)
        return value

    return of


def _columns_of(part: str, titles: tuple[str, str, str, str]) -> tuple[Column[RatingSummary], ...]:
    names = ("satisfied", "share", "low", "high")
    return tuple(
        Column(f"{part}_{name}", title, _figure(part, name), percent=name != "satisfied")
        for name, title in zip(names, titles, strict=True)
    )


_SCALE: Final[tuple[Literal[5, 4, 3], ...]] = (5, 4, 3)
SHEET: Final[Sheet[RatingSummary]] = Sheet(
    "ratings-summary",
    (
        Column("site", msgid("Site"), lambda one: one.site),
        Column("commune", msgid("Code"), lambda one: one.commune),
        Column("commune_name", msgid("Commune"), lambda one: one.commune_name),
        Column("kiosk", msgid("Kiosk"), lambda one: one.kiosk),
        Column("counter", msgid("Counter"), lambda one: one.counter),
        Column("officer", msgid("Officer code"), lambda one: one.officer),
        Column("hour", msgid("Hour"), lambda one: one.hour),
        Column("from", msgid("From day"), lambda one: one.from_),
        Column("to", msgid("To day"), lambda one: one.to),
        Column("withheld", msgid("Too few to show"), lambda one: 1 if one.withheld else 0),
        Column("n_pressed", msgid("Presses"), lambda one: one.n_pressed),
        Column("n_counted", msgid("Votes (raw)"), lambda one: one.n_counted),
        Column("n_filtered", msgid("Votes (filtered)"), lambda one: one.n_filtered),
        *_columns_of(
            "raw",
            (msgid("Satisfied (raw)"), msgid("Share (raw)"), msgid("Lower end (raw)"), msgid("Upper end (raw)")),
        ),
        *_columns_of(
            "filtered",
            (
                msgid("Satisfied (filtered)"),
                msgid("Share (filtered)"),
                msgid("Lower end (filtered)"),
                msgid("Upper end (filtered)"),
            ),
        ),
        Column("small_n", msgid("Small sample"), lambda one: 1 if one.raw is not None and one.raw.small_n else 0),
        *(
            Column(
                f"{part}_{level}_of_{levels}",
                title,
                _level(part, level, levels),
                values=(("level", level), ("levels", levels)),
            )
            for part, title in (
                ("raw", msgid("Level {level} of {levels} (raw)")),
                ("filtered", msgid("Level {level} of {levels} (filtered)")),
            )
            for levels in _SCALE
            for level in range(1, levels + 1)
        ),
    ),
)


def _more(params: SummaryParams) -> Scope | None:
    return "ratings-raw" if params.include_open else None


RESOURCE = Resource(
    path="/api/v1/ratings/summary",
    summary="Votes summed, with intervals",
    description=(
        "By commune and, where asked, day or month (UTC+7). Only closed days; days are merged until a period holds the "
        "least number of votes, and what has no such period is withheld. By kiosk, counter, officer, hour or of one "
        "question, one of these at a time: by months that are over and end within the dates asked for; parts that "
        "would give few votes away are withheld. Filtered figures are of whole months that are over, or where none is "
        f"flagged. `from` and `to` default to the last {DEFAULT_DAYS} days; at most {MAX_DAYS} days. `include_open` "
        "gives all as it is and in any cut; it also asks for the scope `ratings-raw`, and each such look is journaled."
    ),
    params=SummaryParams,
    item=RatingSummary,
    key=(str, str, str, str, str, str, str),
    read=_read,
    more=_more,
    sheet=SHEET,
    tags=("ratings",),
)
