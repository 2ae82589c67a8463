"""Prompts as WAV files, for a page that has to sound itself (a tablet away from the kiosk's own loudspeaker)."""

import io
import wave
from collections.abc import Callable

from kiosk.prompts import PromptStore


class PromptFiles:
    """The prompts of `store`, as loud as `volume_pct` allows now."""

    def __init__(self, store: PromptStore, volume_pct: Callable[[], int]) -> None:
        self._store = store
        self._volume_pct = volume_pct

    def wav(self, language: str, name: str) -> bytes | None:
        """The file; None where there is none, or it is a quiet hour."""
        pcm = self._store.get(language, name, self._volume_pct())
        if pcm is None:
            return None
        content = io.BytesIO()
        with wave.open(content, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self._store.rate_hz)
            file.writeframes(pcm)
        return content.getvalue()
