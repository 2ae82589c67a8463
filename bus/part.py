"""How a part starts from the command line, the same for all: `commune PART --config FILE.toml [--check] [--json]`.

Exit codes: 0 done (SIGTERM or SIGINT), 1 failed, 2 wrong input. `--check` prints every mistake of the file with its key
and line, then what is wrong with the files that it names, and runs nothing. What the part itself needs is imported only
once its file holds.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
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
    """One part: its word on the command line, what it is for, its file's struct, and how to run it.

    `read` stands where the file is more than its struct. `check` raises `WrongInputError` for what the file names and
    is not as it should be; `--check` alone calls it, for `run` finds the same.
    """

    name: str
    about: str
    file: type[S]
    run: Callable[[S, StopOn], None]
    read: Callable[[Path], S] | None = None
    check: Callable[[S], None] | None = None

    @property
    def default_config(self) -> str:
        """Where its file stands on a device."""
        return f"/etc/commune/{self.name}.toml"


def run_part(part: Part[S], argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code."""
    options = _parser(part).parse_args(argv)
    try:
        config = part.read(Path(options.config)) if part.read else load(Path(options.config), part.file)
        if options.check and part.check is not None:
            part.check(config)
    except WrongInputError as error:
        _tell_mistakes(error, options.config, as_json=options.json)
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
        return _failed(part.name, list(_leaves(ours)))
    return 0


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves: groups within groups come of tasks within tasks."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _failed(name: str, errors: Sequence[BaseException]) -> int:
    for error in errors:
        logging.getLogger(name).error("%s ended %s", name, fields(error=error))
    return 2 if any(isinstance(error, WrongInputError) for error in errors) else 1


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def every(*checks: Callable[[], object]) -> None:
    """Make all of them; one `WrongInputError` with what each had to say."""
    found = []
    for check in checks:
        try:
            check()
        except WrongInputError as error:
            found.append(str(error))
    if found:
        raise WrongInputError("\n".join(found))


def _tell_mistakes(error: WrongInputError, config: str, *, as_json: bool) -> None:
    if not as_json:
        print(error, file=sys.stderr)
        return
    if isinstance(error, ConfigError):
        mistakes = [{"line": m.line, "key": m.key, "says": m.says} for m in error.mistakes]
    else:
        mistakes = [{"line": 0, "key": "", "says": says} for says in str(error).splitlines()]
    print(json.dumps({"config": config, "mistakes": mistakes}, ensure_ascii=False))


def _parser(part: Part[S]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"commune {part.name}", description=part.about)
    default = part.default_config
    parser.add_argument("--config", default=default, help=f"TOML file (default {default})")
    parser.add_argument("--check", action="store_true", help="only check the file: every mistake with its key and line")
    parser.add_argument("--json", action="store_true", help="print the result of --check as JSON")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser
