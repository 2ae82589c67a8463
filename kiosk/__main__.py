"""`commune kiosk --config FILE.toml [--check]`: the satisfaction kiosk of one counter, in the foreground."""

import sys
from collections.abc import Sequence

from bus.part import Part, StopOn, run_part
from kiosk.config import KioskFile


def main(argv: Sequence[str] | None = None) -> int:
    """Run the kiosk; returns the exit code."""
    return run_part(Part("kiosk", "Take the satisfaction of citizens at one counter.", KioskFile, _run), argv)


def _run(config: KioskFile, stop_on: StopOn) -> None:
    from kiosk.resident import run_kiosk  # late: --check needs none of it

    run_kiosk(config, stop_on)


if __name__ == "__main__":
    sys.exit(main())
