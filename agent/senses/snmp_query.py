"""A process of its own that asks one SNMP agent and ends: `python -m agent.senses.snmp_query`.

pysnmp is large, and what it parses comes from the network: so it never runs inside the agent (design decision 8). The
request comes on standard input, since arguments show the community to every user of the box; one JSON object goes out.
Memory is limited here, time by the parent, which kills.
"""

import asyncio
import resource
import sys
from typing import Any, Final

import msgspec

_MEMORY_BYTES: Final = 512 * 1024 * 1024


class User(msgspec.Struct, frozen=True):
    """An SNMPv3 user (USM): HMAC-SHA-256 and AES-128, each where its key is given."""

    name: str
    auth_key: str = ""
    priv_key: str = ""


class Request(msgspec.Struct, frozen=True):
    """Which objects to read where. With `user` it is SNMPv3, else SNMPv2c."""

    host: str
    oids: list[str]
    port: int = 161
    community: str = "public"
    user: User | None = None
    timeout_s: float = 1.0
    retries: int = 2


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Values by OID; null for an object that is not there. `error` when nobody answered or refused."""

    values: dict[str, int | float | str | None] = {}
    error: str = ""


async def _ask(request: Request) -> Reply:
    from pysnmp.hlapi.v3arch.asyncio import (  # late, so that importing the structs costs nothing
        CommunityData,
        ContextData,
        ObjectIdentity,
        ObjectType,
        SnmpEngine,
        Udp6TransportTarget,
        UdpTransportTarget,
        UsmUserData,
        get_cmd,
        usmAesCfb128Protocol,
        usmHMAC192SHA256AuthProtocol,
    )

    if request.user is None:
        who: Any = CommunityData(request.community, mpModel=1)  # noqa: S508 - most switches and ONTs speak no other
    else:
        user = request.user
        who = UsmUserData(
            user.name,
            user.auth_key or None,
            user.priv_key or None,
            authProtocol=usmHMAC192SHA256AuthProtocol if user.auth_key else None,
            privProtocol=usmAesCfb128Protocol if user.priv_key else None,
        )
    engine = SnmpEngine()
    try:
        kind = Udp6TransportTarget if ":" in request.host else UdpTransportTarget
        where = await kind.create((request.host, request.port), timeout=request.timeout_s, retries=request.retries)
        wanted = [ObjectType(ObjectIdentity(oid)) for oid in request.oids]
        failure, status, index, bound = await get_cmd(engine, who, where, ContextData(), *wanted, lookupMib=False)
    finally:
        engine.close_dispatcher()
    if failure:
        return Reply(error=str(failure))
    if status:
        return Reply(error=f"{status.prettyPrint()} at object {int(index)}")
    return Reply({asked: _plain(value) for asked, (_, value) in zip(request.oids, bound, strict=True)})


def _plain(value: Any) -> int | float | str | None:
    """A number where it is one; text otherwise; None for noSuchObject, noSuchInstance and endOfMibView."""
    if type(value).__name__ in {"NoSuchObject", "NoSuchInstance", "EndOfMibView", "Null"}:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return bytes(value).decode("utf-8", "replace") if hasattr(value, "asOctets") else str(value.prettyPrint())


def main() -> int:
    """Read a `Request`, write a `Reply`. Exit code 0 whenever a reply was written."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        reply = asyncio.run(_ask(request))
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever pysnmp raises is the answer
        reply = Reply(error=f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(reply))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
