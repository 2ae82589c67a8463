"""The AsyncAPI 3 document of the wire, made from the structs themselves: `python -m bus.wire_document`.

It stands in docs/asyncapi.yaml, and a test holds that file to what this makes. Schemas are those of msgspec, in the
dialect AsyncAPI has by default (JSON Schema draft 7).
"""

import sys
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Final

import msgspec

from bus import topics
from bus.entries import KINDS
from bus.link import SIGNATURE
from bus.messages import (
    BATCH_TYPE,
    BEACON_TYPE,
    DESIRED_TYPE,
    RECEIPT_TYPE,
    REPORTED_TYPE,
    STATUS_TYPE,
    Batch,
    Beacon,
    Desired,
    Entry,
    Receipt,
    Reported,
    Status,
)

SCHEMAS: Final = "#/components/schemas/"

# channel -> (topic, message, content type, signed, retained, who publishes)
CHANNELS: Final[dict[str, tuple[str, type[msgspec.Struct], str, bool, bool, str]]] = {
    "up": (topics.up("{site}", "{device}"), Batch, BATCH_TYPE, True, False, "the device"),
    "receipt": (topics.receipt("{site}", "{device}", "{consumer}"), Receipt, RECEIPT_TYPE, True, False, "the consumer"),
    "beacon": (topics.BEACON, Beacon, BEACON_TYPE, True, False, "the hub"),
    "status": (topics.status("{site}", "{device}"), Status, STATUS_TYPE, False, True, "the device and its broker"),
    "desired": (topics.desired("{site}", "{issuer}"), Desired, DESIRED_TYPE, True, True, "the issuer"),
    "reported": (topics.reported("{site}", "{device}"), Reported, REPORTED_TYPE, False, True, "the device"),
}
_PARAMETERS: Final = {
    "site": "Opaque name of a site, never changed, never reused.",
    "device": "One part with its own key.",
    "consumer": "`hub`, or `site` (the conductor).",
    "issuer": "Whose key signs the document.",
}


def document() -> dict[str, Any]:
    """The whole document."""
    structs = [message for _, message, *_ in CHANNELS.values()]
    _, schemas = msgspec.json.schema_components([*structs, Entry, *KINDS.values()], ref_template=SCHEMAS + "{name}")
    schemas = _draft7(schemas)
    for schema in schemas.values():  # Python 3.13 takes the indentation of docstrings away, older ones keep it
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    schemas["Batch"]["properties"]["entries"]["items"] = {"$ref": SCHEMAS + "Entry"}
    schemas["Entry"]["x-data-by-kind"] = {kind: {"$ref": SCHEMAS + data.__name__} for kind, data in KINDS.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Commune Edge, the wire",
            "version": "1",
            "description": "MQTT 5, QoS 1, clean sessions. docs/wire.md says what each message means.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": {f"publish-{name}": _operation(name) for name in CHANNELS},
        "components": {
            "messages": {name: _message(name) for name in CHANNELS},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _channel(name: str) -> dict[str, Any]:
    address, *_ = CHANNELS[name]
    wanted = [parameter for parameter in _PARAMETERS if "{" + parameter + "}" in address]
    channel: dict[str, Any] = {"address": address}
    if wanted:
        channel["parameters"] = {parameter: {"description": _PARAMETERS[parameter]} for parameter in wanted}
    channel["messages"] = {name: {"$ref": f"#/components/messages/{name}"}}
    return channel


def _operation(name: str) -> dict[str, Any]:
    _, _, _, _, retained, by = CHANNELS[name]
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"Published by {by}.",
        "bindings": {"mqtt": {"qos": 1, "retain": retained}},
    }


def _message(name: str) -> dict[str, Any]:
    _, struct, content_type, signed, _, _ = CHANNELS[name]
    message: dict[str, Any] = {
        "name": struct.__name__,
        "contentType": content_type,
        "payload": {"$ref": SCHEMAS + struct.__name__},
    }
    if signed:
        message["summary"] = f"Signed; over 1 KiB the content type ends in +zlib. MQTT user property: {SIGNATURE}."
    return message


def _draft7(schema: Any) -> Any:
    """What msgspec writes in draft 2020-12, as draft 7 says it: tuples."""
    if isinstance(schema, dict):
        turned = {key: _draft7(value) for key, value in schema.items()}
        if "prefixItems" in turned:
            turned["items"] = turned.pop("prefixItems")
            turned["additionalItems"] = False
        return turned
    return [_draft7(item) for item in schema] if isinstance(schema, list) else schema


def yaml(value: dict[str, Any]) -> str:
    """Block YAML; every scalar is written as JSON, which YAML 1.2 reads alike."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in items:
        head = f"{indent}{_scalar(key)}:" if key is not None else f"{indent}-"
        if isinstance(item, dict | list) and item:
            yield head
            yield from _lines(item, indent + "  ")
        else:
            yield f"{head} {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and value.isalpha() and value.isascii() and value not in ("true", "false", "null"):
        return value if value.lower() not in ("yes", "no", "on", "off", "y", "n") else f'"{value}"'
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    sys.stdout.write(yaml(document()))
