"""The envelope: what was signed is what is read, and nothing else passes."""

import base64
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from bus.envelope import (
    BODY_LIMIT,
    COMPRESS_ABOVE,
    Sealed,
    SigningKey,
    key_id,
    load_public_keys,
    pae,
    seal,
    unseal,
    verify,
)
from bus.errors import CorruptError, UntrustedError, WrongInputError

TYPE = "application/x+json"
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
KEYS = {KEY.key_id: KEY.public_bytes}


def test_the_encoding_is_dsses() -> None:
    """The example of the protocol's own text."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(max_size=3 * COMPRESS_ABOVE))
def test_what_is_sealed_is_read_again(content: bytes) -> None:
    sealed = seal(content, TYPE, KEY)
    assert verify(sealed, KEYS) == {KEY.key_id}
    assert unseal(sealed, TYPE) == content
    assert (sealed.content_type == TYPE) == (len(content) <= COMPRESS_ABOVE)


@given(
    content=st.binary(min_size=1, max_size=2_000),
    at=st.integers(min_value=0),
    bit=st.integers(min_value=0, max_value=7),
    where=st.sampled_from(["body", "type", "signature"]),
)
def test_one_flipped_bit_anywhere_and_it_is_not_believed(content: bytes, at: int, bit: int, where: str) -> None:
    sealed = seal(content, TYPE, KEY)

    def flip(data: bytes) -> bytes:
        place = at % len(data)
        return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]

    body, content_type, signature = sealed.body, sealed.content_type, sealed.signatures[0]
    if where == "body":
        body = flip(body)
    elif where == "type":
        content_type = flip(content_type.encode()).decode("latin-1")
    else:
        name, _, encoded = signature.partition(":")
        changed = flip(base64.b64decode(encoded))
        signature = f"{name}:{base64.b64encode(changed).decode()}"
    with pytest.raises(UntrustedError):
        verify(Sealed(body, content_type, (signature,)), KEYS)


@pytest.mark.parametrize(
    "signatures",
    [(), ("",), (":",), ("nonsense",), (f"{KEY.key_id}:",), (f"{KEY.key_id}:!!!!",), (f"{KEY.key_id}:{'A' * 88}",)],
)
def test_no_signature_no_trust(signatures: tuple[str, ...]) -> None:
    with pytest.raises(UntrustedError, match="no signature of a known key"):
        verify(Sealed(b"x", TYPE, signatures), KEYS)


def test_a_key_id_proves_nothing_and_several_may_sign() -> None:
    sealed = seal(b"x", TYPE, OTHER)
    claimed = sealed.signatures[0].replace(OTHER.key_id, KEY.key_id)
    with pytest.raises(UntrustedError):
        verify(Sealed(b"x", TYPE, (claimed,)), KEYS)
    both = Sealed(b"x", TYPE, (*sealed.signatures, *seal(b"x", TYPE, KEY).signatures))
    assert verify(both, KEYS) == {KEY.key_id}
    assert verify(both, KEYS | {OTHER.key_id: OTHER.public_bytes}) == {KEY.key_id, OTHER.key_id}
    assert verify(both, KEYS | {OTHER.key_id: b"no key"}) == {KEY.key_id}


def test_another_type_is_not_read_and_bad_compression_is_corrupt() -> None:
    with pytest.raises(UntrustedError, match="wanted"):
        unseal(Sealed(b"x", "application/y+json", ()), TYPE)
    for body in (b"", b"x", zlib.compress(b"x" * 100)[:-1], zlib.compress(b"a" * (BODY_LIMIT + 1))):
        with pytest.raises(CorruptError):
            unseal(Sealed(body, TYPE + "+zlib", ()), TYPE)


def test_keys_are_files(tmp_path: Path) -> None:
    KEY.save(tmp_path / "key.pem")
    KEY.save_public(tmp_path / "key.pub")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(tmp_path / "key.pem").public_bytes == KEY.public_bytes
    assert load_public_keys([tmp_path / "key.pub"]) == KEYS
    assert key_id(KEY.public_bytes) == KEY.key_id


def test_key_files_and_signatures_are_those_of_other_programs(tmp_path: Path) -> None:
    """Held against a second library of Ed25519 and PKCS#8, both ways."""
    KEY.save(tmp_path / "ours.pem")
    theirs = load_pem_private_key((tmp_path / "ours.pem").read_bytes(), password=None)
    assert isinstance(theirs, Ed25519PrivateKey)
    signature = base64.b64decode(KEY.sign(TYPE, b"x").partition(":")[2])
    assert signature == theirs.sign(pae(TYPE, b"x"))
    theirs.public_key().verify(signature, pae(TYPE, b"x"))

    theirs = Ed25519PrivateKey.generate()
    pem = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "theirs.pem").write_bytes(b"\n" + pem.replace(b"\n", b"\r\n"))
    key = SigningKey.load(tmp_path / "theirs.pem")
    assert key.public_bytes == theirs.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    sealed = Sealed(b"x", TYPE, (f"{key.key_id}:{base64.b64encode(theirs.sign(pae(TYPE, b'x'))).decode()}",))
    assert verify(sealed, {key.key_id: key.public_bytes}) == {key.key_id}


def test_a_key_whose_signatures_anybody_can_make_is_not_believed() -> None:
    """The neutral point as public key: R = it, S = 0 would hold for every message."""
    neutral = bytes([1]) + bytes(31)
    forged = f"{key_id(neutral)}:{base64.b64encode(neutral + bytes(32)).decode()}"
    with pytest.raises(UntrustedError):
        verify(Sealed(b"x", TYPE, (forged,)), {key_id(neutral): neutral})


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    KEY.save(path)
    cut = path.read_bytes().replace(b"MC4CAQ", b"MC4C")
    for content in (b"", b"\xff", b"abcd", b"00" * 31, curve, locked, cut):
        path.write_bytes(content)
        with pytest.raises(WrongInputError):
            SigningKey.load(path)
        with pytest.raises(WrongInputError):
            load_public_keys([path])
    with pytest.raises(WrongInputError, match="none"):
        SigningKey.load(tmp_path / "none")
