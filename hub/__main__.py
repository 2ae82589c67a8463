"""`commune hub --config FILE.toml [--check]`: one hub of the province, in the foreground."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bus.part import Part, StopOn, every, run_part
from hub.config import HubConfig, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run the hub; returns the exit code."""
    about = "The province: takes in, stores and shows."
    return run_part(Part("hub", about, HubConfig, _run, read=load, check=_check), argv)


def _run(config: HubConfig, stop_on: StopOn) -> None:
    from hub.service import run_hub  # late: --check needs none of it

    run_hub(config, stop_on)


def _check(config: HubConfig) -> None:
    from bus.envelope import SigningKey
    from bus.tls import server_context
    from hub.database import Database
    from hub.roster import Roster

    every(
        lambda: Roster.load(Path(config.roster)),
        lambda: SigningKey.load(Path(config.key)),
        lambda: Database(config.store).close(),
        lambda: config.http.tls and server_context(config.http.tls),
    )


if __name__ == "__main__":
    sys.exit(main())
