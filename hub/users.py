"""Who may see the province's pages, and how they are added: what `commune province user` runs.

A password is asked for twice at the terminal, or read as one line from stdin for scripts; it is never an argument,
where every process list would show it.
"""

import argparse
import getpass
import sys
from pathlib import Path
from typing import Final, TextIO

from bus.errors import WrongInputError
from web.users import Users, drop_user, put_user

# Whoever signs in sees how communes stand. These open more.
ROLES: Final = ("ratings-raw",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `commune province user` its arguments."""
    parser.add_argument("--users", type=Path, required=True, metavar="FILE", help="the users file of the hub")
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="add a person, or give one a new password and roles")
    add.add_argument("name", help="what is typed at sign-in: a-z, 0-9 and . _ -")
    add.add_argument("--shown", default="", help="the name that pages show, such as 'Nguyễn Văn An'")
    add.add_argument("--role", action="append", default=[], choices=ROLES, help="may be given several times")
    remove = actions.add_parser("remove", help="take a person away; they are signed out at once")
    remove.add_argument("name")
    actions.add_parser("list", help="who there is")


def run(arguments: argparse.Namespace, *, out: TextIO = sys.stdout) -> int:
    """Do it; `WrongInputError` says what will not do."""
    match arguments.action:
        case "add":
            fresh = put_user(
                arguments.users,
                name=arguments.name,
                password=_ask_password(),
                shown=arguments.shown,
                roles=list(arguments.role),
            )
            print(f"{'added' if fresh else 'changed'}: {arguments.name}", file=out)
        case "remove":
            drop_user(arguments.users, arguments.name)
            print(f"removed: {arguments.name}", file=out)
        case _:
            for user in sorted(Users(arguments.users).all().values(), key=lambda user: user.name):
                print(f"{user.name}\t{user.shown}\t{' '.join(user.roles)}", file=out)
    return 0


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise WrongInputError("the two passwords differ; nothing was changed")
    return first
