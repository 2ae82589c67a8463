"""The real `commune kiosk` through all that may be wrong around it: the citizen is served all the same."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bus.config import BrokerConfig
from kiosk.config import BadgeConfig, KeypadConfig, KioskConfig, ScreenConfig, SoundConfig
from kiosk.flow import View
from kiosk.panel.bench import PanelBench
from tests.broker import Broker
from tests.kiosk.bench import until
from tests.kiosk.full_disk import fill, small_disk
from tests.kiosk.resident import ResidentKiosk, acknowledged, nowhere, page_at, plugged_in, watching
from tests.kiosk.test_panel import panel_at
from tests.media.test_sound import put_engine


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[PanelBench]:
    async with panel_at(tmp_path / "line") as made:
        yield made


async def vote(panel: PanelBench, button: int = 1) -> None:
    """One press, until the panel lights up."""
    before = panel.state.acknowledged
    panel.press(button)
    await until(lambda: panel.state.acknowledged > before, what="the panel lights up")


async def test_it_ends_in_time_with_a_page_open_and_presses_in_flight(
    tmp_path: Path, panel: PanelBench, broker: Broker, site: str
) -> None:
    kiosk = ResidentKiosk(tmp_path, broker.config, site=site, page=page_at())
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        await until((kiosk.state / "page.json").exists)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=None) as client,
            client.stream("GET", kiosk.page() + "events") as events,
        ):
            assert "picture" in await anext(events.aiter_lines())
            for number in range(12):
                panel.press(number % 5 + 1)
            assert await kiosk.stop() < 5
    finally:
        await kiosk.kill()
    told = acknowledged(panel)
    assert {press.press for press in kiosk.presses()} >= told
    # What was not acknowledged is offered again, and is then there once.
    await kiosk.start()
    try:
        await until(lambda: not panel.state.waiting, what="all acknowledged")
        await kiosk.stop()
    finally:
        await kiosk.kill()
    assert sorted(press.press for press in kiosk.presses()) == sorted(acknowledged(panel))
    assert len(kiosk.presses()) == 12


async def test_it_ends_in_time_while_a_speech_engine_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "engine"
    put_engine(tmp_path, f"echo $$ > {engine}\nexec sleep 600", monkeypatch)
    kiosk = ResidentKiosk(tmp_path, nowhere(), sound=SoundConfig(enabled=True, wav=str(tmp_path / "sound.wav")))
    await kiosk.start()
    try:
        await until(lambda: engine.exists() and engine.read_text(), what="the engine is asked to speak")
        assert await kiosk.stop() < 5
        with pytest.raises(ProcessLookupError):
            os.kill(int(await asyncio.to_thread(engine.read_text)), 0)
    finally:
        await kiosk.kill()


async def test_a_taken_port_stops_the_page_alone_and_only_while_it_is_taken(tmp_path: Path, panel: PanelBench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        kiosk = ResidentKiosk(tmp_path, nowhere(), page=page_at(other.getsockname()[1]))
        await kiosk.start()
        try:
            await plugged_in(kiosk)
            await until(lambda: "touch page not served" in kiosk.said())
            await vote(panel)
            other.close()
            await until((kiosk.state / "page.json").exists, within_s=20)
            answer = await asyncio.to_thread(httpx.get, kiosk.page(), trust_env=False)
            assert answer.status_code == 200
            await kiosk.stop()
        finally:
            await kiosk.kill()
    assert len(kiosk.presses()) == 1


async def test_no_sound_device_no_console_no_keypad_no_badge_scanner(tmp_path: Path, panel: PanelBench) -> None:
    kiosk = ResidentKiosk(
        tmp_path,
        nowhere(),
        sound=SoundConfig(enabled=True, device="no such loudspeaker"),
        screen=ScreenConfig(enabled=True, tty=str(tmp_path / "no-console")),
        keypad=[KeypadConfig(str(tmp_path / "no-keypad"))],
        badge=BadgeConfig(str(tmp_path / "no-scanner")),
    )
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        await until(lambda: "no sound" in kiosk.said() and "screen does not start" in kiosk.said())
        async with watching(kiosk) as screen:
            await vote(panel)
            await until(lambda: screen.last.view is View.THANKS)
        assert await kiosk.stop() < 5
    finally:
        await kiosk.kill()


async def test_a_broker_away_for_long_is_a_line_of_text(
    tmp_path: Path, panel: PanelBench, new_broker: Callable[[], Broker]
) -> None:
    broker = new_broker()
    kiosk = ResidentKiosk(tmp_path, broker.config)
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        async with watching(kiosk) as screen:
            await until(lambda: not screen.last.network, what="the broker is reached")
            broker.kill()
            await until(lambda: screen.last.network, what="the picture says that the network is down")
            for number in range(20):
                await vote(panel, number % 5 + 1)
            assert screen.last.view is View.THANKS
            assert screen.last.network
            broker.start()
            await until(lambda: not screen.last.network, within_s=30, what="the broker is reached again")
        await kiosk.stop()
    finally:
        await kiosk.kill()
    assert {press.press for press in kiosk.presses()} == acknowledged(panel)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


async def test_a_full_disk_lights_no_lamp_says_so_and_loses_nothing(
    tmp_path: Path, panel: PanelBench, disk: Path
) -> None:
    kiosk = ResidentKiosk(tmp_path, nowhere(), state=disk / "state")
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        async with watching(kiosk) as screen:
            await vote(panel)
            ballast = fill(disk)
            # A press may still fit into what the journal holds in reserve; then they are refused.
            while not screen.last.trouble:
                panel.press(2)
                await until(lambda: not panel.state.waiting or screen.last.trouble)
            await until(lambda: screen.last.trouble, what="the picture says that answers are not saved")
            before = panel.state.acknowledged
            panel.press(3)
            refused = {one.seq for one in panel.state.waiting}
            await asyncio.sleep(1.0)  # four repetitions: none of them is acknowledged
            assert panel.state.acknowledged == before
            assert {one.seq for one in panel.state.waiting} == refused
            ballast.unlink()
            await until(lambda: not panel.state.waiting, what="the panel lights up")
            await until(lambda: not screen.last.trouble, what="the picture is well again")
        await kiosk.stop()
    finally:
        await kiosk.kill()
    kept = [press.press for press in kiosk.presses()]
    assert len(kept) == len(set(kept))
    assert set(kept) == acknowledged(panel)


async def test_started_on_a_full_disk_it_serves_as_soon_as_there_is_room(
    tmp_path: Path, panel: PanelBench, disk: Path
) -> None:
    (disk / "state").mkdir()
    ballast = fill(disk)
    kiosk = ResidentKiosk(tmp_path, nowhere(), state=disk / "state", page=page_at())
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        panel.press(1)
        await asyncio.sleep(0.6)
        assert panel.state.acknowledged == 0
        ballast.unlink()
        await until(lambda: panel.state.acknowledged == 1)
        await until((kiosk.state / "page.json").exists, within_s=20)
        await kiosk.stop()
    finally:
        await kiosk.kill()
    assert {press.press for press in kiosk.presses()} == acknowledged(panel)


def test_a_state_folder_that_cannot_be_made_is_told_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    kiosk = ResidentKiosk(tmp_path, BrokerConfig(), kiosk=KioskConfig(str(tmp_path / "file" / "state")))
    ended = subprocess.run(
        [sys.executable, "-m", "kiosk", "--config", str(kiosk.file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert str(tmp_path / "file" / "state") in ended.stderr
    assert "Traceback" not in ended.stderr
