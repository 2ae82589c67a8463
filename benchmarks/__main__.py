"""`python -m benchmarks [NAME ...]`: run them one after the other, show the table, write the JSON.

Exits 1 where a bound is missed or a benchmark breaks; the others still run.
"""

import argparse
import importlib
import json
import pkgutil
import shlex
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import benchmarks
from benchmarks.report import Results, Row, document, machine, replace_section, table

_NOT_BENCHMARKS = {"__main__", "report"}


def names() -> list[str]:
    """Every benchmark there is; a module whose name begins with an underscore is a helper of one."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if name not in _NOT_BENCHMARKS and not name.startswith("_"))


def main(argv: list[str]) -> int:
    """Run what the arguments name; all of them when they name none."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names()) or 'none yet'}")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the full size; figures of less are rough")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="where the JSON goes, - for stdout")
    parser.add_argument("--evidence", type=Path, help="also put the table into this Markdown file")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}")

    if options.evidence and not options.evidence.is_file():
        parser.error(f"--evidence: {options.evidence} is no file; the table goes into one that has a place for it")

    results: dict[str, list[Row]] = {}
    broken: list[str] = []
    for name in options.names or names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results[name] = importlib.import_module(f"benchmarks.{name}").run(options.scale)
        except Exception:  # noqa: BLE001 - one broken benchmark must not hide what the others say
            traceback.print_exc()
            broken.append(name)
    command = shlex.join(["scripts/bench", *argv])
    written = json.dumps(document(results, command=command), indent=1, ensure_ascii=False)
    to_stdout = str(options.json) == "-"
    if to_stdout:
        print(written)
    else:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(written + "\n", encoding="utf-8")
    print(table(results), file=sys.stderr if to_stdout else sys.stdout)
    if options.evidence:
        _keep(options.evidence, results, command)
    missed = [f"{name}: {row.measure}" for name, rows in results.items() for row in rows if row.missed]
    for what, which in (("missed", missed), ("broken", broken)):
        if which:
            print(f"{what}: {'; '.join(which)}", file=sys.stderr)
    return 1 if missed or broken else 0


def _keep(path: Path, results: Results, command: str) -> None:
    there = machine()
    intro = (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}: {there['cpu']}, {there['cores']} cores, Python {there['python']}"
    )
    text = replace_section(path.read_text(encoding="utf-8"), "bench", ["", intro, "", table(results), ""])
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
