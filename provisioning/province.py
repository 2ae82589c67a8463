"""`commune province user|token`: who may see the province's pages, and which programs may ask its API.

Both work on the files that the hub's configuration names, while the hub runs: it reads them again by itself.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from hub import config, users
from hub.api import tokens
from hub.service import token_file, users_file


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked; the exit code. `WrongInputError` says what will not do."""
    parser = argparse.ArgumentParser(prog="commune province", description="The province's people and programs.")
    subjects = parser.add_subparsers(dest="subject", required=True)
    user = subjects.add_parser("user", help="who may sign in to the pages")
    token = subjects.add_parser("token", help="which programs may ask the API")
    for each in (user, token):
        each.add_argument("--config", type=Path, required=True, metavar="FILE", help="the hub's TOML file")
        each.add_argument("--json", action="store_true", help="print the result as JSON")
    users.add_arguments(user)
    actions = token.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a token, or a new one of that name; it is shown this once")
    add.add_argument("name", help="what it is for: a-z, 0-9 and . _ -")
    add.add_argument(
        "--scope", action="append", required=True, choices=tokens.SCOPES, help="may be given several times"
    )
    remove = actions.add_parser("remove", help="end a token at once")
    remove.add_argument("name")
    actions.add_parser("list", help="which there are")
    arguments = parser.parse_args(argv)
    read = config.load(arguments.config)
    if arguments.subject == "user":
        return users.run(arguments, users_file(read))
    return _token(arguments, token_file(read))


def _token(arguments: argparse.Namespace, file: Path) -> int:
    match arguments.action:
        case "add":
            text = tokens.issue(file, name=arguments.name, scopes=arguments.scope)
            print(json.dumps({"name": arguments.name, "token": text}) if arguments.json else text)
        case "remove":
            tokens.drop(file, arguments.name)
            print(json.dumps({"removed": arguments.name}) if arguments.json else f"removed: {arguments.name}")
        case _:
            rows = [{"name": one.name, "scopes": one.scopes} for one in tokens.read(file)]
            plain = "\n".join(f"{row['name']}\t{' '.join(row['scopes'])}" for row in rows)
            print(json.dumps(rows) if arguments.json else plain)
    return 0
