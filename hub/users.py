"""Who may see the province's pages, and how they are added: what `commune province user` runs.

A password is asked for twice at the terminal, or read as one line from stdin for scripts; it is never an argument,
where every process list would show it.
"""

import argparse
import getpass
import json
import sys
from pathlib import Path
from typing import Final, TextIO

from bus.errors import WrongInputError
from web.users import Users, drop_user, put_user

# Whoever signs in sees how communes stand. These open more.
ROLES: Final = ("ratings-raw",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `commune province user` its arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="add a person, or give one a new password and roles")
    add.add_argument("name", help="what is typed at sign-in: a-z, 0-9 and . _ -")
    add.add_argument("--shown", default="", help="the name that pages show, such as 'Nguyễn Văn An'")
    add.add_argument("--role", action="append", default=[], choices=ROLES, help="may be given several times")
    remove = actions.add_parser("remove", help="take a person away; they are signed out at once")
    remove.add_argument("name")
    actions.add_parser("list", help="who there is")


def run(arguments: argparse.Namespace, file: Path, *, out: TextIO | None = None) -> int:
    """Do it on the users file; `WrongInputError` says what will not do."""
    out = out or sys.stdout
    match arguments.action:
        case "add":
            fresh = put_user(
                file,
                name=arguments.name,
                password=_ask_password(),
                shown=arguments.shown,
                roles=list(arguments.role),
            )
            _tell(arguments, "added" if fresh else "changed", out)
        case "remove":
            drop_user(file, arguments.name)
            _tell(arguments, "removed", out)
        case _:
            people = sorted(Users(file).all().values(), key=lambda user: user.name)
            rows = [{"name": user.name, "shown": user.shown, "roles": user.roles} for user in people]
            lines = [f"{user.name}\t{user.shown}\t{' '.join(user.roles)}\n" for user in people]
            out.write(json.dumps(rows, ensure_ascii=False) + "\n" if arguments.json else "".join(lines))
    return 0


def _tell(arguments: argparse.Namespace, what: str, out: TextIO) -> None:
    print(json.dumps({what: arguments.name}) if arguments.json else f"{what}: {arguments.name}", file=out)


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise WrongInputError("the two passwords differ; nothing was changed")
    return first
