"""The demo's folder: where each part's configuration, keys, state and log are, and the secrets made once for it.

    demo.json            the running demo's ready line (0600); gone when it has ended
    secrets.json         tokens and passwords, random, made at the first start (0600)
    logs/                one file a part
    clock/               simulated clocks, one for the province and one a commune
    province/            one folder a part: broker, hub, prometheus, alertmanager
    communes/SITE/       one folder a part: its TOML file, key, state

A second start on the same folder goes on with the same journals, store, keys and secrets. One demo at a time holds it.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bus.envelope import SigningKey
from bus.errors import CorruptError, UnavailableError, WrongInputError
from bus.files import replace_file
from bus.identifiers import SiteId
from hub.api import tokens
from web.users import Users, put_user

_PRIVATE: Final = 0o700
USER: Final = "tinh"
_TOKENS: Final = {"demo": list(tokens.SCOPES), "prometheus": ["metrics"]}


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Made at random for one folder, never a default. `tokens` are those of the hub's API, by name."""

    password: str
    tokens: dict[str, str]


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Paths below one root, which is absolute."""

    root: Path

    @property
    def running(self) -> Path:
        """What the running demo says of itself."""
        return self.root / "demo.json"

    def province(self, part: str) -> Path:
        """Folder of a part of the province."""
        return made(self.root / "province" / part)

    def commune(self, site: SiteId, part: str) -> Path:
        """Folder of a part of a commune."""
        return made(self.root / "communes" / site / part)

    def log(self, site: SiteId | None, part: str) -> Path:
        """Log of a part."""
        return self.root / "logs" / f"{site or 'province'}-{part}.log"

    def clock(self, group: str) -> Path:
        """The simulated clock of a group of parts that share a box. The demo vouches for the host's clock."""
        path = made(self.root / "clock") / f"{group}.json"
        if not path.exists():
            replace_file(path, b'{"offset_ms": 0, "error_ms": 1}')
        return path

    def secrets(self, *, tokens_file: Path, users_file: Path) -> Secrets:
        """Those of this folder; at the first start made, and put where the hub reads who may come in.

        `CorruptError` where the folder's own copy does not read.
        """
        path = self.root / "secrets.json"
        if path.exists():
            try:
                kept = msgspec.json.decode(path.read_bytes(), type=Secrets)
            except (OSError, msgspec.MsgspecError) as error:
                raise CorruptError(f"{path} cannot be read ({error}); move it away to have new ones made") from error
        else:
            kept = Secrets(secrets.token_urlsafe(12), {})
        issued = {
            name: tokens.issue(tokens_file, name=name, scopes=scopes)
            for name, scopes in _TOKENS.items()
            if name not in kept.tokens or not tokens_file.exists()
        }
        kept = msgspec.structs.replace(kept, tokens={**kept.tokens, **issued})
        if Users(users_file).get(USER) is None:
            put_user(users_file, name=USER, password=kept.password, shown="Kỹ sư của tỉnh", roles=["ratings-raw"])
        replace_file(path, msgspec.json.encode(kept), mode=0o600)
        return kept

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder for this process alone; `UnavailableError` while another demo runs on it."""
        try:
            made(self.root)
            lock = os.open(self.root / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WrongInputError(f"--state {self.root} cannot be used: {error}") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UnavailableError(
                    f"another demo runs on {self.root}; end it first, or give this one a folder of its own by --state"
                ) from error
            yield
        finally:
            os.close(lock)


def kept_key(path: Path) -> SigningKey:
    """The signing key at `path`, made at the first start."""
    if not path.exists():
        SigningKey.generate().save(path)
    return SigningKey.load(path)


def kept_secret(path: Path) -> str:
    """The random secret at `path`, made at the first start."""
    if not path.exists():
        made(path.parent)
        replace_file(path, secrets.token_urlsafe(32).encode(), mode=0o600)
    return path.read_text().strip()


def made(folder: Path) -> Path:
    """`folder`, which is there afterwards; only its owner can look into it."""
    if not folder.is_dir():
        made(folder.parent)  # mkdir's own `parents` would leave those open to all
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
    return folder
