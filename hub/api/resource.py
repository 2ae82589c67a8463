"""One listing of the API: what it is called, what it takes, what its items are, and how they are read.

Each resource is one file of `hub/api/resources` that ends in a `RESOURCE`. Standing in the table of `hub/api/routes.py`
gives it its route, its checks, its paging and its place in the OpenAPI document. It states a sort key that never
changes for an item, so that pages neither skip nor repeat while rows come in.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import anyio.to_thread
import msgspec
from msgspec import Struct
from sqlalchemy import Column, ColumnElement, Connection, literal, tuple_
from starlette.requests import Request
from starlette.responses import Response

from hub import schema
from hub.api import parameters
from hub.api.parameters import CursorKey, Paging
from hub.api.tokens import Scope, Token, Tokens
from hub.config import RATINGS, RatingsConfig
from hub.database import Database
from hub.schema import site
from hub.sheets import Sheet

log = logging.getLogger("api")

P = TypeVar("P", bound=Paging)
Item = TypeVar("Item", bound=Struct)


@dataclass(frozen=True, slots=True)
class Asked(Generic[P]):
    """A checked request: the parameters, the cursor's key where a page goes on, how many items to read, and now."""

    params: P
    after: CursorKey | None
    count: int
    now_ms: int
    silent_after_s: int
    ratings: RatingsConfig = RATINGS
    # Whoever asks may read single presses: figures that a vote moves are given as they are.
    raw: bool = False


# Items with their sort keys, ascending, `Asked.count` at most.
Read = Callable[[Connection, Asked[P]], Sequence[tuple[CursorKey, Item]]]


@dataclass(frozen=True, slots=True)
class Resource(Generic[P, Item]):
    """One listing. `key` gives the types of its sort key."""

    path: str
    summary: str
    description: str
    params: type[P]
    item: type[Item]
    key: tuple[type, ...]
    read: Read[P, Item]
    scope: Scope = "read"
    # Each look is written to the store's `audit` before anything is shown.
    journaled: bool = False
    # Where the parameters ask for more than `scope` opens: that scope is wanted too, and the look is journaled.
    more: Callable[[P], Scope | None] | None = None
    # How it is written as a table, at the same path with `.csv` and `.xlsx`; None for no such files.
    sheet: Sheet[Item] | None = None
    tags: tuple[str, ...] = field(default=("state",))


@dataclass(frozen=True, slots=True)
class Api:
    """What every endpoint stands on."""

    database: Database
    tokens: Tokens
    now_s: Callable[[], float]
    silent_after_s: int
    ratings: RatingsConfig = RATINGS


def listing(api: Api, resource: Resource[Any, Any]) -> Callable[[Request], Any]:
    """The endpoint of a resource."""

    async def endpoint(request: Request) -> Response:
        asked = await admit(api, resource, request)
        # One more than a page, to know whether there is another.
        asked = replace(asked, count=asked.params.limit + 1)
        body = await anyio.to_thread.run_sync(_page, api, resource, asked)
        return Response(body, 200, {"Cache-Control": "no-store"}, "application/json")

    return endpoint


async def admit(api: Api, resource: Resource[Any, Any], request: Request) -> Asked[Any]:
    """The checked request of somebody who may ask, after the look was journaled where it must be."""
    token: Token = api.tokens.check(request, resource.scope)
    params = parameters.read(request.query_params.multi_items(), resource.params)
    after = parameters.read_cursor(params.after, resource.key) if params.after is not None else None
    more = resource.more(params) if resource.more is not None else None
    if more is not None:
        api.tokens.check(request, more)
    if resource.journaled or more is not None:
        await anyio.to_thread.run_sync(audit, api, f"token {token.name}", request.url.path, request.url.query)
    now_ms = int(api.now_s() * 1000)
    raw = "ratings-raw" in token.scopes
    return Asked(params, after, params.limit, now_ms, api.silent_after_s, api.ratings, raw)


def audit(api: Api, who: str, what: str, detail: str) -> None:
    """Write down who looks at what; `UnavailableError` where that cannot be kept, and then nothing is to be shown."""
    row = {"at_ms": int(api.now_s() * 1000), "who": who, "what": what, "detail": detail[:1000]}
    with api.database.write() as connection:
        connection.execute(schema.audit.insert(), row)


def beyond(columns: Sequence[Column[Any] | ColumnElement[Any]], after: CursorKey | None) -> list[ColumnElement[bool]]:
    """The condition that rows come after a cursor's key, for a query sorted by `columns`; none on the first page."""
    if after is None:
        return []
    return [tuple_(*columns) > tuple_(*(literal(part) for part in after))]


def of_commune(wanted: str) -> ColumnElement[bool]:
    """The condition that a row of `site` is the commune named by its official code, or by its site name for ever."""
    return (site.c.code == wanted) | (site.c.id == wanted)


def _page(api: Api, resource: Resource[Any, Any], asked: Asked[Any]) -> bytes:
    with api.database.read() as connection:
        found = resource.read(connection, asked)
    shown = found[: asked.params.limit]
    more = len(found) > len(shown)
    return msgspec.json.encode(
        {
            "items": [item for _, item in shown],
            "next": parameters.write_cursor(shown[-1][0]) if more else None,
        }
    )
