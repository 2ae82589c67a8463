"""Configuration: TOML into frozen structs. Unknown keys are refused; every error is told at once, with key and line.

A part describes its file by a `msgspec.Struct` whose fields are tables (other structs), arrays of tables and plain
values. msgspec stops at its first error, so the tree is walked here and each leaf is converted on its own. A rule that
spans several keys stands in its struct's `__post_init__`, and is judged once all keys below the struct hold by
themselves; one that says by `enforce` what is wrong has its keys told too. NaN and infinity are no numbers.
"""

import math
import re
import tomllib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from bus.errors import WrongInputError
from bus.identifiers import DeviceId, SiteId

S = TypeVar("S", bound=Struct)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with a configuration file. `line` is 0 where the file as a whole is meant."""

    line: int
    key: str
    says: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.key}: {self.says}" if self.key else f"{where}{self.says}"


class ConfigError(WrongInputError):
    """All that is wrong with one file."""

    def __init__(self, path: Path, mistakes: list[Mistake]) -> None:
        self.path = path
        self.mistakes = mistakes
        super().__init__("\n".join(f"{path}: {mistake}" for mistake in mistakes))


def load(path: Path, struct: type[S]) -> S:
    """Read the file at `path` as `struct`; `ConfigError` with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, [Mistake(0, "", f"cannot be read: {error}")]) from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise ConfigError(path, [Mistake(int(found[1]) if found else 0, "", f"not TOML: {error}")]) from error
    except ValueError as error:  # what Python does not read: a number of thousands of digits
        raise ConfigError(path, [_mistake_at(text, _line_of_longest_number(text), "the number is too long")]) from error
    except RecursionError as error:
        raise ConfigError(path, [_mistake_at(text, _deepest_line(text), "nested too deeply")]) from error
    lines = _key_lines(text)
    try:
        wrong = list(_check(tree, struct, ()))
    except RecursionError as error:
        raise ConfigError(path, [_mistake_at(text, _deepest_line(text), "nested too deeply")]) from error
    mistakes = [Mistake(_line_of(lines, key), ".".join(map(str, key)), says) for key, says in wrong]
    if mistakes:
        raise ConfigError(path, sorted(mistakes, key=lambda mistake: (mistake.line, mistake.key)))
    try:
        return msgspec.convert(tree, struct)
    except msgspec.ValidationError as error:  # a rule that spans several keys (a struct's __post_init__)
        raise ConfigError(path, [Mistake(0, "", str(error))]) from error


Key = tuple[str | int, ...]
Wrong = tuple[Key, str]  # what is wrong, with its key below the struct whose rule it breaks


class BrokenRulesError(ValueError):
    """Rules of a struct that do not hold."""

    def __init__(self, wrong: list[Wrong]) -> None:
        self.wrong = wrong
        super().__init__("; ".join(f"{'.'.join(map(str, key))}: {says}" if key else says for key, says in wrong))


_JUDGED: ContextVar[type[Struct] | None] = ContextVar("judged", default=None)


def enforce(struct: Struct, wrong: Iterable[Wrong]) -> None:
    """For the end of a `__post_init__`: `BrokenRulesError` with all that is wrong with this struct.

    While the struct around it is judged nothing is raised, so that the rules of both are told.
    """
    found = list(wrong)
    if found and _JUDGED.get() in (None, type(struct)):
        raise BrokenRulesError(found)


def _check(tree: Any, kind: Any, key: Key) -> Iterator[tuple[Key, str]]:
    struct = _struct_in(kind)
    if isinstance(tree, dict) and struct is not None:
        yield from _check_table(tree, struct, key)
    elif isinstance(tree, list) and (item := _item_of(kind)) is not None:
        for index, element in enumerate(tree):
            yield from _check(element, item, (*key, index))
    elif isinstance(tree, dict) and get_origin(kind) is dict and _struct_in(get_args(kind)[1]) is not None:
        for name, element in tree.items():
            yield from _check(element, get_args(kind)[1], (*key, name))
    else:
        try:
            msgspec.convert(tree, kind)
        except msgspec.ValidationError as error:
            yield key, f"{error}; found {_shown(tree)}"
        else:
            if not _is_finite(tree):
                yield key, f"NaN and infinity are no numbers here; found {_shown(tree)}"


