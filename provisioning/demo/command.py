"""`commune demo`: its arguments, what it prints, and when it ends.

With `--json` stdout holds JSON objects alone, one a line: first `ready`, then `restarted` for each restart, and
`stopped` at the end. Otherwise it says in Vietnamese and English where to look. Progress and restarts before the ready
line go to stderr.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bus.errors import CommuneError, WrongInputError
from bus.texts import msgid, pick, say
from provisioning.demo.folder import USER, DemoFolder
from provisioning.demo.machine import Machine, survey
from provisioning.demo.session import Demo

MOST_COMMUNES: Final = 200
MOST_SPEAKERS: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo until it is told to end; the exit code."""
    arguments = _parse(argv)
    if sys.platform != "linux":
        raise WrongInputError("the demo runs on Linux alone")
    with _folder(arguments.state) as folder, folder.held():
        return asyncio.run(_run(arguments, folder))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="commune demo",
        description="Chạy thử cả một tỉnh nhỏ trên máy này. / Run a whole small province on this machine.",
    )
    parser.add_argument("--communes", type=int, default=1, metavar="N", help="số xã / how many communes (1)")
    parser.add_argument(
        "--speakers", type=int, default=1, metavar="N", help="số cụm loa mỗi xã / speakers a commune (1)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="thư mục giữ dữ liệu, chạy lại thì tiếp tục / folder to keep everything in and go on with later",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="tự dừng sau S giây / end by itself after S seconds")
    parser.add_argument(
        "--panel",
        type=Path,
        metavar="PATH",
        help="bảng nút thật ở cổng nối tiếp này / a real panel on this serial device",
    )
    parser.add_argument("--json", action="store_true", help="chỉ in JSON / print JSON alone")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.communes <= MOST_COMMUNES:
        raise WrongInputError(f"--communes {arguments.communes}: from 1 to {MOST_COMMUNES} are wanted")
    if not 0 <= arguments.speakers <= MOST_SPEAKERS:
        raise WrongInputError(f"--speakers {arguments.speakers}: from 0 to {MOST_SPEAKERS} are wanted")
    if arguments.seconds is not None and not arguments.seconds >= 0:
        raise WrongInputError(f"--seconds {arguments.seconds}: 0 or more is wanted")
    if arguments.panel is not None and not arguments.panel.exists():
        raise WrongInputError(f"--panel {arguments.panel}: there is no such device")
    return arguments


@contextmanager
def _folder(state: Path | None) -> Iterator[DemoFolder]:
    """The folder asked for, or one of our own that goes when we do; after a failure it stays, for its logs."""
    if state is not None:
        yield DemoFolder(state.absolute())
        return
    root = Path(tempfile.mkdtemp(prefix="commune-demo-"))
    try:
        yield DemoFolder(root)
    except CommuneError as error:
        raise type(error)(f"{error}\n  (logs: {root / 'logs'})") from error
    shutil.rmtree(root, ignore_errors=True)


async def _run(arguments: argparse.Namespace, folder: DemoFolder) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    machine = await survey()
    voice = _Voice(as_json=arguments.json)
    demo = Demo(folder, arguments.communes, machine, tell=voice.event, progress=voice.progress, panel=arguments.panel)
    stopping = asyncio.ensure_future(stop.wait())
    starting = asyncio.ensure_future(demo.start())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            voice.ready(await starting, demo, machine)
            await asyncio.wait({stopping}, timeout=arguments.seconds)
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        voice.stopped(await demo.stop())
    return 0


class _Voice:
    """What the demo says, to programs or to people."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json

    def event(self, event: dict[str, Any]) -> None:
        if self._json:
            print(json.dumps(event, ensure_ascii=False), flush=True)
        else:
            _whisper(" ".join(f"{key}={value}" for key, value in event.items()))

    def progress(self, up: int, total: int, name: str) -> None:
        _whisper(f"[{up}/{total}] {name}")

    def ready(self, line: dict[str, Any], demo: Demo, machine: Machine) -> None:
        if self._json:
            self.event(line)
        else:
            print("\n".join(_where_to_look(line, demo, machine)), flush=True)

    def stopped(self, killed: list[str]) -> None:
        if self._json:
            self.event({"event": "stopped", "killed": killed})
        else:
            _whisper("Đã dừng. / Stopped." + (f" Phải ngắt / killed: {', '.join(killed)}" if killed else ""))


def _whisper(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _where_to_look(line: dict[str, Any], demo: Demo, machine: Machine) -> Iterator[str]:
    for language in ("vi", "en"):

        def text(key: str, language: str = language, **values: object) -> str:
            return pick(language, say(key, **values))

        yield ""
        yield text(msgid("Everything is up: {count} communes."), count=len(line["communes"]))
        yield "  " + text(msgid("Province: {url}"), url=line["hub"]["url"])
        yield "    " + text(msgid("sign in as {user}, password {password}"), user=USER, password=demo.secrets.password)
        if line["prometheus"]:
            yield f"  Prometheus: {line['prometheus']}"
        if line["alertmanager"]:
            yield f"  Alertmanager: {line['alertmanager']}"
        for commune in line["communes"][:5]:
            yield "  " + text(
                msgid("Commune {name}: agent {url}"), name=commune["name"], url=f"{commune['agent']}/metrics"
            )
            for kiosk in commune["kiosks"]:
                yield "    " + text(msgid("Kiosk {id}: {page}"), id=kiosk["id"], page=kiosk["page"])
        yield "  " + text(
            msgid("Folder: {path} (logs in {logs})"), path=demo.folder.root, logs=demo.folder.root / "logs"
        )
        for left_out in machine.left_out():
            yield "  " + pick(language, left_out)
        yield "  " + text(msgid("Press Ctrl-C to end."))
