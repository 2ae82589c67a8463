"""What a value of the configuration must be beyond its form: each rule yields what is wrong, with its key. Pure.

What passes here is never refused later by the probe that asks for it.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from agent.senses.dns_codec import encode_name
from bus.config import Key, Wrong
from bus.errors import WrongInputError


def no_address(key: str | Key, value: str | None) -> Iterator[Wrong]:
    """Given, but no IP address."""
    if value:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            yield (key,) if isinstance(key, str) else key, f"{value!r} is not an IP address"


def no_host(key: str, host: str) -> Iterator[Wrong]:
    """Neither a name that can be asked for nor an address."""
    if is_address(host):
        yield from no_address(key, host)
        return
    try:
        encode_name(host)
    except WrongInputError as error:
        yield (key,), str(error)


def no_url(key: str, url: str | None) -> Iterator[Wrong]:
    """Given, but none that can be split and asked for."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        yield (key,), f"{url!r} is not a web address: {error}"
        return
    yield from no_host(key, host)
    if port == 0:
        yield (key,), f"{url!r}: the port is from 1 to 65535"


def used_twice(values: Iterable[tuple[Key, str]]) -> Iterator[Wrong]:
    """Values that stand before already."""
    seen: set[str] = set()
    for key, value in values:
        if value in seen:
            yield key, f"{value!r} is used twice; each must be its own"
        seen.add(value)


def wrong_addresses(key: str, addresses: list[str]) -> Iterator[Wrong]:
    """Those of a list that are none, or are there twice."""
    for index, address in enumerate(addresses):
        yield from no_address((key, index), address)
    yield from used_twice(((key, index), address) for index, address in enumerate(addresses))


def is_address(host: str) -> bool:
    """Whether `host` is an IP address: then it needs no name server."""
    return re.fullmatch(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", host.strip("[]")) is not None
