"""docs/api.md names every listing with every filter, and none that is not there."""

import re
from pathlib import Path

import msgspec

from hub.api.parameters import Paging
from hub.api.routes import RESOURCES
from hub.api.tokens import SCOPES

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_every_listing_and_filter_stands_in_the_document() -> None:
    rows = {
        path: set(re.findall(r"`([^`]+)`", filters))
        for path, filters in re.findall(r"^\| `(/api[^`]+)` \|.*\|(.*)\|$", TEXT, re.M)
    }
    common = {field.encode_name for field in msgspec.structs.fields(Paging)}
    assert rows == {
        resource.path: {field.encode_name for field in msgspec.structs.fields(resource.params)} - common
        for resource in RESOURCES
    }


def test_every_scope_stands_in_the_document() -> None:
    for scope in SCOPES:
        assert f"`{scope}`" in TEXT
