"""Prompts: recordings first, then speech, at the hour's volume, and silence in a quiet hour."""

from array import array
from pathlib import Path

import msgspec

from kiosk.flow import Prompt
from kiosk.prompts import Prompter, PromptStore
from kiosk.settings import KioskSettings
from media.simulated import RATE_HZ
from tests.media.test_sound import tone, wav


class Heard:
    """An output that keeps what it was told to play."""

    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.played: list[bytes] = []

    def play(self, pcm: bytes) -> None:
        self.played.append(pcm)

    def stop(self) -> None:
        self.played.append(b"")

    def close(self) -> None:
        pass


async def test_a_recording_is_preferred_and_speech_fills_in(tmp_path: Path) -> None:
    (tmp_path / "mtq").mkdir()
    wav(tone(0.3), tmp_path / "mtq" / "thanks.wav")
    output = Heard()
    store = PromptStore(tmp_path, RATE_HZ)
    prompter = Prompter(output, store, lambda: 100)
    await store.prepare(KioskSettings(languages=["vi", "mtq"]))
    prompter.play(Prompt("thanks", "mtq"))
    prompter.play(Prompt("thanks", "vi"))
    prompter.play(Prompt("question", "mtq"))  # neither recording nor voice: said in Vietnamese
    prompter.play(Prompt("question", "vi"))
    assert output.played[0] == tone(0.3)
    assert len(output.played[1]) > RATE_HZ
    assert output.played[2] == output.played[3] != output.played[1]


async def test_the_hour_sets_the_volume_and_a_quiet_hour_is_silent() -> None:
    output, volume = Heard(), 50
    store = PromptStore(None, RATE_HZ)
    prompter = Prompter(output, store, lambda: volume)
    await store.prepare(KioskSettings(languages=["vi"]))
    prompter.play(Prompt("thanks", "vi"))
    volume = 0
    prompter.play(Prompt("thanks", "vi"))
    assert len(output.played) == 1
    volume = 100
    prompter.play(Prompt("thanks", "vi"))
    half, full = (max(array("h", pcm)) for pcm in output.played)
    assert abs(half * 2 - full) <= 2


async def test_a_broken_recording_is_counted_and_speech_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "vi").mkdir()
    (tmp_path / "vi" / "thanks.wav").write_bytes(b"RIFF....WAVE")
    output = Heard()
    store = PromptStore(tmp_path, RATE_HZ)
    prompter = Prompter(output, store, lambda: 100)
    await store.prepare(msgspec.structs.replace(KioskSettings(), languages=["vi"]))
    prompter.play(Prompt("thanks", "vi"))
    assert store.failed == 1
    assert len(output.played[0]) > RATE_HZ
