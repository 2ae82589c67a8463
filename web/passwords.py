"""Passwords as they are kept: scrypt, salted, the cost written beside the hash.

Cost: RFC 7914's scrypt with N=2^14, r=8, p=5, OWASP's profile for 16 MiB of memory, so that a box of 1 GiB can check
one without swapping. A hash made at an older cost still verifies; `needs_rehash` says that it should be made anew.
There is no default password anywhere, and nothing here logs one.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata
from typing import Final

from bus.errors import CorruptError, WrongInputError

_N: Final = 2**14
_R: Final = 8
_P: Final = 5
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MEMORY_LIMIT: Final = 64 * 1024 * 1024
MIN_LENGTH: Final = 10
MAX_LENGTH: Final = 256


def check_strength(password: str) -> None:
    """`WrongInputError` for a password too short to withstand guessing, or too long to be one (NIST SP 800-63B)."""
    length = len(_normal(password))
    if length < MIN_LENGTH:
        raise WrongInputError(f"the password has {length} characters; at least {MIN_LENGTH} are wanted")
    if length > MAX_LENGTH:
        raise WrongInputError(f"the password has {length} characters; at most {MAX_LENGTH} are taken")
    if len(set(password)) < 4:
        raise WrongInputError("the password repeats the same few characters; choose another")


def hash_password(password: str) -> str:
    """Return `scrypt$N$r$p$salt$key` for a password. Takes some 0.1 s and 16 MiB."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _derive(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(key)}"


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one behind `stored`; `CorruptError` where `stored` is no hash of ours."""
    n, r, p, salt, key = _parse(stored)
    if len(password) > MAX_LENGTH:
        return False
    return hmac.compare_digest(_derive(password, salt, n, r, p), key)


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made at another cost than today's."""
    return _parse(stored)[:3] != (_N, _R, _P)


# What an unknown name is checked against, so that it takes as long as a known one and tells nothing.
NOBODY: Final = f"scrypt${_N}${_R}${_P}${'A' * 22}${'A' * 43}"


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    secret = _normal(password).encode()
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_LIMIT, dklen=_KEY_BYTES)


def _normal(password: str) -> str:
    """Vietnamese keyboards send one letter in several forms: NFKC makes them one (RFC 8265)."""
    return unicodedata.normalize("NFKC", password.encode("utf-8", "replace").decode())


def _parse(stored: str) -> tuple[int, int, int, bytes, bytes]:
    parts = stored.split("$")
    try:
        scheme, n, r, p, salt, key = parts
        cost = int(n), int(r), int(p)
        found = (*cost, _bytes(salt), _bytes(key))
    except (ValueError, binascii.Error) as error:
        raise CorruptError("a stored password is not of the form scrypt$N$r$p$salt$key; set it anew") from error
    if scheme != "scrypt" or not (2 <= cost[0] <= 2**17 and 1 <= cost[1] <= 32 and 1 <= cost[2] <= 32):
        raise CorruptError("a stored password asks for a cost outside what is taken; set it anew")
    return found


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
