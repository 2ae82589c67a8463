"""Text to speech by espeak-ng, a process that is given a time limit: a speech engine may hang, a kiosk may not."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from typing import Final

from bus.errors import UnavailableError
from media.reading import spell_out

_TIMEOUT_S: Final = 20
# Our languages in espeak-ng's voices. A language that is not here has no voice: it needs a recording.
VOICES: Final = {"vi": "vi", "en": "en"}
_WORDS_A_MINUTE: Final = 140  # slow enough for elders in a room with an echo


def can_speak(language: str) -> bool:
    """Whether there is a voice for this language on this machine."""
    return language in VOICES and shutil.which("espeak-ng") is not None


async def speak(text: str, language: str) -> bytes:
    """The text as a WAV file; `UnavailableError` where no voice can say it. Cancelled, it ends the engine."""
    if not can_speak(language):
        raise UnavailableError(f"no voice for {language!r} here: install espeak-ng, or give a recording")
    words = spell_out(text) if language == "vi" else text
    command = ["espeak-ng", "-v", VOICES[language], "-s", str(_WORDS_A_MINUTE), "--stdout"]
    try:
        engine = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise UnavailableError(f"espeak-ng did not speak: {error}") from error
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            spoken, complaint = await engine.communicate(words.encode())
    except TimeoutError as error:
        raise UnavailableError(f"espeak-ng did not speak within {_TIMEOUT_S} s") from error
    finally:
        if engine.returncode is None:
            engine.kill()
            await engine.wait()
    if engine.returncode:
        raise UnavailableError(f"espeak-ng did not speak: exit code {engine.returncode}, {complaint[:200]!r}")
    return spoken
