"""The people who may sign in: a TOML file with a hash of each password, and what each may do.

The file is written whole or not at all, and read again when it has changed on disk, so that adding a person or taking
one away holds at once. A file that does not parse is reported, and the people last read stay: a slip of the pen locks
nobody out. A part says which roles it knows; there is no role that comes by itself.
"""

import hashlib
import json
import logging
import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from bus import config
from bus.errors import WrongInputError
from bus.files import replace_file
from bus.logs import fields
from web import passwords

log = logging.getLogger("users")

_NAME: Final = re.compile(r"^[a-z0-9](?:[a-z0-9._-]{0,46}[a-z0-9])?$")


class User(Struct, frozen=True, forbid_unknown_fields=True):
    """One person. `name` is typed at sign-in, `shown` is what pages call them."""

    name: Annotated[str, Meta(pattern=_NAME.pattern)]
    password: str
    shown: str = ""
    roles: list[str] = []

    @property
    def fingerprint(self) -> str:
        """Changes with the password: a session holds it, so a new password ends the old one's sessions."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


class UsersTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it stands: `[[user]]` tables."""

    user: list[User] = []


class Users:
    """The people of one file, as they are now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._people: dict[str, User] = {}

    def all(self) -> dict[str, User]:
        """Everybody, by name; empty when there is no file yet."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._people = None, {}
            return self._people
        except OSError as error:
            log.error("users not readable %s", fields(path=self.path, error=error))
            return self._people
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._seen = seen
            try:
                self._people = _read(self.path)
            except config.ConfigError as error:
                log.error("users not read, the last good ones stay %s", fields(error=error))
        return self._people

    def get(self, name: str) -> User | None:
        """The person of that name, if there is one."""
        return self.all().get(name)

    def check(self, name: str, password: str) -> User | None:
        """The person whose name and password these are. As slow for a name that does not exist."""
        user = self.get(name.strip().lower())
        right = passwords.verify_password(password, user.password if user else passwords.NOBODY)
        return user if right else None


def put_user(path: Path, *, name: str, password: str, shown: str = "", roles: list[str]) -> bool:
    """Add a person or give one a new password and roles; True when the name is new.

    `WrongInputError` for a name or password that will not do, or where the file there does not parse.
    """
    if not _NAME.fullmatch(name):
        raise WrongInputError(f"user name {name!r}: 1 to 48 of a-z, 0-9 and inner . _ - are wanted")
    shown = unicodedata.normalize("NFC", shown).strip()
    if any(unicodedata.category(character).startswith("C") for character in shown):
        raise WrongInputError("the name to show holds control characters; type it again without them")
    passwords.check_strength(password)
    people = _read(path) if path.exists() else {}
    fresh = name not in people
    people[name] = User(name=name, password=passwords.hash_password(password), shown=shown, roles=sorted(set(roles)))
    _write(path, people)
    return fresh


def drop_user(path: Path, name: str) -> None:
    """Take a person away; their sessions end with it. `WrongInputError` when there is none of that name."""
    people = _read(path) if path.exists() else {}
    if people.pop(name, None) is None:
        raise WrongInputError(f"no user {name!r} in {path}; there are: {', '.join(sorted(people)) or 'none'}")
    _write(path, people)


def _read(path: Path) -> dict[str, User]:
    return {user.name: user for user in config.load(path, UsersTable).user}


def _write(path: Path, people: dict[str, User]) -> None:
    lines = ["# People who may sign in. Written by the command; passwords stand here as scrypt hashes only.\n"]
    for user in sorted(people.values(), key=lambda user: user.name):
        # A JSON string without control characters is a TOML basic string too.
        lines += ["\n[[user]]\n", f"name = {_quoted(user.name)}\n", f"shown = {_quoted(user.shown)}\n"]
        lines += [f"roles = [{', '.join(_quoted(role) for role in user.roles)}]\n"]
        lines += [f"password = {_quoted(user.password)}\n"]
    old_mask = os.umask(0o077)
    try:
        replace_file(path, "".join(lines).encode(), mode=0o600)
    finally:
        os.umask(old_mask)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
