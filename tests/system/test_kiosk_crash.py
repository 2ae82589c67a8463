"""A press that the panel was told is kept is at the hub, once; what was never pressed is nowhere.

The panel is a pty with the simulated firmware's behaviour, pressed at random while kiosk, broker, agent and hub are
killed and the panel itself is unplugged. What the panel saw is compared with what the hub's API lists.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kiosk.panel.bench import PanelBench
from tests.evidence import rounds
from tests.system.demo import Demo, kill9, until

SITE, PANEL = "s0001", "P-TEST"
PRESSES = rounds(small=400, full=10_000)
KILL_EVERY = rounds(small=80, full=125)
PARTS = ["kiosk", "broker", "agent", "hub", "panel"]
pytestmark = [pytest.mark.prove, pytest.mark.timeout(300 + PRESSES)]


class Finger:
    """Presses a panel on a thread of its own, and keeps account of every press by its name."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.pressed: set[str] = set()
        self.told: set[str] = set()
        self._bench = PanelBench(link, panel=PANEL, buttons=5)
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self._do(self._begin)
        until(self.link.exists, limit_s=10, what="the panel's line")

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def press(self, button: int) -> None:
        self._do(lambda: self._bench.press(button))
        self.look()

    def unplug(self) -> None:
        """The power goes with the cable: presses that wait are gone, and nothing lit up for them."""
        self.look()
        self._do(self._bench.unplug)

    def plug(self) -> None:
        self._do(self._bench.plug)

    def waiting(self) -> int:
        self.look()
        return self._bench.seen().waiting

    def look(self) -> None:
        self._do(self._account)

    def _account(self) -> None:
        state = self._bench.state
        names = {number: f"{PANEL}/{state.boot}/{number}" for number in range(1, state.last_seq + 1)}
        self.pressed |= set(names.values())
        self.told |= set(names.values()) - {names[one.seq] for one in state.waiting}

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._bench.run())

    async def _end(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _do(self, work: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            try:
                work()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)


@pytest.fixture
def finger(tmp_path: Path) -> Iterator[Finger]:
    made = Finger(tmp_path / "panel")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def demo(tmp_path: Path, finger: Finger) -> Iterator[Demo]:
    with Demo(tmp_path / "state", "--panel", str(finger.link)) as running:
        yield running


def at_hub(demo: Demo) -> Counter[str]:
    return Counter(item["press"] for item in demo.items("/api/v1/ratings", commune=SITE))


def seen_at_hub(demo: Demo) -> Counter[str]:
    """The same, nothing while the hub is coming back from its kill."""
    try:
        return at_hub(demo)
    except httpx.TransportError:
        return Counter()


def test_every_press_that_lit_up_is_at_the_hub_once(
    demo: Demo, finger: Finger, evidence: Callable[[str], None]
) -> None:
    draw = random.Random(20261124)
    killed: Counter[str] = Counter()
    for number in range(1, PRESSES + 1):
        finger.press(draw.randint(1, 5))
        time.sleep(draw.uniform(0.0, 0.02))
        if finger.waiting() > 12:  # a panel's queue is full: people wait for the lamp
            until(lambda: finger.waiting() < 4, limit_s=60, what="the kiosk takes presses again")
        if number % KILL_EVERY == 0:
            part = PARTS[killed.total() % len(PARTS)]
            if part == "panel":
                finger.unplug()
                time.sleep(draw.uniform(0.05, 0.5))
                finger.plug()
            else:
                running = demo.running()
                where = running if part == "hub" else running["communes"][0]
                pid = where["pids"].get(part)
                if pid is None:
                    continue
                kill9(pid)
            killed[part] += 1
    until(lambda: finger.waiting() == 0, limit_s=60, what="the last press lights the panel up")
    told = set(finger.told)
    until(
        lambda: told <= seen_at_hub(demo).keys(),
        limit_s=120,
        every_s=1,
        what=f"all {len(told)} told presses at the hub",
    )
    found = at_hub(demo)
    assert found.keys() <= finger.pressed, "invented"
    assert max(found.values()) == 1, "doubled"
    assert len(told) > PRESSES * 0.8
    unseen = len(found) - len(told)
    evidence(
        f"{len(finger.pressed):,} presses at a panel, {killed.total()} kills ({dict(killed)}): {len(told):,} lit it, "
        f"all at the hub once; {unseen} more stored whose lamp the panel did not live to see; none invented"
    )
