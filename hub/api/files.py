"""Listings as files: `.csv` streamed page by page, `.xlsx` made on disk first; same checks, same journal of looks."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hub.api.parameters import CursorKey, refuse
from hub.api.resource import Api, Asked, Resource, admit
from hub.database import Database
from hub.sheets import CSV_TYPE, MAX_XLSX_ROWS, XLSX_TYPE, Sheet, TooManyRowsError, csv_bytes, write_xlsx
from web.problems import ParameterError

KINDS: Final = {"csv": CSV_TYPE, "xlsx": XLSX_TYPE}
_AT_ONCE: Final = 2000
_COPY: Final = 64 * 1024
# Each workbook keeps a core busy: one at a time, the others wait.
_WRITING: Final = anyio.CapacityLimiter(1)


def file_endpoint(api: Api, resource: Resource[Any, Any], kind: str) -> Callable[[Request], Any]:
    """The endpoint of a resource's file. `limit` means nothing here: all is given."""
    sheet = resource.sheet
    if sheet is None:
        raise ValueError(f"BUG: {resource.path} has no sheet")

    async def endpoint(request: Request) -> Response:
        asked = replace(await admit(api, resource, request), count=_AT_ONCE)
        items = () if request.method == "HEAD" else all_items(api.database, resource, asked)
        try:
            return await answer(sheet, iter(items), [column.name for column in sheet.columns], kind)
        except TooManyRowsError as error:
            says = f"more than {MAX_XLSX_ROWS} rows; ask for less at once, or for .csv"
            raise refuse([ParameterError("from", says)]) from error

    return endpoint


def all_items(database: Database, resource: Resource[Any, Any], asked: Asked[Any]) -> Iterator[Any]:
    """Every item, a page at a time, each page one read: nothing is held open while somebody's line is slow."""
    key: CursorKey | None = asked.after
    while True:
        with database.read() as connection:
            found = resource.read(connection, replace(asked, after=key))
        for _, item in found:
            yield item
        if len(found) < asked.count:
            return
        key = found[-1][0]


async def answer(
    sheet: Sheet[Any], items: Iterator[Any], heads: list[str], kind: str, *, name: str = ""
) -> StreamingResponse:
    """The file as an answer. What the first rows raise is raised here, before anything is sent."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name or sheet.name}.{kind}"',
    }
    if kind == "csv":
        rows = csv_bytes(sheet, items, heads)
        first = await anyio.to_thread.run_sync(next, rows)
        return StreamingResponse(_after(first, rows), 200, headers, CSV_TYPE)
    file = await anyio.to_thread.run_sync(_workbook, sheet, items, heads, limiter=_WRITING)
    return StreamingResponse(_copied(file), 200, headers, XLSX_TYPE)


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _workbook(sheet: Sheet[Any], items: Iterator[Any], heads: list[str]) -> Path:
    with tempfile.NamedTemporaryFile(prefix="commune-", suffix=".xlsx", delete=False) as file:
        path = Path(file.name)
        try:
            write_xlsx(sheet, items, heads, file)
        except BaseException:
            path.unlink()
            raise
    return path


def _copied(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        path.unlink()
        yield from iter(lambda: _read(file), b"")


def _read(file: IO[bytes]) -> bytes:
    return file.read(_COPY)
