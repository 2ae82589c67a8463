"""Names of series as boxes write them, `name{label="value",...}`, read to the letter. Pure.

The grammar is that of Prometheus (prometheus.io/docs/concepts/data_model and the exposition format): a name, then
optional labels in braces, values escaped by backslash, quote and `n`. Whatever does not fit is refused, never mended: a
store would take a mended name for another series. Labels that the hub sets itself come to stand under `exported_`, as
Prometheus does it.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from bus.errors import WrongInputError

Labels = tuple[tuple[str, str], ...]

OURS: Final = ("commune", "site", "device")
_LENGTH: Final = 1024
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\[\\"n])*)"\s*(,|$)')
_ESCAPE: Final = re.compile(r"\\(.)")


@lru_cache(maxsize=50_000)
def parse(text: str) -> Labels:
    """The labels of a series, `__name__` first; `WrongInputError` where it is not one."""
    if len(text) > _LENGTH:
        raise WrongInputError(f"series name of {len(text)} characters, {_LENGTH} at most")
    name = _NAME.match(text)
    if name is None:
        raise WrongInputError(f"series {text!r} does not begin with a metric name")
    rest = text[name.end() :]
    labels: dict[str, str] = {}
    if rest:
        if not (rest.startswith("{") and rest.endswith("}")):
            raise WrongInputError(f"series {text!r}: labels stand in braces after the name, and nothing after them")
        labels = _labels(rest[1:-1], text)
    return (("__name__", name[0]), *labels.items())


def _labels(inside: str, text: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    at = 0
    while at < len(inside):
        found = _LABEL.match(inside, at)
        if found is None:
            raise WrongInputError(f'series {text!r}: label="value" wanted at character {at} of its labels')
        label, value = found[1], _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], found[2])
        if label.startswith("__") or label in labels:
            raise WrongInputError(f"series {text!r}: label {label} is reserved or stands twice")
        if value:  # an empty value is no label at all
            labels[label] = value
        at = found.end()
    return labels


def placed(labels: Labels, ours: Mapping[str, str]) -> Labels:
    """The series as the province knows it: the hub's own labels added, all in order of their names."""
    merged = {f"exported_{name}" if name in ours else name: value for name, value in labels}
    return tuple(sorted((merged | dict(ours)).items()))
