"""The OpenAPI 3.1 document, made of the same table that makes the routes, and of the same structs that make answers.

So it cannot fall behind them; a test holds every answer against it all the same.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT

from hub.api.files import KINDS
from hub.api.parameters import plain
from hub.api.resource import Resource
from hub.api.tokens import SCOPES
from web import problems
from web.problems import Problem

_REF: Final = "#/components/schemas/{name}"
_PROBLEMS: Final = {
    "400": "A parameter does not hold; the document names each one.",
    "401": "No bearer token, or one that is not known.",
    "403": "The token lacks the scope.",
    "405": "The path takes GET and HEAD only.",
    "503": "The store does not answer, or too much is asked at once; try again.",
}


def document(resources: Sequence[Resource[Any, Any]]) -> dict[str, Any]:
    """The whole document."""
    items = [resource.item for resource in resources]
    schemas, components = msgspec.json.schema_components([Problem, *items], ref_template=_REF)
    shown = dict(zip(resources, schemas[1:], strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Commune Edge: the province's API",
            "version": _version(),
            "summary": "What the communes of a province have recorded, and how they stand now.",
            "description": (
                "Listings answer `items` and `next`; give `next` back as `after` for the page that follows. Times are "
                "RFC 3339 UTC. Errors are problem documents (RFC 9457)."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {
            "/healthz": {"get": _healthz()},
            "/metrics": {"get": _metrics()},
            "/api/v1/openapi.json": {"get": _self()},
            **{resource.path: {"get": _listing(resource, schema)} for resource, schema in shown.items()},
            **{
                f"{resource.path}.{kind}": {"get": _file(resource, kind)}
                for resource in resources
                if resource.sheet is not None
                for kind in KINDS
            },
        },
        "components": {
            "schemas": components,
            "responses": {code: _problem_response(says) for code, says in _PROBLEMS.items()},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"Scopes of a token: {', '.join(SCOPES)}.",
                }
            },
        },
    }


def _listing(resource: Resource[Any, Any], item: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": _operation_id(resource.path),
        "summary": resource.summary,
        "description": f"{resource.description}\n\nScope: `{resource.scope}`.",
        "tags": list(resource.tags),
        "parameters": _parameters(resource),
        "responses": {
            "200": {
                "description": "One page.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["items", "next"],
                            "properties": {
                                "items": {"type": "array", "items": item},
                                "next": {
                                    "type": ["string", "null"],
                                    "description": "Give it back as `after`; null on the last page.",
                                },
                            },
                        }
                    }
                },
            },
            **_refusals("400", "401", "403", "405", "503"),
        },
    }


def _file(resource: Resource[Any, Any], kind: str) -> dict[str, Any]:
    """The same listing as a file, whole."""
    like = _listing(resource, {})
    schema = {"type": "string"} if kind == "csv" else {"type": "string", "format": "binary"}
    return {
        **like,
        "operationId": f"{like['operationId']}-{kind}",
        "summary": f"{resource.summary}, as {kind.upper()}",
        "parameters": [one for one in like["parameters"] if one["name"] not in ("limit", "after")],
        "responses": {
            **like["responses"],
            "200": {"description": "The file.", "content": {KINDS[kind].split(";")[0]: {"schema": schema}}},
        },
    }


def _parameters(resource: Resource[Any, Any]) -> list[dict[str, Any]]:
    result = []
    for field in msgspec.structs.fields(resource.params):
        kind = plain(field.type)
        schema = msgspec.json.schema(kind)
        parameter: dict[str, Any] = {
            "name": field.encode_name,
            "in": "query",
            "required": field.default is NODEFAULT and field.default_factory is NODEFAULT,
        }
        if says := schema.pop("description", ""):
            parameter["description"] = says
        if field.default not in (NODEFAULT, None):
            schema["default"] = field.default
        result.append({**parameter, "schema": schema})
    return result


def _healthz() -> dict[str, Any]:
    return {
        "operationId": "healthz",
        "summary": "Whether the hub answers, and its store with it",
        "tags": ["hub"],
        "security": [],
        "responses": {
            "200": {
                "description": "It does.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["status"],
                            "properties": {"status": {"const": "ok"}},
                        }
                    }
                },
            },
            **_refusals("405", "503"),
        },
    }


def _metrics() -> dict[str, Any]:
    return {
        "operationId": "metrics",
        "summary": "Metrics for Prometheus",
        "description": "Scope: `metrics`.",
        "tags": ["hub"],
        "responses": {
            "200": {
                "description": "Text exposition format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **_refusals("401", "403", "405", "503"),
        },
    }


def _self() -> dict[str, Any]:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "tags": ["hub"],
        "security": [],
        "responses": {
            "200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_refusals("405"),
        },
    }


def _refusals(*codes: str) -> dict[str, Any]:
    return {code: {"$ref": f"#/components/responses/{code}"} for code in codes}


def _problem_response(says: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    return {"description": says, "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def _operation_id(path: str) -> str:
    return path.removeprefix("/api/v1/").replace("/", "-")


def _version() -> str:
    try:
        return version("commune-edge")
    except PackageNotFoundError:
        return "0"
