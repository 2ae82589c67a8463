"""One envelope for all that is signed: batches, receipts, documents and commands (design decision 6).

The signature is Ed25519 over DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md):

    PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body

The body travels as the MQTT payload, the type as the MQTT content type, each signature as a user property
`sig` = `<key id>:<base64>`. What is verified is the bytes received, before anything is decompressed or decoded; they
are never serialised again. A key id only says which key to try; it proves nothing.
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as Ed25519Key
from nacl.signing import VerifyKey

from bus.errors import CorruptError, UntrustedError, WrongInputError
from bus.files import replace_file

KeyId = str

COMPRESS_ABOVE: Final = 1024  # bytes; below it zlib saves nothing worth a Pi's time
BODY_LIMIT: Final = 4 * 1024 * 1024  # bytes once decompressed: a bomb stops here
_ZLIB: Final = "+zlib"
# RFC 8410, section 7: what stands before the 32 bytes of every Ed25519 private key.
_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
_SEED_BYTES: Final = 32
_PEM: Final = re.compile(rb"\s*-----BEGIN PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A signed message as it stands on the wire."""

    body: bytes
    content_type: str
    signatures: tuple[str, ...]


class SigningKey:
    """A part's own private key."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519Key(seed)
        self.public_bytes: Final = bytes(self._private.verify_key)
        self.key_id: Final = key_id(self.public_bytes)

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new random key."""
        return cls(bytes(Ed25519Key.generate()))

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a PKCS#8 PEM file; `WrongInputError` where it holds no Ed25519 key."""
        try:
            pem = _PEM.fullmatch(path.read_bytes())
            der = base64.b64decode(b"".join(pem[1].split()), validate=True) if pem is not None else b""
        except (OSError, ValueError) as error:
            raise WrongInputError(f"cannot read the signing key {path}: {error}") from error
        if len(der) != len(_PKCS8) + _SEED_BYTES or not der.startswith(_PKCS8):
            raise WrongInputError(f"{path} holds no Ed25519 key in PEM, PKCS#8, without password")
        return cls(der[len(_PKCS8) :])

    def save(self, path: Path) -> None:
        """Write the PKCS#8 PEM file, readable by its owner alone."""
        encoded = base64.b64encode(_PKCS8 + bytes(self._private))
        replace_file(path, b"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n" % encoded, mode=0o600)

    def save_public(self, path: Path) -> None:
        """Write the public half for those who are to believe this key: 64 hex digits, as in the hub's roster."""
        replace_file(path, self.public_bytes.hex().encode() + b"\n", mode=0o644)

    def sign(self, content_type: str, body: bytes) -> str:
        """One signature over (content type, body), as it stands in the user property."""
        signature = self._private.sign(pae(content_type, body)).signature
        return f"{self.key_id}:{base64.b64encode(signature).decode()}"


def key_id(public_bytes: bytes) -> KeyId:
    """16 hex digits that name a raw 32-byte Ed25519 public key."""
    return hashlib.sha256(public_bytes).hexdigest()[:16]


def load_public_keys(paths: Iterable[Path]) -> dict[KeyId, bytes]:
    """Read public key files (64 hex digits each) into the form `verify` takes; `WrongInputError` where one is not."""
    keys: dict[KeyId, bytes] = {}
    for path in paths:
        try:
            raw = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise WrongInputError(f"cannot read the public key {path}: {error}") from error
        if len(raw) != 32:
            raise WrongInputError(f"{path} holds {len(raw)} bytes; an Ed25519 public key is 32, as 64 hex digits")
        keys[key_id(raw)] = raw
    return keys


def pae(content_type: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    name = content_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)


def seal(content: bytes, content_type: str, key: SigningKey) -> Sealed:
    """Compress where it pays, then sign. `content` is the encoded message."""
    if len(content) > COMPRESS_ABOVE:
        content, content_type = zlib.compress(content, 6), content_type + _ZLIB
    return Sealed(content, content_type, (key.sign(content_type, content),))


def verify(sealed: Sealed, keys: Mapping[KeyId, bytes]) -> frozenset[KeyId]:
    """Return the ids of those `keys` (raw public keys by id) that signed; `UntrustedError` where none did."""
    message = pae(sealed.content_type, sealed.body)
    signers = frozenset(
        name for name, signature in _read_signatures(sealed.signatures) if _holds(keys.get(name), signature, message)
    )
    if not signers:
        raise UntrustedError("no signature of a known key holds for this message")
    return signers


def unseal(sealed: Sealed, content_type: str) -> bytes:
    """Content of a message already verified: `UntrustedError` on another type, `CorruptError` on bad compression."""
    if sealed.content_type == content_type:
        return sealed.body
    if sealed.content_type != content_type + _ZLIB:
        raise UntrustedError(f"content type is {sealed.content_type[:100]!r}, wanted {content_type!r}")
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(sealed.body, BODY_LIMIT)
    except zlib.error as error:
        raise CorruptError(f"body does not decompress: {error}") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise CorruptError(f"body is cut off or holds more than {BODY_LIMIT} bytes")
    return content


def _read_signatures(properties: Iterable[str]) -> Iterable[tuple[KeyId, bytes]]:
    for text in properties:
        name, _, encoded = text.partition(":")
        try:
            yield name, base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue  # an unreadable signature is one that does not hold


def _holds(public_bytes: bytes | None, signature: bytes, message: bytes) -> bool:
    if public_bytes is None:
        return False
    try:
        VerifyKey(public_bytes).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True
