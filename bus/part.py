"""How a part starts from the command line, the same for all: `commune PART --config FILE.toml [--check] [--json]`.

Exit codes: 0 done (SIGTERM or SIGINT), 1 failed, 2 wrong input. `--check` prints every mistake of the file with its key
and line, and runs nothing. What the part itself needs is imported only once its file holds.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from bus.config import ConfigError, load
from bus.errors import CommuneError, WrongInputError
from bus.logs import fields, start_logging

S = TypeVar("S", bound=Struct)

# Runs a part to its end; it is given the function that arms an event with SIGTERM and SIGINT, inside its loop.
StopOn = Callable[[asyncio.Event], None]


@dataclass(frozen=True, slots=True)
class Part(Generic[S]):
    """One part: its word on the command line, what it is for, its file's struct, and how to run it."""

    name: str
    about: str
    file: type[S]
    run: Callable[[S, StopOn], None]

    @property
    def default_config(self) -> str:
        """Where its file stands on a device."""
        return f"/etc/commune/{self.name}.toml"


def run_part(part: Part[S], argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code."""
    options = _parser(part).parse_args(argv)
    try:
        config = load(Path(options.config), part.file)
    except ConfigError as error:
        _tell_mistakes(error, as_json=options.json)
        return 2
    if options.check:
        print(json.dumps({"config": options.config, "mistakes": []}) if options.json else f"{options.config}: OK")
        return 0
    start_logging(verbose=options.verbose)
    try:
        part.run(config, _stop_on_signals)
    except CommuneError as error:
        return _failed(part.name, [error])
    except ExceptionGroup as group:
        ours, bugs = group.split(CommuneError)
        if ours is None or bugs is not None:
            raise
        return _failed(part.name, ours.exceptions)
    return 0


def _failed(name: str, errors: Sequence[BaseException]) -> int:
    for error in errors:
        logging.getLogger(name).error("%s ended %s", name, fields(error=error))
    return 2 if any(isinstance(error, WrongInputError) for error in errors) else 1


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def _tell_mistakes(error: ConfigError, *, as_json: bool) -> None:
    if as_json:
        mistakes = [{"line": m.line, "key": m.key, "says": m.says} for m in error.mistakes]
        print(json.dumps({"config": str(error.path), "mistakes": mistakes}, ensure_ascii=False))
    else:
        print(error, file=sys.stderr)


def _parser(part: Part[S]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"commune {part.name}", description=part.about)
    default = part.default_config
    parser.add_argument("--config", default=default, help=f"TOML file (default {default})")
    parser.add_argument("--check", action="store_true", help="only check the file: every mistake with its key and line")
    parser.add_argument("--json", action="store_true", help="print the result of --check as JSON")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser
