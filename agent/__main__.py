"""`commune agent --config FILE.toml [--check]`: the resident of the commune's box, in the foreground."""

import sys
from collections.abc import Sequence

from agent.config import Config
from bus.part import Part, StopOn, run_part


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; returns the exit code."""
    return run_part(Part("agent", "Watch the commune's links and the health of its box.", Config, _run), argv)


def _run(config: Config, stop_on: StopOn) -> None:
    from agent.resident import run_agent  # late: --check needs none of it

    run_agent(config, stop_on)


if __name__ == "__main__":
    sys.exit(main())
