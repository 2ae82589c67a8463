"""The supervisor against real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import UnavailableError
from provisioning import supervisor
from provisioning.supervisor import FIRST_DELAY_S, LAST_DELAY_S, SETTLED_S, Death, Part, Supervisor, restart_delay_s


def part(tmp_path: Path, code: str, *, name: str = "agent", site: str | None = "s0001", stage: int = 0) -> Part:
    argv = (sys.executable, "-c", textwrap.dedent(code))
    return Part(name=name, site=site, argv=argv, log=tmp_path / "logs" / f"{name}.log", stage=stage)


SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('up', flush=True)
    time.sleep(600)
"""


async def until(condition: Callable[[], bool], limit_s: float = 20) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - it is about another process, which sets no event of ours
            await asyncio.sleep(0.02)


async def said(path: Path, text: str) -> None:
    await until(lambda: path.exists() and text in path.read_text())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@given(previous=st.floats(0, LAST_DELAY_S), ran=st.floats(0, 1e6))
def test_restart_delay_is_bounded_and_forgives(previous: float, ran: float) -> None:
    delay = restart_delay_s(previous, ran)
    assert FIRST_DELAY_S <= delay <= LAST_DELAY_S or delay == previous * 2
    if ran >= SETTLED_S:
        assert delay == FIRST_DELAY_S


def test_restart_delay_doubles_to_its_limit() -> None:
    delays = [0.0]
    for _ in range(8):
        delays.append(restart_delay_s(delays[-1], 0.1))
    assert delays[1:] == [0.5, 1, 2, 4, 8, 10, 10, 10]


async def test_a_killed_part_comes_back_under_a_new_pid(tmp_path: Path) -> None:
    restarted: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    deaths: list[Death] = []
    children = Supervisor(on_restart=lambda part, pid: restarted.put_nowait((part.name, pid)), on_death=deaths.append)
    pid = children.start(part(tmp_path, SLEEPER))
    await said(tmp_path / "logs" / "agent.log", "up")
    assert children.pids("s0001") == {"agent": pid}
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        name, new = await restarted.get()
    assert name == "agent"
    assert new != pid
    assert children.pid("s0001", "agent") == new
    assert [(death.pid, death.code) for death in deaths] == [(pid, -signal.SIGKILL)]
    assert children.restarts == 1
    assert await children.stop() == []
    assert not alive(new)


async def test_a_part_that_ends_by_itself_is_a_death_too(tmp_path: Path) -> None:
    restarted: asyncio.Queue[int] = asyncio.Queue()
    children = Supervisor(on_restart=lambda part, pid: restarted.put_nowait(pid))
    children.start(part(tmp_path, "raise SystemExit(0)"))
    async with asyncio.timeout(20):
        await restarted.get()
        await restarted.get()
    await children.stop()


async def test_a_part_waiting_for_its_restart_does_not_come_back_after_stop(tmp_path: Path) -> None:
    died = asyncio.Event()
    restarted: list[int] = []
    children = Supervisor(on_restart=lambda part, pid: restarted.append(pid), on_death=lambda death: died.set())
    children.start(part(tmp_path, "raise SystemExit(3)"))
    async with asyncio.timeout(20):
        await died.wait()
    await children.stop()
    await asyncio.sleep(FIRST_DELAY_S * 1.5)
    assert restarted == []
    assert children.pids("s0001") == {}


async def test_what_does_not_end_is_killed_within_the_limit(tmp_path: Path) -> None:
    children = Supervisor()
    stubborn = children.start(part(tmp_path, STUBBORN, name="stubborn"))
    gentle = children.start(part(tmp_path, SLEEPER, name="gentle"))
    await said(tmp_path / "logs" / "stubborn.log", "up")
    await said(tmp_path / "logs" / "gentle.log", "up")
    started = asyncio.get_running_loop().time()
    assert await children.stop(limit_s=1.0) == [("s0001", "stubborn")]
    assert asyncio.get_running_loop().time() - started < 3
    assert not alive(stubborn)
    assert not alive(gentle)


async def test_stages_end_in_order(tmp_path: Path) -> None:
    code = """
        import pathlib, signal, sys, time
        def end(*_):
            with open({log!r}, 'a') as file:
                file.write({name!r} + ' ')
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print('up', flush=True)
        while True:
            time.sleep(1)
    """
    log = tmp_path / "order"
    children = Supervisor()
    for name, stage in (("broker", 1), ("agent", 0), ("hub", 0)):
        children.start(part(tmp_path, code.format(log=str(log), name=name), name=name, stage=stage))
    for name in ("broker", "agent", "hub"):
        await said(tmp_path / "logs" / f"{name}.log", "up")
    assert await children.stop() == []
    assert log.read_text().split()[-1] == "broker"
    assert sorted(log.read_text().split()) == ["agent", "broker", "hub"]


async def test_what_cannot_be_run_is_said_at_once(tmp_path: Path) -> None:
    children = Supervisor()
    missing = Part(name="broker", site=None, argv=(str(tmp_path / "no-such-program"),), log=tmp_path / "x.log")
    with pytest.raises(UnavailableError, match="no-such-program"):
        children.start(missing)
    assert children.pids(None) == {}


async def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "agent.log"
    parent_code = f"""
        import asyncio
        from pathlib import Path
        from provisioning.supervisor import Part, Supervisor
        async def main():
            code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
            Supervisor().start(Part("agent", "s0001", ({sys.executable!r}, "-c", code), Path({str(log)!r})))
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    parent = subprocess.Popen(  # noqa: ASYNC220 - a fork without threads, as the supervisor's own
        [sys.executable, "-c", textwrap.dedent(parent_code)]
    )
    await said(log, "\n")
    child = int(log.read_text())
    assert alive(child)
    parent.kill()
    parent.wait()
    await until(lambda: not alive(child))


async def test_a_long_log_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_LIMIT_BYTES", 100)
    log = tmp_path / "logs" / "agent.log"
    log.parent.mkdir()
    log.write_text("x" * 200)
    children = Supervisor()
    children.start(part(tmp_path, SLEEPER))
    await said(log, "up")
    assert log.with_suffix(".log.1").read_text() == "x" * 200
    assert "x" not in log.read_text()
    await children.stop()
