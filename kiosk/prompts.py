"""Spoken prompts: a recording where there is one, else text to speech, at the volume of the hour.

Recordings stand as `<language>/<prompt>.wav`, so that any language can be had, with or without a voice on this machine
(Muong, Thai, Mong, Tay). A prompt that has neither is said in Vietnamese; in a quiet hour nothing is said. The thanks
are the same for every answer. Everything is made ready when the settings change, off the event loop; a press waits for
no speech engine.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bus.errors import CommuneError
from bus.logs import fields
from bus.texts import msgid, translator
from kiosk.flow import Prompt
from kiosk.settings import KioskSettings, say
from media import Output
from media.pcm import read_wav, scale
from media.speech import can_speak, speak

log = logging.getLogger("kiosk.prompts")

PROMPTS: Final = ("question", "thanks", "reasons")
_MOST_BYTES: Final = 4 * 1024 * 1024  # two minutes of a recording at the output's rate, and some


class Prompter:
    """Plays prompts on one output. `volume_pct` tells how loud it may be now."""

    def __init__(self, output: Output, recordings: Path | None, volume_pct: Callable[[], int]) -> None:
        self._output = output
        self._recordings = recordings
        self._volume_pct = volume_pct
        self._ready: dict[tuple[str, str], bytes] = {}
        self._scaled: dict[tuple[str, str, int], bytes] = {}
        self.failed = 0

    async def prepare(self, settings: KioskSettings) -> None:
        """Make all prompts of these settings ready; what cannot be had is logged and left out."""
        ready: dict[tuple[str, str], bytes] = {}
        for language in settings.languages:
            for name in PROMPTS:
                pcm = await asyncio.to_thread(self._make, settings, language, name)
                if pcm is not None:
                    ready[language, name] = pcm
        self._ready = ready
        self._scaled.clear()

    def play(self, prompt: Prompt) -> None:
        """Say it now, instead of what is being said; nothing in a quiet hour."""
        volume_pct = self._volume_pct()
        if volume_pct <= 0:
            return
        for language in (prompt.language, "vi"):
            pcm = self._ready.get((language, prompt.name))
            if pcm is not None:
                key = (language, prompt.name, volume_pct)
                if key not in self._scaled:
                    self._scaled[key] = scale(pcm, volume_pct)
                self._output.play(self._scaled[key])
                return

    def _make(self, settings: KioskSettings, language: str, name: str) -> bytes | None:
        for path in self._files(language, name):
            try:
                if path.stat().st_size > _MOST_BYTES:
                    raise CommuneError(f"more than {_MOST_BYTES} bytes")
                return read_wav(path.read_bytes(), self._output.rate_hz)
            except FileNotFoundError:
                continue
            except (OSError, CommuneError) as error:
                self._failed(language, name, f"{path}: {error}")
        if not can_speak(language):
            return None
        try:
            return speak(text_of(settings, language, name), language, self._output.rate_hz)
        except CommuneError as error:
            self._failed(language, name, str(error))
            return None

    def _files(self, language: str, name: str) -> Iterator[Path]:
        if self._recordings is not None:
            yield self._recordings / language / f"{name}.wav"

    def _failed(self, language: str, name: str, error: str) -> None:
        self.failed += 1
        log.warning("prompt not ready %s", fields(language=language, prompt=name, error=error))


def text_of(settings: KioskSettings, language: str, name: str) -> str:
    """What a prompt says."""
    text = translator(language).gettext
    match name:
        case "question":
            return say(settings.question.text, language)
        case "reasons":
            words = ", ".join(say(reason.text, language) for reason in settings.reasons)
            return f"{text(msgid('What should be better?'))} {words}."
        case _:
            return text(msgid("Thank you! Your answer has been recorded."))
