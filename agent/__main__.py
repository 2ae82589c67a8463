"""`commune agent --config FILE.toml [--check]`: the resident of the commune's box, in the foreground.

Exit codes: 0 done (SIGTERM or SIGINT), 1 failed, 2 wrong input. `--check` prints every mistake of the file with its key
and line, in the words of `bus.config`, and runs nothing.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.config import Config
from bus.config import ConfigError, load
from bus.errors import CommuneError, WrongInputError
from bus.logs import fields, start_logging

_LOG: Final = logging.getLogger(__name__)
DEFAULT_CONFIG: Final = "/etc/commune/agent.toml"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        config = load(Path(options.config), Config)
    except ConfigError as error:
        _tell_mistakes(error, as_json=options.json)
        return 2
    if options.check:
        print(json.dumps({"config": options.config, "mistakes": []}) if options.json else f"{options.config}: OK")
        return 0
    start_logging(verbose=options.verbose)
    return _run(config)


def _run(config: Config) -> int:
    from agent.resident import run_agent  # late: --check needs none of it

    try:
        run_agent(config, _stop_on_signals)
    except CommuneError as error:
        return _failed([error])
    except ExceptionGroup as group:
        ours, bugs = group.split(CommuneError)
        if ours is None or bugs is not None:
            raise
        return _failed(ours.exceptions)
    return 0


def _failed(errors: Sequence[BaseException]) -> int:
    for error in errors:
        _LOG.error("agent ended %s", fields(error=error))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="commune agent", description="Watch the commune's links and the box's health."
    )
    parser.add_argument("--config", default=DEFAULT_CONFIG, help=f"TOML file (default {DEFAULT_CONFIG})")
    parser.add_argument("--check", action="store_true", help="only check the file: every mistake with its key and line")
    parser.add_argument("--json", action="store_true", help="print the result of --check as JSON")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


if __name__ == "__main__":
    sys.exit(main())
