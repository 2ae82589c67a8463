import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.senses.optical import read_snmp
from agent.senses.snmp import Request, User, query, read_switch_port
from bus.errors import CorruptError, UnavailableError
from tests.agent.senses.snmpd import ABSENT, DOWN, LIGHT, MISSING, TEXT, UP, snmpd_in


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with snmpd_in(tmp_path_factory.mktemp("snmpd")) as port:
        yield port


def request(port: int, *oids: str, **more: object) -> Request:
    return Request("127.0.0.1", list(oids), port=port, community="commune", **more)  # type: ignore[arg-type]


async def test_numbers_texts_and_absent_objects_are_told_apart(snmpd: int) -> None:
    assert await query(request(snmpd, LIGHT, TEXT, MISSING)) == {LIGHT: -2350, TEXT: "-21.70 dBm", MISSING: None}


async def test_light_is_scaled_to_dbm(snmpd: int) -> None:
    light = await read_snmp(request(snmpd, LIGHT), scale=0.01)
    assert light is not None
    assert light.received_dbm == -23.5
    text = await read_snmp(request(snmpd, TEXT))
    assert text is not None
    assert text.received_dbm == -21.7
    assert await read_snmp(request(snmpd, MISSING)) is None


async def test_what_cannot_be_light_is_not_shown_as_light(snmpd: int) -> None:
    for oid in (f"{TEXT}.8", f"{TEXT}.9"):
        with pytest.raises(CorruptError):
            await read_snmp(request(snmpd, oid), scale=0.01)


async def test_a_switch_port_is_read_by_if_mib(snmpd: int) -> None:
    up = await read_switch_port(request(snmpd), UP)
    assert up is not None
    assert (up.up, up.speed_mbit, up.in_errors) == (True, 1000, 12)
    down = await read_switch_port(request(snmpd), DOWN)
    assert down is not None
    assert (down.up, down.speed_mbit, down.in_errors) == (False, None, None)
    assert await read_switch_port(request(snmpd), ABSENT) is None


async def test_version_3_with_authentication_and_privacy(snmpd: int) -> None:
    user = User("watcher", auth_key="watcher-secret", priv_key="watcher-private")
    assert await query(request(snmpd, LIGHT, user=user)) == {LIGHT: -2350}
    wrong = User("watcher", auth_key="watcher-guessed", priv_key="watcher-private")
    with pytest.raises(UnavailableError):
        await query(request(snmpd, LIGHT, user=wrong, timeout_s=0.3, retries=0))


async def test_a_wrong_community_or_a_dead_host_does_not_answer(snmpd: int) -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
        await query(Request("127.0.0.1", [LIGHT], port=snmpd, community="guess", timeout_s=0.2, retries=0))


async def test_a_query_that_hangs_is_killed(snmpd: int) -> None:
    before = time.monotonic()
    with pytest.raises(UnavailableError, match="killed"):
        await query(Request("127.0.0.1", [LIGHT], port=snmpd, community="guess", timeout_s=60), limit_s=0.3)
    assert time.monotonic() - before < 3
    assert _children() == []


async def test_giving_up_the_wait_kills_the_process_too(snmpd: int) -> None:
    task = asyncio.create_task(query(Request("127.0.0.1", [LIGHT], port=snmpd, community="guess", timeout_s=60)))
    async with asyncio.timeout(10):
        while not _children():  # noqa: ASYNC110 - a process that comes up rings no event
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert _children() == []


async def test_nonsense_in_the_request_is_an_answer_not_a_crash(snmpd: int) -> None:
    with pytest.raises(UnavailableError):
        await query(request(snmpd, "not.an.oid"))


def _children() -> list[str]:
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            command = Path("/proc", pid, "cmdline").read_bytes()
            if b"snmp_query" in command:
                found.append(pid)
    return found
