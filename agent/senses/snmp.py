"""SNMP as the agent sees it: a short-lived process asks, and is killed when it takes too long (see `snmp_query`)."""

import asyncio
import sys
from contextlib import suppress
from typing import Final

import msgspec

from agent.observations import SwitchPort
from agent.senses.snmp_query import Reply, Request, User
from bus.errors import CorruptError, UnavailableError

Value = int | float | str | None
_GRACE_S: Final = 5.0  # for a Pi to start Python and load pysnmp
_IF_OPER_STATUS: Final = "1.3.6.1.2.1.2.2.1.8"  # IF-MIB (RFC 2863)
_IF_HIGH_SPEED: Final = "1.3.6.1.2.1.31.1.1.1.15"
_IF_IN_ERRORS: Final = "1.3.6.1.2.1.2.2.1.14"
_UP: Final = 1


async def query(request: Request, *, limit_s: float | None = None) -> dict[str, Value]:
    """The values by OID. `UnavailableError` without an answer, or when the process had to be killed."""
    limit_s = limit_s or request.timeout_s * (request.retries + 1) + _GRACE_S
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory is no place to import from
        "-m",
        "agent.senses.snmp_query",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate(msgspec.json.encode(request))
    except TimeoutError:
        raise UnavailableError(f"SNMP query of {request.host} killed after {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        reply = msgspec.json.decode(out, type=Reply)
    except msgspec.MsgspecError:
        last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UnavailableError(f"SNMP query of {request.host} ended with {process.returncode}: {last}") from None
    if reply.error:
        raise UnavailableError(f"SNMP at {request.host}: {reply.error}")
    return reply.values


async def read_switch_port(request: Request, if_index: int) -> SwitchPort | None:
    """A port of a switch by IF-MIB; None when it has no such port. The request's own OIDs are not used."""
    oids = [f"{column}.{if_index}" for column in (_IF_OPER_STATUS, _IF_HIGH_SPEED, _IF_IN_ERRORS)]
    status, speed, errors = (await query(msgspec.structs.replace(request, oids=oids))).values()
    if status is None:
        return None
    return SwitchPort(
        source=f"{request.host}:{if_index}",
        up=status == _UP,
        speed_mbit=speed if isinstance(speed, int) and speed > 0 else None,
        in_errors=errors if isinstance(errors, int) else None,
    )


def number_in(value: Value, *, what: str) -> float | None:
    """A measured value: a number, or a text that begins with one ("-21.30 dBm"); None where there is none."""
    if value is None or isinstance(value, int | float):
        return value
    word = value.strip().split()[0] if value.strip() else ""
    try:
        return float(word)
    except ValueError:
        raise CorruptError(f"{what} is {value!r}; a number was wanted: check the OID") from None


__all__ = ["Request", "User", "Value", "number_in", "query", "read_switch_port"]
