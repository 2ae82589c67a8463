"""Settings are on disk before they hold, and a slow disk holds nobody up."""

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from bus.files import replace_file
from kiosk.settings import KioskSettings
from kiosk.settings_store import SettingsStore


def document(counter: str) -> bytes:
    return msgspec.json.encode(KioskSettings(counter=counter))


async def test_a_slow_disk_holds_no_loop_up_and_the_last_of_two_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = threading.Event()

    def slowly(path: Path, content: bytes) -> None:
        assert disk.wait(10)
        replace_file(path, content)

    monkeypatch.setattr("kiosk.settings_store.replace_file", slowly)
    store = SettingsStore(tmp_path / "settings.json", KioskSettings())
    accepting = [asyncio.ensure_future(store.accept(document(counter))) for counter in ("2", "3")]
    for _ in range(10):
        await asyncio.sleep(0)
    assert store.settings.counter == "1"
    disk.set()
    await asyncio.gather(*accepting)
    assert store.settings.counter == SettingsStore(tmp_path / "settings.json", KioskSettings()).settings.counter == "3"


async def test_what_was_not_kept_does_not_hold(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "not-there" / "settings.json", KioskSettings())
    with pytest.raises(OSError, match="No such file"):
        await store.accept(document("2"))
    assert store.settings.counter == "1"
