"""Text to speech by espeak-ng, a process that is given a time limit: a speech engine may hang, a kiosk may not."""

import shutil
import subprocess
from typing import Final

from bus.errors import UnavailableError
from media.pcm import read_wav
from media.reading import spell_out

_TIMEOUT_S: Final = 20
# Our languages in espeak-ng's voices. A language that is not here has no voice: it needs a recording.
VOICES: Final = {"vi": "vi", "en": "en"}
_WORDS_A_MINUTE: Final = 140  # slow enough for elders in a room with an echo


def can_speak(language: str) -> bool:
    """Whether there is a voice for this language on this machine."""
    return language in VOICES and shutil.which("espeak-ng") is not None


def speak(text: str, language: str, rate_hz: int) -> bytes:
    """The text as mono PCM at `rate_hz`; `UnavailableError` where no voice can say it."""
    if not can_speak(language):
        raise UnavailableError(f"no voice for {language!r} here: install espeak-ng, or give a recording")
    words = spell_out(text) if language == "vi" else text
    command = ["espeak-ng", "-v", VOICES[language], "-s", str(_WORDS_A_MINUTE), "--stdout"]
    try:
        done = subprocess.run(command, input=words.encode(), capture_output=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"espeak-ng did not speak: {error}") from error
    return read_wav(done.stdout, rate_hz)