def _shown(tree: Any) -> str:
    """What was found, as far as it helps: how deep Python looks before it gives up differs between its versions."""
    try:
        text = repr(tree)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_finite(tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(map(_is_finite, tree.values()))
    if isinstance(tree, list):
        return all(map(_is_finite, tree))
    return not isinstance(tree, float) or math.isfinite(tree)


def _check_table(tree: dict[str, Any], struct: type[Struct], key: Key) -> Iterator[tuple[Key, str]]:
    known = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, value in tree.items():
        if name in known:
            yield from _check(value, known[name].type, (*key, name))
        else:
            yield (*key, name), f"unknown key; known here: {', '.join(sorted(known))}"
    for name, field in known.items():
        if name not in tree and field.default is NODEFAULT and field.default_factory is NODEFAULT:
            yield (*key, name), "missing"
    if not any(name not in known for name in tree):
        for below, says in _broken_rules(tree, struct):
            yield (*key, *below), says


def _broken_rules(tree: dict[str, Any], struct: type[Struct]) -> list[Wrong]:
    """What a struct's own `__post_init__` says, once its fields are sound."""
    if not hasattr(struct, "__post_init__"):
        return []
    judged = _JUDGED.set(struct)
    try:
        msgspec.convert(tree, struct)
    except msgspec.ValidationError as error:
        if " - at `$." in str(error):
            return []  # a field's own mistake has been told already; it carries the path of the field
        return error.__cause__.wrong if isinstance(error.__cause__, BrokenRulesError) else [((), str(error))]
    finally:
        _JUDGED.reset(judged)
    return []


def _struct_in(kind: Any) -> type[Struct] | None:
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, Struct):
            return candidate if get_origin(kind) not in (list, tuple, dict) else None
    return None


def _item_of(kind: Any) -> Any:
    if get_origin(kind) in (list, tuple):
        item = get_args(kind)[0]
        return item if _struct_in(item) is not None else None
    return None


_SHOWN: Final = 200  # characters of what was found, in a mistake
_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\"'\- ]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT: Final = re.compile(r"^\s*([A-Za-z0-9_\"'.-]+)\s*=")


_KEY_SHOWN: Final = 100


def _key_lines(text: str) -> dict[Key, int]:
    """Line of each key. Enough for files people write; a key inside an inline table has its table's line."""
    lines: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = ()
            parts = [part.strip("\"' ") for part in header[2].split(".")]
            for depth, part in enumerate(parts):
                table = (*table, part)
                if depth == len(parts) - 1 and header[1] == "[[":
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
                lines.setdefault(table, number)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            key = (*table, *(part.strip("\"'") for part in assignment[1].split(".")))
            lines.setdefault(key[: len(table) + 1], number)
            lines.setdefault(key, number)
    return lines


def _line_of(lines: dict[Key, int], key: Key) -> int:
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return 0


def _mistake_at(text: str, number: int, says: str) -> Mistake:
    """For what has no key in the error: the last key at or above that line."""
    above = [(line, key) for key, line in _key_lines(text).items() if line <= number]
    key = max(above, default=(0, ()), key=lambda each: each[0])[1]
    return Mistake(number, ".".join(map(str, key))[:_KEY_SHOWN], says)


def _line_of_longest_number(text: str) -> int:
    longest = max(re.finditer(r"[0-9][0-9_]*", text), key=lambda found: len(found[0]))
    return text.count("\n", 0, longest.start()) + 1


def _deepest_line(text: str) -> int:
    """Where the value begins that has most brackets in one another, or the key that has most dots."""
    depth = begins = 0
    deepest = (0, 0)
    for number, line in enumerate(text.splitlines(), 1):
        begins = begins if depth else number
        for character in line:
            depth = max(0, depth + (character in "[{") - (character in "]}"))
            deepest = max(deepest, (depth, begins))
        deepest = max(deepest, (line.count("."), begins))
    return deepest[1]


Port = Annotated[int, Meta(ge=1, le=65535)]
Budget = Annotated[int, Meta(ge=1, le=1_000_000)]
Days = Annotated[int, Meta(ge=1, le=3650)]


class TlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Files of a TLS client: the authority to trust, and this device's certificate and key."""

    ca: str
    cert: str
    key: str


class ServerTlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Files of a TLS server: its certificate and key. With `ca`, clients must show a certificate of that authority."""

    cert: str
    key: str
    ca: str = ""


class BrokerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """An MQTT 5 broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    tls: TlsConfig | None = None


class DeviceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Who this part is: its site, its device name, its key, and the public keys (files) of the hub it believes."""

    site: SiteId
    id: DeviceId
    key: str
    hub_keys: list[str]


class JournalConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How much disk the journal may take, in MiB, and how long a receipted record stays."""

    record_mib: Budget = 256
    sample_mib: Budget = 64
    keep_days: Days = 30


class ClockConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """`simulated` names the file that takes the place of the kernel's clock in the demo and the tests."""

    simulated: str = ""
