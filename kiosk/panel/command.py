"""`commune panel`: a simulated panel, driven by hand or by a socket.

commune panel --link /tmp/panel                  a panel of its own; give the link to a kiosk as its serial device
commune panel --link P --control S --headless    the same for programs (the demo)
commune panel --attach S                         take such a panel in hand
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import msgspec

from bus.errors import UnavailableError, WrongInputError
from bus.texts import msgid, translator
from bus.unix_sockets import connect_to
from kiosk.panel.bench import PanelBench, Seen


def main(argv: list[str]) -> int:
    """Run the sub-command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.attach is not None:
        asyncio.run(_attach(arguments.attach, arguments.language))
    elif arguments.link is None:
        raise WrongInputError("say where the panel's line is to appear: --link PATH (or --attach SOCKET)")
    else:
        asyncio.run(_own(arguments))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="commune panel", description="A simulated button panel.")
    parser.add_argument("--link", type=Path, help="stable name of the serial line to make")
    parser.add_argument("--control", type=Path, help="Unix socket to be driven by")
    parser.add_argument("--attach", type=Path, help="take the panel behind this control socket in hand")
    parser.add_argument("--headless", action="store_true", help="draw nothing")
    parser.add_argument("--buttons", type=int, choices=(3, 4, 5), default=5)
    parser.add_argument("--id", default="P-SIM", help="the panel's own id")
    parser.add_argument("--language", choices=("vi", "en"), default="vi")
    return parser


async def _own(arguments: argparse.Namespace) -> None:
    bench = PanelBench(arguments.link, panel=arguments.id, buttons=arguments.buttons)
    if not arguments.headless:
        await _in_hand(bench, arguments.language)
        return
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = asyncio.create_task(bench.run(arguments.control), name="panel")
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _in_hand(bench: PanelBench, language: str) -> None:
    from kiosk.panel.hand import HandPanel  # only where a terminal wants it

    app = HandPanel(bench.do, language=language)
    work = asyncio.create_task(bench.run(), name="panel")

    async def follow() -> None:
        last: Seen | None = None
        await app.drawn.wait()
        while True:
            if (seen := bench.seen()) != last:
                await app.show(seen)
                last = seen
            await asyncio.sleep(0.05)

    following = asyncio.create_task(follow(), name="panel lamps")
    try:
        await app.run_async()
    finally:
        for task in (following, work):
            task.cancel()
        await asyncio.gather(following, work, return_exceptions=True)


async def _attach(socket: Path, language: str) -> None:
    from kiosk.panel.hand import HandPanel

    try:
        reader, writer = await asyncio.open_unix_connection(sock=connect_to(socket))
    except OSError as error:
        raise UnavailableError(f"no panel answers at {socket}: {error}") from error
    app = HandPanel(lambda command: writer.write(msgspec.json.encode(command) + b"\n"), language=language)

    async def follow() -> None:
        while line := await reader.readline():
            await app.drawn.wait()
            await app.show(msgspec.json.decode(line, type=Seen))
        app.exit(message=translator(language).gettext(msgid("The panel has gone.")))

    following = asyncio.create_task(follow(), name="panel lamps")
    try:
        await app.run_async()
    finally:
        following.cancel()
        writer.close()
        await asyncio.gather(following, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
