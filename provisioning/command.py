"""The one command, `commune`: finds the part that was asked for, loads it alone, and turns its errors into exit codes.

Invariant: a process imports only its own part, so a Pi's agent never pays for the hub's libraries. Exit codes are
0 done, 1 failed, 2 wrong input. Each sub-command is a function `(argv) -> int` that parses its own arguments.
"""

import difflib
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bus.errors import CommuneError, WrongInputError

DONE: Final = 0
FAILED: Final = 1
WRONG_INPUT: Final = 2


@dataclass(frozen=True, slots=True)
class SubCommand:
    """One word of the command line: where its function is, and what it is for in both languages."""

    target: str  # "module:function", imported only when it is asked for
    vi: str
    en: str


# A name stands here once it works. The order is the one people read.
SUB_COMMANDS: Final[dict[str, SubCommand]] = {
    "demo": SubCommand(
        "provisioning.demo.command:main",
        "chạy thử cả một tỉnh nhỏ trên máy này",
        "run a whole small province on this machine",
    ),
    "agent": SubCommand(
        "agent.__main__:main",
        "bộ phận thường trực ở xã: theo dõi đường truyền và sức khỏe thiết bị",
        "the resident of a commune's box: watches links and health",
    ),
    "kiosk": SubCommand(
        "kiosk.__main__:main",
        "kiosk đánh giá mức độ hài lòng ở quầy một cửa",
        "the satisfaction kiosk at the one-stop counter",
    ),
    "panel": SubCommand(
        "kiosk.panel.command:main",
        "bảng nút mô phỏng, bấm bằng tay",
        "a simulated button panel, driven by hand",
    ),
    "top": SubCommand(
        "agent.top.command:main",
        "xem trực tiếp đường truyền, thiết bị và nhật ký tại xã",
        "the technician's live view: links, devices, log",
    ),
    "hub": SubCommand(
        "hub.__main__:main",
        "trung tâm của tỉnh: nhận, lưu và hiển thị dữ liệu của các xã",
        "the province: takes in, stores and shows what the communes send",
    ),
    "province": SubCommand(
        "provisioning.province:main",
        "người dùng và mã truy cập của tỉnh",
        "the province's people and tokens",
    ),
}

_HELP: Final = ("-h", "--help", "help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except WrongInputError as error:
        _tell(error)
        return WRONG_INPUT
    except CommuneError as error:
        _tell(error)
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has gone (`commune ... | head`); keep the interpreter from saying so at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _dispatch(words: list[str]) -> int:
    if not words:
        print(listing(), file=sys.stderr)
        return WRONG_INPUT
    first, rest = words[0], words[1:]
    if first in _HELP:
        print(listing())
        return DONE
    if first == "--version":
        print(json.dumps({"version": version()}) if "--json" in rest else f"commune {version()}")
        return DONE
    return _load(first)(rest)


def _load(name: str) -> Callable[[list[str]], int]:
    command = SUB_COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, SUB_COMMANDS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise WrongInputError(f"unknown command {name!r}{hint} Known: {', '.join(SUB_COMMANDS)}")
    module, _, function = command.target.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == module.partition(".")[0]:
            raise
        raise CommuneError(
            f"'commune {name}' needs the Python package {error.name!r}, which is not installed here; "
            f"install commune-edge with the extra that holds it"
        ) from error
    entry: Callable[[list[str]], int] = getattr(loaded, function)
    return entry


def listing() -> str:
    """What `commune --help` prints."""
    width = max(map(len, SUB_COMMANDS)) + 2
    lines = [
        "Cách dùng / usage: commune LỆNH|COMMAND [...]",
        "",
        "Lệnh / commands:",
    ]
    for name, command in SUB_COMMANDS.items():
        lines += [f"  {name:<{width}}{command.vi}", f"  {'':<{width}}{command.en}"]
    lines += [
        "",
        "  commune LỆNH --help   cách dùng từng lệnh / how to use one command",
        "  commune --version     phiên bản / version",
    ]
    return "\n".join(lines)


def version() -> str:
    """The installed version of the distribution."""
    from importlib.metadata import version as installed  # slow to import, and seldom asked for

    return installed("commune-edge")


def _tell(error: CommuneError) -> None:
    print(f"commune: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
