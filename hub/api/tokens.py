"""Bearer tokens (RFC 6750): who may ask the API what. Kept as SHA-256 in a TOML file, with a name and scopes.

A token is 256 random bits, so a plain hash guards it as well as a slow one. It is shown once, when it is made. The file
is read again when it has changed: taking a token out of it ends it at once.
"""

import hashlib
import hmac
import json
import logging
import re
import secrets
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct
from starlette.requests import Request

from bus import config
from bus.errors import WrongInputError
from bus.files import replace_file
from bus.logs import fields
from web.problems import ProblemError, problem

log = logging.getLogger("tokens")

Scope = Literal["read", "metrics", "ratings-raw"]
SCOPES: Final[tuple[str, ...]] = get_args(Scope)
PREFIX: Final = "ce_"
_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,47}$")


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """One token: what for, what it may do, and the SHA-256 of its text in hex."""

    name: Annotated[str, Meta(pattern=_NAME.pattern)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: list[Scope] = []


class TokensTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it stands: `[[token]]` tables."""

    token: list[Token] = []


class Tokens:
    """The tokens of one file, as they are now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def check(self, request: Request, scope: Scope) -> Token:
        """The token that a request carries; a problem of status 401 or 403 where it does not open this."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise _unauthorized('Bearer realm="commune"', "send the header Authorization: Bearer <token>")
        token = self._find(text.strip())
        if token is None:
            raise _unauthorized('Bearer realm="commune", error="invalid_token"', "this token is not known here")
        if scope not in token.scopes:
            raise ProblemError(
                problem(403, "scope", "The token does not open this", f"token {token.name} lacks the scope {scope}"),
                headers={"WWW-Authenticate": f'Bearer realm="commune", error="insufficient_scope", scope="{scope}"'},
            )
        return token

    def _find(self, text: str) -> Token | None:
        digest = _digest(text)
        found = None
        for token in self._now():
            # All are compared, each in constant time: how long it takes tells nothing.
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def _now(self) -> tuple[Token, ...]:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._seen = seen
                self._tokens = tuple(config.load(self._path, TokensTable).token)
        except FileNotFoundError:
            self._seen, self._tokens = None, ()
        except (OSError, config.ConfigError) as error:
            log.error("tokens not read, the last good ones stay %s", fields(error=error))
        return self._tokens


def issue(path: Path, *, name: str, scopes: list[str]) -> str:
    """Make a token and return its text, which is kept nowhere; one of that name is replaced.

    `WrongInputError` for a name or scope that will not do, or where the file there does not parse.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise WrongInputError(f"token scopes {', '.join(unknown) or '(none)'}: wanted are some of {', '.join(SCOPES)}")
    if not _NAME.fullmatch(name):
        raise WrongInputError(f"token name {name!r}: 1 to 48 of a-z, 0-9 and . _ - are wanted")
    text = PREFIX + secrets.token_urlsafe(32)
    kept = {token.name: token for token in read(path)}
    kept[name] = Token(name, _digest(text), [scope for scope in get_args(Scope) if scope in scopes])
    _write(path, kept)
    return text


def drop(path: Path, name: str) -> None:
    """End a token; `WrongInputError` when there is none of that name."""
    kept = {token.name: token for token in read(path)}
    if kept.pop(name, None) is None:
        raise WrongInputError(f"no token {name!r} in {path}; there are: {', '.join(sorted(kept)) or 'none'}")
    _write(path, kept)


def read(path: Path) -> list[Token]:
    """The tokens of a file, none where there is no file; `bus.config.ConfigError` where it does not parse."""
    return config.load(path, TokensTable).token if path.exists() else []


def _write(path: Path, kept: dict[str, Token]) -> None:
    lines = ["# Bearer tokens of the API. Written by the command; only their SHA-256 stands here.\n"]
    for token in sorted(kept.values(), key=lambda token: token.name):
        scopes = ", ".join(json.dumps(scope) for scope in token.scopes)
        lines += [f'\n[[token]]\nname = "{token.name}"\nscopes = [{scopes}]\nsha256 = "{token.sha256}"\n']
    replace_file(path, "".join(lines).encode(), mode=0o600)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _unauthorized(challenge: str, detail: str) -> ProblemError:
    return ProblemError(
        problem(401, "token", "A bearer token is wanted", detail), headers={"WWW-Authenticate": challenge}
    )
