"""Who is signed in: sessions kept at the server, so that signing out ends one at once.

The cookie holds 256 random bits; here and on disk stands only their SHA-256, so a stolen copy of the file opens
nothing. A session ends by sign-out, after two idle hours, after twelve hours whatever happens, and with a change of the
person's password. The file lets sessions live through a restart of the process; where it cannot be written, sign-in
works all the same and the sessions end with the process.
"""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bus.files import replace_file
from bus.logs import fields
from web.users import User

log = logging.getLogger("sessions")

LIFETIME_S: Final = 12 * 3600
IDLE_S: Final = 2 * 3600
MAX_SESSIONS: Final = 5_000
MAX_BY_USER: Final = 20


class Session(Struct, frozen=True):
    """One sign-in. Times are Unix seconds."""

    user: str
    fingerprint: str
    started_s: float
    seen_s: float


_FILE: Final = msgspec.json.Decoder(dict[str, Session])


class Sessions:
    """All sessions of one part. `path` None keeps them in memory only."""

    def __init__(self, path: Path | None, *, now_s: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now_s = now_s
        self._open: dict[str, Session] = self._load()

    def start(self, user: User) -> str:
        """Open a session; returns what goes into the cookie, and exists nowhere else."""
        token = secrets.token_urlsafe(32)
        now = self._now_s()
        self._drop_ended(now)
        self._make_room(user.name)
        self._open[_name(token)] = Session(user.name, user.fingerprint, now, now)
        self._save()
        return token

    def find(self, token: str) -> Session | None:
        """The live session of a cookie, its idle time begun anew; None when it has ended or never was."""
        name = _name(token)
        session = self._open.get(name)
        if session is None:
            return None
        now = self._now_s()
        if _ended(session, now):
            del self._open[name]
            return None
        self._open[name] = msgspec.structs.replace(session, seen_s=now)
        return session

    def end(self, token: str) -> None:
        """Sign out."""
        if self._open.pop(_name(token), None) is not None:
            self._save()

    def _make_room(self, user: str) -> None:
        mine = sorted((s.seen_s, name) for name, s in self._open.items() if s.user == user)
        for _, name in mine[: max(0, len(mine) - MAX_BY_USER + 1)]:
            del self._open[name]
        while len(self._open) >= MAX_SESSIONS:
            del self._open[min(self._open, key=lambda name: self._open[name].seen_s)]

    def _drop_ended(self, now: float) -> None:
        self._open = {name: session for name, session in self._open.items() if not _ended(session, now)}

    def _load(self) -> dict[str, Session]:
        if self._path is None:
            return {}
        try:
            return _FILE.decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("sessions not read, everybody signs in again %s", fields(path=self._path, error=error))
            return {}

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            replace_file(self._path, msgspec.json.encode(self._open), mode=0o600)
        except OSError as error:
            log.warning("sessions not written, they end with this process %s", fields(path=self._path, error=error))


def form_token(cookie: str) -> str:
    """What a form must carry: only a page of ours, sent to the holder of `cookie`, can know it."""
    return hmac.new(cookie.encode("utf-8", "replace"), b"commune form", hashlib.sha256).hexdigest()


def form_token_holds(cookie: str, given: str) -> bool:
    """Whether a form came from a page that we gave to the holder of `cookie`; in constant time."""
    return bool(cookie) and hmac.compare_digest(form_token(cookie).encode(), given.encode("utf-8", "replace"))


def _name(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _ended(session: Session, now: float) -> bool:
    # A clock that was set back must not make a session live for ever.
    return not (0 <= now - session.started_s < LIFETIME_S and now - session.seen_s < IDLE_S)
