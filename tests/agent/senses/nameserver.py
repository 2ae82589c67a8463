"""A small name server on a real port, over UDP and TCP, that can also lie, cut, and keep silent."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import cast

from agent.senses.dns_codec import encode_name

Spoil = Callable[[bytes, bytes], list[bytes]]  # (query, good answer) -> what is sent


def record(name: bytes, kind: int, data: bytes, ttl_s: int = 60) -> bytes:
    return name + struct.pack("!HHIH", kind, 1, ttl_s, len(data)) + data


def answer_to(query: bytes, zone: dict[str, list[str]], *, flags: int = 0, ttl_s: int = 60) -> bytes:
    labels, offset = [], 12
    while query[offset]:
        labels.append(query[offset + 1 : offset + 1 + query[offset]].decode())
        offset += 1 + query[offset]
    name = ".".join(labels).lower()
    kind = struct.unpack_from("!H", query, offset + 1)[0]
    question = query[12 : offset + 5]
    pointer = b"\xc0\x0c"
    records = []
    for value in zone.get(name, []):
        try:
            address = ip_address(value)
        except ValueError:  # an alias: the rest of its answer stands under its own name
            records.append(record(pointer, 5, encode_name(value), ttl_s))
            records += [
                record(encode_name(value), kind, ip_address(each).packed, ttl_s)
                for each in zone.get(value, [])
                if (28 if ":" in each else 1) == kind
            ]
            continue
        if (28 if address.version == 6 else 1) == kind:
            records.append(record(pointer, kind, address.packed, ttl_s))
    rcode = 0 if name in zone else 3
    return (
        query[:2] + struct.pack("!HHHHH", 0x8180 | flags | rcode, 1, len(records), 0, 0) + question + b"".join(records)
    )


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, zone: dict[str, list[str]], spoil: Spoil | None = None, *, ttl_s: int = 60) -> None:
        self.zone = zone
        self.spoil = spoil
        self.ttl_s = ttl_s
        self.queries = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self.queries += 1
        good = answer_to(data, self.zone, ttl_s=self.ttl_s)
        for message in self.spoil(data, good) if self.spoil else [good]:
            assert self._transport is not None
            self._transport.sendto(message, addr)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = answer_to(await reader.readexactly(length), self.zone)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(server: NameServer, host: str = "127.0.0.1") -> AsyncIterator[NameServer]:
    tcp = await asyncio.start_server(server.serve_tcp, host, 0)
    server.port = tcp.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=(host, server.port)
    )
    try:
        yield server
    finally:
        transport.close()
        tcp.close()
        await tcp.wait_closed()
