"""Tables for a spreadsheet: CSV and XLSX from one description of the columns.

What a device or a person once typed never becomes a formula: in CSV such a text gets an apostrophe before it (OWASP,
CSV Injection), in XLSX texts are written as texts. CSV is UTF-8 with a byte order mark, without which Excel takes it
for another encoding, and is given row by row; XLSX goes through a file on disk: neither grows with what it holds.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final, Generic, TypeVar

import xlsxwriter

Item = TypeVar("Item")
Value = str | int | float | None

CSV_TYPE: Final = "text/csv; charset=utf-8"
XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_XLSX_ROWS: Final = 100_000
_BOM: Final = "\ufeff"
# What a spreadsheet takes for the beginning of a formula, the full-width forms included.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MAX_TEXT: Final = 32_767  # of an XLSX cell
_CHUNK: Final = 64 * 1024
_WIDE: Final = 14


class TooManyRowsError(Exception):
    """More rows than a sheet is made for."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """One column. `name` is for programs, `title` a key of the catalogue for people, with `values` to fill in."""

    name: str
    title: str
    of: Callable[[Item], Value]
    percent: bool = False
    values: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet(Generic[Item]):
    """A table; `name` is that of the file, without its ending."""

    name: str
    columns: tuple[Column[Item], ...]


def csv_bytes(sheet: Sheet[Item], items: Iterable[Item], heads: Sequence[str]) -> Iterator[bytes]:
    """The file, piece by piece."""
    text = io.StringIO()
    text.write(_BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_harmless(head) for head in heads])
    for item in items:
        writer.writerow([_harmless(column.of(item)) for column in sheet.columns])
        if text.tell() >= _CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def write_xlsx(sheet: Sheet[Item], items: Iterable[Item], heads: Sequence[str], into: IO[bytes]) -> None:
    """The workbook into a file; `TooManyRowsError` beyond `MAX_XLSX_ROWS`."""
    # Rows go to a temporary file as they come. A text is a text, whatever it begins with.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(into, {**options, "strings_to_numbers": False}) as book:
        page = book.add_worksheet(sheet.name[:31])
        bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        percent = book.add_format({"num_format": "0.0%"})
        page.freeze_panes(1, 0)
        page.set_column(0, len(heads) - 1, _WIDE)
        for at, head in enumerate(heads):
            page.write_string(0, at, head, bold)
        for row, item in enumerate(items, 1):
            if row > MAX_XLSX_ROWS:
                raise TooManyRowsError
            for at, column in enumerate(sheet.columns):
                value = column.of(item)
                if isinstance(value, str):
                    page.write_string(row, at, value[:_MAX_TEXT])
                elif value is not None:
                    page.write_number(row, at, value, percent if column.percent else None)


def _harmless(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
