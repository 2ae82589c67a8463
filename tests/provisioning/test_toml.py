"""What we write is what `bus.config.load` reads back."""

from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import config
from provisioning.toml import to_toml, write_config


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    ratio: float = 0.5
    tags: list[str] = []
    settings: dict[str, str | int | bool] = {}


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"inners": "inner"}):
    text: str
    on: bool
    one: Inner
    inners: list[Inner] = []
    missing: str | None = None


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INNER = st.builds(
    Inner,
    name=TEXT,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    tags=st.lists(TEXT, max_size=3),
    settings=st.dictionaries(TEXT, TEXT | st.integers(-(2**53), 2**53) | st.booleans(), max_size=3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(outer=st.builds(Outer, text=TEXT, on=st.booleans(), one=INNER, inners=st.lists(INNER, max_size=3)))
def test_reads_back_as_it_was(tmp_path: Path, outer: Outer) -> None:
    path = tmp_path / "part.toml"
    write_config(path, outer)
    assert config.load(path, Outer) == outer


def test_is_for_its_owner_alone_and_leaves_nulls_out(tmp_path: Path) -> None:
    outer = Outer(text="mộc châu", on=True, one=Inner("x"))
    write_config(tmp_path / "new" / "part.toml", outer)
    assert (tmp_path / "new" / "part.toml").stat().st_mode & 0o777 == 0o600
    assert "missing" not in to_toml(outer)
    assert "mộc châu" in to_toml(outer)
