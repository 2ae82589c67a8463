"""Prompts as WAV files, for a page that has to sound itself (a tablet away from the kiosk's own loudspeaker)."""

import io
import wave
from collections.abc import Callable


class PromptFiles:
    """`ready` gives the PCM of a prompt in a language, at `rate_hz`; None where there is none."""

    def __init__(self, ready: Callable[[str, str], bytes | None], rate_hz: int) -> None:
        self._ready = ready
        self._rate_hz = rate_hz

    def wav(self, language: str, name: str) -> bytes | None:
        """The file; None where there is none, or it is a quiet hour."""
        pcm = self._ready(language, name)
        if pcm is None:
            return None
        content = io.BytesIO()
        with wave.open(content, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self._rate_hz)
            file.writeframes(pcm)
        return content.getvalue()
