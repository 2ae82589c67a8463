"""The UPS as NUT's upsd tells it, over its own text protocol (NUT developer guide, "Network protocol information").

A box with no UPS configures none, and nothing is said of the mains. Reading needs no account.
"""

import asyncio
import math
import shlex
from contextlib import suppress
from typing import Final

from agent.observations import UpsState
from bus.errors import CorruptError, UnavailableError, WrongInputError

PORT: Final = 3493
_MOST_LINES: Final = 1_000


async def read_ups(name: str, *, host: str = "127.0.0.1", port: int = PORT, timeout_s: float = 3.0) -> UpsState:
    """What upsd knows of the UPS `name`.

    `UnavailableError` when upsd or the UPS does not answer (stale data included: an old "on mains" is no news),
    `WrongInputError` when upsd has no UPS of that name, `CorruptError` when it does not speak NUT.
    """
    try:
        async with asyncio.timeout(timeout_s):
            values = await _list_vars(name, host, port)
    except TimeoutError:
        raise UnavailableError(f"upsd at {host} port {port} did not answer within {timeout_s:g} s") from None
    except OSError as error:
        raise UnavailableError(f"upsd at {host} port {port}: {error}") from error
    status = values.get("ups.status", "")
    words = set(status.split())
    if not words & {"OL", "OB", "BYPASS"}:  # WAIT, say: the driver has not heard of its UPS yet
        raise UnavailableError(f"UPS {name} at {host} does not tell where its power comes from: ups.status {status!r}")
    return UpsState(
        name=name,
        status=status,
        on_mains="OB" not in words and ("OL" in words or "BYPASS" in words),
        battery_low="LB" in words,
        battery_pct=_number(values.get("battery.charge")),
        runtime_s=_number(values.get("battery.runtime")),
        load_pct=_number(values.get("ups.load")),
    )


async def _list_vars(name: str, host: str, port: int) -> dict[str, str]:
    reader, writer = await asyncio.open_connection(host, port, limit=8192)
    try:
        writer.write(f"LIST VAR {name}\n".encode())
        values: dict[str, str] = {}
        for _ in range(_MOST_LINES):
            try:
                words = shlex.split((await reader.readuntil(b"\n")).decode("utf-8", "replace"))
            except asyncio.IncompleteReadError:
                raise UnavailableError(f"upsd at {host} hung up before its list ended") from None
            except (ValueError, asyncio.LimitOverrunError) as error:
                raise CorruptError(f"upsd at {host} sent a line that is none of NUT's: {error}") from error
            match words:
                case ["VAR", _, variable, value]:
                    values[variable] = value
                case ["END", "LIST", "VAR", *_]:
                    return values
                case ["BEGIN", "LIST", "VAR", *_]:
                    continue
                case ["ERR", "UNKNOWN-UPS", *_]:
                    raise WrongInputError(f"upsd at {host} has no UPS {name!r}: check its name in ups.conf")
                case ["ERR", *reason]:
                    raise UnavailableError(f"upsd at {host} says of UPS {name}: {' '.join(reason)}")
                case _:
                    raise CorruptError(f"upsd at {host} answered {' '.join(words)[:60]!r}; is this NUT?")
        raise CorruptError(f"upsd at {host} sent over {_MOST_LINES} lines")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None
