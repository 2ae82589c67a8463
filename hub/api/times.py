"""Times as the API gives them: RFC 3339 UTC, with milliseconds."""

from typing import Annotated, Final

from msgspec import Meta

from bus.clock import rfc3339

Utc = Annotated[
    str,
    Meta(
        description="RFC 3339 UTC",
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        extra_json_schema={"format": "date-time"},
    ),
]
_LATEST_MS: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def utc(wall_ms: int) -> Utc:
    """A time. What a broken clock put outside the years 1970 to 9999 stands as the nearest that can be written."""
    return rfc3339(min(max(wall_ms, 0), _LATEST_MS))


def utc_or_none(wall_ms: int | None) -> Utc | None:
    """A time that may be absent."""
    return None if wall_ms is None else utc(wall_ms)
