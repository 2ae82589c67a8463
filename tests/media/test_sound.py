"""Sound: PCM arithmetic, the paced file, PortAudio on ALSA's own file device, and a real speech engine."""

import asyncio
import contextlib
import io
import itertools
import math
import os
import subprocess
import sys
import time
import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import CorruptError, UnavailableError
from media.pcm import read_wav, resample, scale, scale_parts, wav_parts
from media.reading import spell_out
from media.simulated import RATE_HZ, WavOutput
from media.speech import speak


def tone(seconds: float, hz: float = 440, rate_hz: int = RATE_HZ) -> bytes:
    samples = (round(12_000 * math.sin(2 * math.pi * hz * at / rate_hz)) for at in range(int(seconds * rate_hz)))
    return array("h", samples).tobytes()


def wav(pcm: bytes, path: Path, *, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path.read_bytes()


def put_engine(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `script` (of sh) for espeak-ng."""
    engine = folder / "espeak-ng"
    engine.write_text(f"#!/bin/sh\n{script}\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_wav_is_read_as_it_is_at_its_own_rate(tmp_path: Path) -> None:
    assert read_wav(wav(tone(0.5), tmp_path / "a.wav"), RATE_HZ) == tone(0.5)


def test_stereo_is_mixed_and_rates_are_changed_without_changing_the_pitch(tmp_path: Path) -> None:
    left = array("h", tone(0.5, 1000, 48_000))
    both = array("h", (sample for pair in zip(left, left, strict=True) for sample in pair)).tobytes()
    mono = array("h", read_wav(wav(both, tmp_path / "a.wav", rate_hz=48_000, channels=2), RATE_HZ))
    crossings = sum(1 for one, next_one in itertools.pairwise(mono) if one < 0 <= next_one)
    assert abs(len(mono) / RATE_HZ - 0.5) < 0.001
    assert abs(crossings / 0.5 - 1000) <= 4


@given(st.binary(max_size=400))
def test_what_is_no_wav_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptError):
        read_wav(content, RATE_HZ)


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), min_size=1, max_size=4), st.integers(20, 200))
def test_a_damaged_wav_is_read_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(bytes(200))
    damaged = bytearray(content.getvalue())
    for at, value in changes:
        damaged[at] = value
    with contextlib.suppress(CorruptError):
        read_wav(bytes(damaged[:length]), RATE_HZ)


@given(st.lists(st.integers(-32768, 32767), max_size=50), st.integers(4_000, 48_000), st.integers(4_000, 48_000))
def test_resampling_stays_within_what_was_there(samples: list[int], from_hz: int, to_hz: int) -> None:
    result = resample(array("h", samples), from_hz, to_hz)
    assert bool(result) == bool(samples)
    if samples:
        assert min(samples) <= min(result)
        assert max(result) <= max(samples)


def test_volume() -> None:
    assert array("h", scale(array("h", [1000, -1000]).tobytes(), 50)).tolist() == [500, -500]
    assert scale(tone(0.1), 100) == tone(0.1)


def test_the_simulated_output_is_paced_cut_off_and_always_a_whole_file(tmp_path: Path) -> None:
    output = WavOutput(tmp_path / "out.wav")
    began = time.monotonic()
    output.play(tone(10))
    while not (heard := read_wav((tmp_path / "out.wav").read_bytes(), RATE_HZ)):
        time.sleep(0.005)
    output.play(tone(0.2, 880))
    while True:  # a reader at any moment finds a file that plays
        heard = read_wav((tmp_path / "out.wav").read_bytes(), RATE_HZ)
        if heard.endswith(tone(0.2, 880)):
            break
        assert time.monotonic() - began < 10
    took_s = time.monotonic() - began
    output.close()
    assert took_s >= 0.15
    assert len(heard) / 2 / RATE_HZ < took_s + 0.1


# In a process of its own: ALSA reads its configuration once. Its `file` device is no clock: bytes only.
_PLAY = """
import sys, time
from media.portaudio import PortAudioOutput
output = PortAudioOutput()
output.play(bytes.fromhex(sys.stdin.read()))
end = time.monotonic() + 10
while (output._given or output._pcm.nbytes) and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.1)
assert output.alive
output._stream.stop_stream()  # as PortAudio does where the device is unplugged
assert not output.alive
output.close()
assert not output.alive
"""


def test_portaudio_plays_exactly_what_it_was_given(tmp_path: Path) -> None:
    config, captured = tmp_path / "asound.conf", tmp_path / "captured.raw"
    config.write_text(
        f'pcm.!default {{ type file slave.pcm "null" file "{captured}" format "raw" }}\n'
        "pcm.null { type null }\nctl.!default { type hw card 0 }\n"
    )
    pcm = tone(0.5)
    environment = os.environ | {"ALSA_CONFIG_PATH": str(config)}
    subprocess.run([sys.executable, "-c", _PLAY], input=pcm.hex(), text=True, env=environment, check=True, timeout=60)
    assert pcm in captured.read_bytes()


def test_no_device_is_said_plainly() -> None:
    script = "from media.portaudio import PortAudioOutput\nPortAudioOutput('no such card')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "UnavailableError: no sound device 'no such card'" in done.stderr


@pytest.mark.parametrize("language", ["vi", "en"])
async def test_espeak_really_speaks(language: str) -> None:
    pcm = array("h", read_wav(await speak("Cảm ơn ông bà. Thank you.", language), RATE_HZ))
    assert 1 < len(pcm) / RATE_HZ < 10
    assert max(pcm) > 3_000


async def test_a_language_without_a_voice_is_refused() -> None:
    with pytest.raises(UnavailableError, match="give a recording"):
        await speak("x", "mtq")


@pytest.mark.parametrize(
    ("script", "said"),
    [("exit 3", "exit code 3"), ("echo broken >&2; exit 1", "broken"), ("exec sleep 600", "within 0.2 s")],
)
async def test_an_engine_that_fails_or_hangs_is_said_and_ended(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.speech._TIMEOUT_S", 0.2)
    put_engine(tmp_path, f"echo $$ > {tmp_path}/pid\n{script}", monkeypatch)
    with pytest.raises(UnavailableError, match=said):
        await speak("x", "vi")
    with pytest.raises(ProcessLookupError):
        os.kill(int(await asyncio.to_thread((tmp_path / "pid").read_text)), 0)


@pytest.mark.parametrize(("channels", "rate_hz"), [(1, RATE_HZ), (2, RATE_HZ), (1, 48_000), (2, 8_000)])
def test_sound_in_parts_is_the_whole(channels: int, rate_hz: int, tmp_path: Path) -> None:
    content = wav(tone(4, rate_hz=rate_hz), tmp_path / "a.wav", channels=channels, rate_hz=rate_hz)
    parts = list(wav_parts(content, RATE_HZ))
    assert len(parts) > 1
    assert max(map(len, parts)) < 40_000
    mono = array("h", tone(4, rate_hz=rate_hz))
    if channels == 2:
        mono = array("h", ((one + other) // 2 for one, other in zip(mono[::2], mono[1::2], strict=True)))
    wanted = [mono[0]]
    step = rate_hz / RATE_HZ
    for index in range(1, (len(mono) - 1) * RATE_HZ // rate_hz + 1):
        left = min(int(index * step), len(mono) - 2)
        wanted.append(round(mono[left] + (mono[left + 1] - mono[left]) * (index * step - left)))
    whole = b"".join(parts)
    assert array("h", whole).tolist() == wanted
    assert b"".join(scale_parts(whole, 30)) == scale(whole, 30)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("UBND xã mời họp lúc 14h00", "Ủy ban nhân dân xã mời họp lúc 14 giờ"),
        ("14:30 ngày 24/11/2026", "14 giờ 30 phút ngày 24 tháng 11 năm 2026"),
        ("05/09/2026", "ngày 5 tháng 9 năm 2026"),
        ("7h sáng", "7 giờ sáng"),
        ("mưa 120mm, gió 15 m/s", "mưa 120 mi li mét, gió 15 mét một giây"),
        ("gọi 0237 3851 234", "gọi không hai ba bảy, ba tám năm một, hai ba bốn"),
        ("+84 912 345 678", "không, chín một hai, ba bốn năm, sáu bảy tám"),
        ("1800 1166", "một tám không không, một một sáu sáu"),
        ("1.250.000 đồng, 3,5 km", "1250000 đồng, 3 phẩy 5 ki lô mét"),
        ("TP. Thanh Hóa", "thành phố Thanh Hóa"),
        ("SUBNDX và mmm", "SUBNDX và mmm"),
        ("e\u0302\u0301", "ế"),
    ],
)
def test_written_vietnamese_is_read_as_it_is_meant(written: str, read: str) -> None:
    assert spell_out(written) == read


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    spell_out(text)
