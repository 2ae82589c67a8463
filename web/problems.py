"""Errors as machines read them: problem documents, RFC 9457.

`type` is a fixed URI reference for each sort of error, below `/problems/`, so that a program can tell them apart;
`title` never varies with the case at hand, `detail` says what was found, what was wanted and what to do. Where the
parameters of a request are at fault, `errors` names each of them.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


class ParameterError(Struct, frozen=True):
    """One parameter at fault."""

    parameter: str
    detail: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """The document. `status` repeats the status of the answer."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[ParameterError] = []


class ProblemError(Exception):
    """Raised to answer with a problem document."""

    def __init__(self, problem: Problem, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.headers = dict(headers or {})


def problem(
    status: int, kind: str, title: str, detail: str = "", *, errors: list[ParameterError] | None = None
) -> Problem:
    """A problem of sort `kind`, which becomes its `type`."""
    return Problem(f"/problems/{kind}", title, status, detail, errors or [])


def answer(problem: Problem, *, headers: Mapping[str, str] | None = None) -> Response:
    """The response that carries a problem."""
    return Response(
        msgspec.json.encode(problem), problem.status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE
    )


def from_http(error: HTTPException) -> Problem:
    """What the router itself refuses: an unknown path, a method that a path does not take."""
    phrase = HTTPStatus(error.status_code).phrase
    details = {
        404: "there is nothing at this path; the paths are listed in /api/v1/openapi.json",
        405: "this path does not take that method; the Allow header names those it takes",
        413: "the body is larger than this path takes",
    }
    return problem(
        error.status_code, phrase.lower().replace(" ", "-"), phrase, details.get(error.status_code, error.detail)
    )
