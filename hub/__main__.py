"""`commune hub --config FILE [--check]`: one hub, in the foreground."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bus.envelope import SigningKey
from bus.errors import WrongInputError
from bus.logs import start_logging
from hub import config
from hub.database import Database
from hub.roster import Roster
from hub.service import Service


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="commune hub", description="The province: takes in, stores and shows.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the hub's TOML file")
    parser.add_argument("--check", action="store_true", help="say what is wrong with the files, and end")
    parser.add_argument("--verbose", action="store_true", help="log more")
    arguments = parser.parse_args(argv)
    if arguments.check:
        check(arguments.config)
        return 0
    start_logging(verbose=arguments.verbose)
    read = config.load(arguments.config)
    return asyncio.run(_serve(Service(read)))


def check(path: Path) -> None:
    """Read everything that the file names; `WrongInputError` with all that is wrong."""
    read = config.load(path)
    checks: list[Callable[[], object]] = [
        lambda: Roster.load(Path(read.roster)),
        lambda: SigningKey.load(Path(read.key)),
        lambda: Database(read.store).close(),
    ]
    found = []
    for one in checks:
        try:
            one()
        except WrongInputError as error:
            found.append(str(error))
    if found:
        raise WrongInputError("\n".join(found))


async def _serve(service: Service) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await service.run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
