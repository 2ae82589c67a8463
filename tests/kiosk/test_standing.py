"""What a kiosk tells the technician: true, for its user alone, and the same before and after any single vote."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.top.sight import KioskNow
from bus.unix_sockets import connect_to
from kiosk.panel.bench import PanelBench
from kiosk.standing import SOCKET, Standing, backlog, serve_standing
from tests.kiosk.bench import until
from tests.kiosk.resident import ResidentKiosk, nowhere, plugged_in
from tests.kiosk.test_panel import panel_at


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[PanelBench]:
    async with panel_at(tmp_path / "line") as made:
        yield made


async def asked(folder: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(sock=connect_to(folder / SOCKET))
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_no_single_vote_moves_it_and_a_panel_that_goes_does(tmp_path: Path, panel: PanelBench) -> None:
    """The broker is away, so that what is pressed waits in the journal: a count would tell of each vote."""
    kiosk = ResidentKiosk(tmp_path, nowhere())
    await kiosk.start()
    try:
        await plugged_in(kiosk)
        before = await asked(kiosk.state)
        for button in range(1, 6):
            acknowledged = panel.state.acknowledged
            panel.press(button)
            await until(lambda told=acknowledged: panel.state.acknowledged > told)  # type: ignore[misc]
            assert await asked(kiosk.state) == before
        # The technician's view reads what the kiosk writes.
        seen = msgspec.json.decode(before, type=KioskNow)
        assert seen.panels == {str(tmp_path / "line"): True}
        assert (seen.broker, seen.disk, seen.screen, seen.waiting) == (False, True, None, "few")
        assert [field.name for field in msgspec.structs.fields(KioskNow)] == [
            field.name for field in msgspec.structs.fields(Standing)
        ]
        assert stat.S_IMODE((kiosk.state / SOCKET).stat().st_mode) == 0o600
        await kiosk.stop()
        assert not (kiosk.state / SOCKET).exists()
    finally:
        await kiosk.kill()


def test_what_waits_is_told_in_classes() -> None:
    assert [backlog(count) for count in (0, 1, 49, 50, 999, 1000, 10**6)] == [
        *("few", "few", "few", "some", "some", "many", "many")
    ]


async def test_without_its_socket_the_kiosk_does_its_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def ask() -> Standing:
        raise AssertionError("nobody can ask")

    await serve_standing(tmp_path / "not-there", ask)
    assert "standing not told" in caplog.text
