"""What was released stays readable and is still written alike; the documents say what the code does."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from bus import envelope, topics
from bus.entries import KINDS, class_of, read_data
from bus.envelope import SigningKey
from bus.errors import CommuneError, WrongInputError
from bus.messages import RECEIPT_TYPE, Batch, Beacon, Desired, Entry, Receipt, Reported, Status, encode
from bus.wire_document import CHANNELS, document, yaml
from tests.bus.wire_samples import GOLDEN, MESSAGES, golden

DOCS = Path(__file__).parents[2] / "docs"
WIRE = (DOCS / "wire.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```json\n(.*?)\n```", WIRE, flags=re.DOTALL))
SCHEMAS = document()["components"]["schemas"]


def key_of_seed(seed: int) -> SigningKey:
    return SigningKey(bytes([seed]) * 32)


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.json")))
def test_golden_bytes_are_read_as_what_they_were(name: str) -> None:
    _, meant = golden()[name]
    content = (GOLDEN / name).read_bytes()
    if name.startswith("entry."):
        whole = msgspec.json.decode(content, type=Entry)
        assert read_data(whole.kind, whole.data) == meant
        assert name == f"entry.{whole.kind}.json"
    else:
        assert msgspec.json.decode(content, type=type(meant)) == meant


@pytest.mark.parametrize("name", sorted(golden()))
def test_what_is_written_today_is_the_golden_bytes(name: str) -> None:
    assert (GOLDEN / name).read_bytes() == golden()[name][0]


def test_every_kind_and_every_message_has_golden_bytes() -> None:
    assert {f"entry.{kind}.json" for kind in KINDS} | {f"{name}.json" for name in MESSAGES} == set(golden())
    assert {type(message) for message in MESSAGES.values()} == {struct for _, struct, *_ in CHANNELS.values()}


@pytest.mark.parametrize("name", sorted(golden()))
def test_a_reader_accepts_fields_it_does_not_know(name: str) -> None:
    written, meant = golden()[name]
    tree = json.loads(written) | {"from-the-future": [1, {"a": None}]}
    if name.startswith("entry."):
        tree["data"] |= {"from-the-future": 1}
        whole = msgspec.json.decode(json.dumps(tree), type=Entry)
        assert read_data(whole.kind, whole.data) == meant
    else:
        read = msgspec.json.decode(json.dumps(tree), type=type(meant))
        assert json.loads(encode(read)) == json.loads(written)


def test_a_signature_of_version_1_holds_and_is_made_alike() -> None:
    sealed = envelope.seal(encode(MESSAGES["receipt"]), RECEIPT_TYPE, key_of_seed(1))
    kept = (GOLDEN / "receipt.sig").read_text().strip()
    assert sealed.signatures == (kept,)
    assert sealed.content_type == RECEIPT_TYPE
    key = key_of_seed(1)
    assert envelope.verify(sealed, {key.key_id: key.public_bytes}) == {key.key_id}


def test_a_compressed_body_of_version_1_is_read() -> None:
    body = (GOLDEN / "batch.zlib").read_bytes()
    sealed = envelope.Sealed(body, "application/vnd.commune.batch.v1+json+zlib", ())
    content = envelope.unseal(sealed, "application/vnd.commune.batch.v1+json")
    assert content == encode(MESSAGES["batch"])


@pytest.mark.parametrize("name", sorted(name.removesuffix(".json") for name in golden()))
def test_docs_show_a_true_example(name: str) -> None:
    assert json.loads(EXAMPLES[name]) == json.loads(golden()[f"{name}.json"][0])


def test_docs_show_nothing_else_and_name_every_topic_and_kind() -> None:
    assert {f"{name}.json" for name in EXAMPLES} == set(golden())
    for address, *_ in CHANNELS.values():
        assert f"`{address}`" in WIRE
    for kind in KINDS:
        assert f"### `{kind}`\n\nA {class_of(kind)}." in WIRE


def test_the_asyncapi_document_is_the_codes() -> None:
    assert (DOCS / "asyncapi.yaml").read_text(encoding="utf-8") == yaml(document()), (
        "the wire has changed: .venv/bin/python -m bus.wire_document > docs/asyncapi.yaml"
    )


def test_every_topic_of_the_code_is_a_channel() -> None:
    made = {
        topics.up("{site}", "{device}"),
        topics.receipt("{site}", "{device}", "{consumer}"),
        topics.status("{site}", "{device}"),
        topics.desired("{site}", "{issuer}"),
        topics.reported("{site}", "{device}"),
        topics.BEACON,
    }
    functions = {
        name
        for name, value in vars(topics).items()
        if callable(value) and getattr(value, "__module__", "") == "bus.topics" and isinstance(value, type(topics.up))
    }
    assert len(functions - {"read_device_topic"}) + 1 == len(made)
    assert made == {address for address, *_ in CHANNELS.values()}


@pytest.mark.parametrize("name", sorted(golden()))
def test_examples_fit_their_schema(name: str) -> None:
    written, meant = golden()[name]
    tree = json.loads(written)
    validate(type(meant).__name__, tree["data"] if name.startswith("entry.") else tree)
    if name.startswith("entry."):
        validate("Entry", tree)


def test_the_schema_refuses_what_the_code_refuses() -> None:
    tree = json.loads(encode(MESSAGES["receipt"]))
    for wrong in (
        {"stored": [[0, 1]]},
        {"stored": [[1, 2, 3]]},
        {"epoch": "x"},
        {"device": "UPPER"},
        {"class": "other"},
    ):
        changed = tree | wrong
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps(changed), type=Receipt)
        assert list(validator("Receipt").iter_errors(changed))


def validator(name: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


def validate(name: str, tree: object) -> None:
    validator(name).validate(tree)


@given(st.binary(max_size=300))
def test_readers_refuse_noise_without_falling_over(noise: bytes) -> None:
    for struct in (Batch, Receipt, Beacon, Status, Desired, Reported, Entry):
        refuse(noise, struct)
    for kind in KINDS:
        try:
            read_data(kind, msgspec.Raw(noise))
        except WrongInputError:
            continue


@given(
    name=st.sampled_from(sorted(golden())),
    at=st.integers(min_value=0),
    change=st.sampled_from(["flip", "cut", "double", "null", "huge"]),
    byte=st.integers(min_value=1, max_value=255),
)
def test_readers_refuse_damaged_messages_without_falling_over(name: str, at: int, change: str, byte: int) -> None:
    written, meant = golden()[name]
    at %= len(written)
    damaged = {
        "flip": written[:at] + bytes([written[at] ^ byte]) + written[at + 1 :],
        "cut": written[:at],
        "double": written[:at] + written[at:] + written[at:],
        "null": re.sub(rb'"[^"]*"', b"null", written, count=1 + at % 5),
        "huge": re.sub(rb"\d+", b"9" * 400, written, count=1 + at % 5),
    }[change]
    refuse(damaged, Entry if name.startswith("entry.") else type(meant))


def refuse(content: bytes, struct: type[msgspec.Struct]) -> None:
    try:
        read = msgspec.json.decode(content, type=struct)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    if isinstance(read, Entry):
        try:
            read_data(read.kind, read.data)
        except CommuneError:
            return


@pytest.mark.parametrize("field", ["part", "version", "boot", "detail"])
def test_what_comes_unsigned_is_bounded(field: str) -> None:
    name, longest = ("reported", 500) if field == "detail" else ("status", 64)
    tree = json.loads(golden()[f"{name}.json"][0])
    holder = tree["reached"]["s0001-agent"]["restart"] if field == "detail" else tree
    holder[field] = "ế" * longest
    msgspec.json.decode(json.dumps(tree), type=Status | Reported)
    holder[field] += "x"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(tree), type=Status | Reported)
