"""The table of resources, and the routes of the API made from it."""

from collections.abc import Callable
from typing import Any, Final

import anyio.to_thread
import msgspec
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.files import KINDS, file_endpoint
from hub.api.openapi import document
from hub.api.resource import Api, Resource, listing
from hub.api.resources import (
    availability,
    devices,
    events,
    journals,
    links,
    outages,
    rating_days,
    rating_summary,
    ratings,
)

# A resource joins the API by standing here.
RESOURCES: Final[tuple[Resource[Any, Any], ...]] = (
    devices.RESOURCE,
    journals.RESOURCE,
    links.RESOURCE,
    availability.RESOURCE,
    outages.RESOURCE,
    events.RESOURCE,
    rating_summary.RESOURCE,
    rating_days.RESOURCE,
    ratings.RESOURCE,
)
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def routes(api: Api, metrics: Callable[[], bytes]) -> list[Route]:
    """Every route for machines. `metrics` gives the text for Prometheus; it may read the store."""
    text = msgspec.json.encode(document(RESOURCES))

    async def openapi(request: Request) -> Response:
        return Response(text, 200, {"Cache-Control": "public, max-age=300"}, "application/json")

    async def healthz(request: Request) -> Response:
        await anyio.to_thread.run_sync(_ask_store, api)
        return Response(b'{"status":"ok"}', 200, {"Cache-Control": "no-store"}, "application/json")

    async def prometheus(request: Request) -> Response:
        api.tokens.check(request, "metrics")
        body = await anyio.to_thread.run_sync(metrics)
        return Response(body, 200, {"Content-Type": METRICS_TYPE, "Cache-Control": "no-store"})

    return [
        Route("/healthz", healthz),
        Route("/metrics", prometheus),
        Route("/api/v1/openapi.json", openapi),
        *(Route(resource.path, listing(api, resource), name=resource.path) for resource in RESOURCES),
        *(
            Route(f"{resource.path}.{kind}", file_endpoint(api, resource, kind))
            for resource in RESOURCES
            if resource.sheet is not None
            for kind in KINDS
        ),
    ]


def _ask_store(api: Api) -> None:
    with api.database.read() as connection:
        connection.execute(select(1))
