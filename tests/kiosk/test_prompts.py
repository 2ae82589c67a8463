"""Prompts: recordings first, then speech, at the hour's volume, and silence in a quiet hour."""

import asyncio
import contextlib
from array import array
from pathlib import Path

import msgspec
import pytest

from bus.errors import UnavailableError
from bus.timekeeper import Timekeeper
from kiosk.config import SoundConfig
from kiosk.flow import Prompt
from kiosk.prompts import Prompter, PromptStore
from kiosk.settings import KioskSettings, Question, Volume
from kiosk.voice import Voice
from media.simulated import RATE_HZ
from tests.kiosk.bench import BoothBench, until
from tests.media.test_sound import tone, wav


class Heard:
    """An output that keeps what it was told to play."""

    rate_hz = RATE_HZ
    alive = True

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


async def test_a_question_without_an_english_text_is_not_read_by_the_english_voice() -> None:
    store = PromptStore(None, RATE_HZ)
    question = Question("q", {"vi": "Ông bà có hài lòng không?"})
    await store.prepare(KioskSettings(languages=["vi", "en"], question=question))
    assert store.get("en", "question", 70) == store.get("vi", "question", 70) is not None
    assert store.get("en", "thanks", 70) != store.get("vi", "thanks", 70)


async def test_every_volume_there_may_be_is_ready_that_of_an_unknown_clock_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = BoothBench(tmp_path, KioskSettings(volumes=[Volume("00:00", 0), Volume("06:30", 70)]))
    voice = Voice(SoundConfig(), bench.booth, bench.clock)
    store = voice.store(RATE_HZ)
    await store.prepare(bench.booth.settings)
    monkeypatch.setattr("kiosk.prompts.scale", lambda *_: pytest.fail("scaled on the event loop"))
    bench.time_file.write_bytes(b"none")
    bench.clock = Timekeeper(tmp_path / "new", simulated=bench.time_file)
    unsure_pct = Voice(SoundConfig(), bench.booth, bench.clock).volume_pct()
    assert unsure_pct == 30
    assert store.get("vi", "thanks", unsure_pct) != store.get("vi", "thanks", 70)
    bench.close()


async def test_a_sound_device_that_is_unplugged_or_never_was_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, opened = BoothBench(tmp_path), list[Heard]()
    troubles: list[Exception] = [OSError("no such file"), ImportError("no libportaudio"), UnavailableError("no card")]

    def output(_: SoundConfig) -> Heard:
        if troubles:
            raise troubles.pop()
        opened.append(Heard())
        return opened[-1]

    async def say(heard: Heard) -> None:
        while not heard.played:
            bench.booth.language("vi")
            await asyncio.sleep(0.05)

    monkeypatch.setattr("kiosk.voice._output", output)
    monkeypatch.setattr("kiosk.voice._AGAIN_S", 0.01)
    monkeypatch.setattr("kiosk.voice._LOOK_S", 0.01)
    monkeypatch.setattr("kiosk.voice.volume_pct", lambda *_: 100)
    voice = asyncio.create_task(Voice(SoundConfig(enabled=True), bench.booth, bench.clock).run())
    await until(lambda: len(opened) == 1)
    await asyncio.wait_for(say(opened[0]), 20)
    opened[0].alive = False
    await until(lambda: len(opened) == 2)
    heard = len(opened[0].played)
    await asyncio.wait_for(say(opened[1]), 20)
    assert len(opened[0].played) == heard  # the dead one is told nothing more
    voice.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await voice
    bench.close()
