"""`commune top [--state DIR | --agent URL ...]`: the technician's live view, in a terminal of 80x24 or more."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.top.sources import MetricsSource, Source, find_boxes

_DEFAULT: Final = "/var/lib/commune"


def main(argv: Sequence[str] | None = None) -> int:
    """Show until `q`; with `--json` look once and print what was seen."""
    options = _parser().parse_args(argv)
    sources: list[Source] = [MetricsSource(url) for url in options.agent] or list(find_boxes(Path(options.state)))
    if options.json:
        return _print_once(sources)
    if not sys.stdout.isatty():
        print("commune: top draws on a terminal; use --json to look once from a script", file=sys.stderr)
        return 2
    from agent.top.app import Top  # half a second of Textual, which --json does without

    Top(sources, language=options.language).run(mouse=False)
    return 0


def _print_once(sources: list[Source]) -> int:
    import asyncio

    import msgspec

    async def look() -> int:
        failed = 0
        for source in sources:
            seen = await source.look()
            failed |= seen.now is None
            print(json.dumps({"place": source.place, **msgspec.to_builtins(seen)}, ensure_ascii=False))
        return failed

    return asyncio.run(look())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="commune top", description="Xem trực tiếp tại xã / a live view of a commune")
    parser.add_argument("--state", default=_DEFAULT, help=f"state folder of the box, or of a demo (default {_DEFAULT})")
    parser.add_argument(
        "--agent", action="append", default=[], metavar="URL", help="an agent's /metrics instead; may be repeated"
    )
    parser.add_argument("--language", choices=("vi", "en"), default="vi")
    parser.add_argument(
        "--json", action="store_true", help="look once, and print what was seen, a line for each commune"
    )
    return parser
