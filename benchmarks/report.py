"""Rows of a benchmark, their bounds, and how they are shown: a table for people, JSON for machines."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must keep: `of` its value, or of its ratio to the peer's value."""

    of: Literal["value", "ratio"]
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, figure: float) -> bool:
        """Whether `figure` keeps it."""
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)

    def __str__(self) -> str:
        sign, limit = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{'×' if self.of == 'ratio' else ''}{sign} {_number(limit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `peer` names what `peer_value` was measured on, in the same run and unit."""

    measure: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    bounds: tuple[Bound, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def missed(self) -> tuple[Bound, ...]:
        """Bounds that it does not keep; a bound on a ratio without a peer is missed."""
        return tuple(bound for bound in self.bounds if not self._keeps(bound))

    def _keeps(self, bound: Bound) -> bool:
        figure = self.value if bound.of == "value" else self.ratio
        return figure is not None and bound.holds(figure)


Results = Mapping[str, list[Row]]

_HEAD = ("measure", "value", "unit", "peer", "peer's", "ratio", "wanted", "")


def table(results: Results) -> str:
    """The rows as a Markdown table: it reads well in a terminal and stands in docs/evidence.md as it is."""
    lines: list[tuple[str, ...]] = [_HEAD]
    for name, rows in results.items():
        lines += [_cells(name, row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(drawn)


def _cells(name: str, row: Row) -> tuple[str, ...]:
    wanted = ", ".join(map(str, row.bounds))
    verdict = "" if not row.bounds else "missed" if row.missed else "kept"
    return (
        f"{name}: {row.measure}",
        _number(row.value),
        row.unit,
        row.peer,
        _number(row.peer_value),
        _number(row.ratio),
        wanted,
        verdict,
    )


def document(results: Results, *, command: str) -> dict[str, Any]:
    """The same for machines, with the machine it was measured on."""
    return {
        "command": command,
        "machine": machine(),
        "rows": [
            {"benchmark": name, **asdict(row), "ratio": row.ratio, "missed": bool(row.missed)}
            for name, rows in results.items()
            for row in rows
        ],
    }


def machine() -> dict[str, Any]:
    """What a reader must know of the machine to place the figures."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    named = (
        line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith(("model name", "Model"))
    )
    return {
        "cpu": next(named, platform.machine()),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def section(text: str, name: str) -> list[str]:
    """The lines between `<!-- name -->` and `<!-- /name -->`."""
    return _split(text, name)[1].splitlines()


def replace_section(text: str, name: str, lines: Iterable[str]) -> str:
    """`text` with `lines` in the place of the section `name`."""
    before, _, after = _split(text, name)
    return "\n".join([before, *lines, after])


def _split(text: str, name: str) -> tuple[str, str, str]:
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found_start, rest = text.partition(start)
    inner, found_end, after = rest.partition(end)
    if not found_start or not found_end:
        raise ValueError(f"no section {start} ... {end}; add the two lines where the figures shall stand")
    return before + start, inner, end + after


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
