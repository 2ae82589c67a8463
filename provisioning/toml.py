"""Configuration structs written as TOML, so that what we provision is typed and reads back by `bus.config.load`.

Only what our configuration holds: tables, arrays of tables, and plain values. Null is a key left out.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bus.files import replace_file

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_config(path: Path, config: msgspec.Struct, *, mode: int = 0o600) -> None:
    """Put `config` at `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, to_toml(config).encode(), mode=mode)


def to_toml(config: msgspec.Struct) -> str:
    """The file's text. Plain values come before tables, as TOML wants it."""
    head = "# Written by commune. Changes are lost when it is written again.\n"
    return head + "\n".join(_table(msgspec.to_builtins(config), ())) + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if value is not None and not _is_table(value) and not _is_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        inner = (*path, key)
        name = ".".join(map(_key, inner))
        if _is_tables(value):
            for element in value:
                yield from ("", f"[[{name}]]", *_table(element, inner))
        elif _is_table(value):
            yield from ("", f"[{name}]", *_table(value, inner))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value) and all(map(_is_table, value))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise TypeError(f"BUG: {type(value).__name__} does not stand in a configuration of ours")
