"""Query parameters into a frozen struct, each mistake named; and the cursor that a listing gives back.

An unknown parameter is refused: a filter that is spelt wrong must not answer with everything. A cursor is the sort key
of the last item given, so a page goes on from there however many rows have come in between; it is opaque to callers and
checked like any other input.
"""

import base64
import binascii
import types
import typing
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from web.problems import ParameterError, ProblemError, problem

MAX_LIMIT: Final = 1000
_MAX_INT: Final = 2**63 - 1

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="how many items at most")]
After = Annotated[str, Meta(max_length=1000, description="the `next` of the page before")]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with its offset, such as 2026-11-24T00:00:00Z")]
# What people typed: no control characters, which PostgreSQL would refuse or a log would swallow.
Words = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

P = TypeVar("P", bound="Paging")
CursorKey = tuple[int | str, ...]


class Paging(Struct, frozen=True, forbid_unknown_fields=True):
    """What every listing takes. A resource's filters are the fields of its own subclass."""

    limit: Limit = 100
    after: After | None = None


def read(pairs: Iterable[tuple[str, str]], struct: type[P]) -> P:
    """The parameters as `struct`; a problem of status 400 that names every one at fault."""
    known = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    values: dict[str, Any] = {}
    errors: list[ParameterError] = []
    for name, text in pairs:
        if name not in known:
            errors.append(ParameterError(name[:100], f"unknown parameter; known here: {', '.join(sorted(known))}"))
        elif name in values:
            errors.append(ParameterError(name, "given twice; give it once"))
        else:
            values[name] = None
            try:
                values[name] = msgspec.convert(text, plain(known[name].type), strict=False)
            except msgspec.ValidationError as error:
                errors.append(ParameterError(name, _wrong(text, plain(known[name].type), str(error))))
    for name, field in known.items():
        if name not in values and field.default is NODEFAULT and field.default_factory is NODEFAULT:
            errors.append(ParameterError(name, "missing"))
    if not errors:
        given = {known[name].name: value for name, value in values.items()}
        try:
            return struct(**given)
        except ValueError as error:  # a rule that spans several parameters (the struct's __post_init__)
            errors.append(ParameterError("", str(error)))
    raise refuse(errors)


def refuse(errors: list[ParameterError]) -> ProblemError:
    """The problem that tells of parameters at fault."""
    says = "; ".join(f"{error.parameter}: {error.detail}" if error.parameter else error.detail for error in errors)
    return ProblemError(problem(400, "parameters", "The parameters of the request do not hold", says, errors=errors))


def write_cursor(key: CursorKey) -> str:
    """The cursor that stands for `key`."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str, kinds: tuple[type, ...]) -> CursorKey:
    """The key in a cursor, its parts of `kinds`; a problem of status 400 where it is no cursor of this listing."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key = msgspec.json.decode(raw, type=tuple[int | str, ...])
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise _no_cursor() from error
    sound = len(key) == len(kinds) and all(
        type(part) is kind
        and (abs(part) <= _MAX_INT if isinstance(part, int) else len(part) <= 500 and "\x00" not in part)
        for part, kind in zip(key, kinds, strict=False)
    )
    if not sound:
        raise _no_cursor()
    return key


def epoch_ms(when: datetime) -> int:
    """Unix milliseconds of a parameter."""
    return int(when.timestamp() * 1000)


def _no_cursor() -> ProblemError:
    return refuse([ParameterError("after", "not a cursor of this listing; give `next` of the page before, unchanged")])


def plain(kind: Any) -> Any:
    """`kind` without None: "null" is a value like any other in a query."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(kind) if part is not type(None)]
        return inner[0]
    return kind


def _wrong(text: str, kind: Any, says: str) -> str:
    """What was found and what is wanted: the words allowed, or the type's own description of itself."""
    if typing.get_origin(kind) is typing.Literal:
        wanted = f"wanted is one of {', '.join(typing.get_args(kind))}"
    else:
        wanted = says[0].lower() + says[1:]
        notes = [meta.description for meta in typing.get_args(kind)[1:] if isinstance(meta, Meta) and meta.description]
        wanted = "; ".join([wanted, *notes])
    found = f"found {text[:100]!r}; {wanted}"
    return f"{found}; write + as %2B" if "RFC3339" in says and " " in text else found
