"""Spoken prompts: a recording where there is one, else text to speech, at the volume of the hour.

Recordings stand as `<language>/<prompt>.wav`, so that any language can be had, with or without a voice on this machine
(Muong, Thai, Mong, Tay). A prompt that has neither is said in Vietnamese; in a quiet hour nothing is said. The thanks
are the same for every answer, and nothing is said that follows only some answers. Everything is made ready when the
settings change, off the event loop; a press waits for no speech engine, and the kiosk's end for none either.
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
from kiosk.settings import KioskSettings, unsure_volume_pct
from media import Output
from media.pcm import scale, scale_parts, wav_parts
from media.speech import can_speak, speak

log = logging.getLogger("kiosk.prompts")

PROMPTS: Final = ("question", "thanks")
_LOOK_S: Final = 1.0
_MOST_BYTES: Final = 4 * 1024 * 1024  # two minutes of a recording at the output's rate, and some


class PromptStore:
    """Every prompt of the settings in every language, as PCM at `rate_hz`."""

    def __init__(self, recordings: Path | None, rate_hz: int) -> None:
        self.rate_hz: Final = rate_hz
        self.failed = 0
        self._recordings = recordings
        self._ready: dict[tuple[str, str], bytes] = {}
        self._scaled: dict[tuple[str, str, int], bytes] = {}

    async def follow(self, settings: Callable[[], KioskSettings]) -> None:
        """Make prompts ready, and again whenever the settings have changed, until cancelled."""
        prepared: KioskSettings | None = None
        while True:
            if (now := settings()) is not prepared:
                prepared = now
                await self.prepare(now)
            await asyncio.sleep(_LOOK_S)

    async def prepare(self, settings: KioskSettings) -> None:
        """Make all prompts of these settings ready; what cannot be had is logged and left out."""
        ready: dict[tuple[str, str], bytes] = {}
        scaled: dict[tuple[str, str, int], bytes] = {}
        volumes = {unsure_volume_pct(settings), *(rule.volume_pct for rule in settings.volumes)} - {0}
        for language in settings.languages:
            for name in PROMPTS:
                pcm = await self._make(settings, language, name)
                if pcm is None:
                    continue
                ready[language, name] = pcm
                # Scaled beforehand: on a small box that takes longer than a citizen should wait for the lamps.
                for volume in volumes:
                    scaled[language, name, volume] = await _worked(scale_parts(pcm, volume))
        self._ready, self._scaled = ready, scaled
        log.info("prompts ready %s", fields(prompts=len(ready)))

    def get(self, language: str, name: str, volume_pct: int) -> bytes | None:
        """The prompt at this volume, in Vietnamese where the language has none; None in a quiet hour or without it."""
        if volume_pct <= 0:
            return None
        for spoken in (language, "vi"):
            if (pcm := self._ready.get((spoken, name))) is not None:
                key = (spoken, name, volume_pct)
                if key not in self._scaled:
                    self._scaled[key] = scale(pcm, volume_pct)
                return self._scaled[key]
        return None

    async def _make(self, settings: KioskSettings, language: str, name: str) -> bytes | None:
        if self._recordings is not None:
            path = self._recordings / language / f"{name}.wav"
            try:
                return await _worked(await asyncio.to_thread(lambda: wav_parts(_read(path), self.rate_hz)))
            except FileNotFoundError:
                pass
            except (OSError, CommuneError) as error:
                self._failed(language, name, f"{path}: {error}")
        text = text_of(settings, language, name)
        if not text or not can_speak(language):
            return None
        try:
            return await _worked(await asyncio.to_thread(wav_parts, await speak(text, language), self.rate_hz))
        except CommuneError as error:
            self._failed(language, name, str(error))
            return None

    def _failed(self, language: str, name: str, error: str) -> None:
        self.failed += 1
        log.warning("prompt not ready %s", fields(language=language, prompt=name, error=error))


class Prompter:
    """Plays prompts on one output. `volume_pct` tells how loud it may be now."""

    def __init__(self, output: Output, store: PromptStore, volume_pct: Callable[[], int]) -> None:
        self._output = output
        self._store = store
        self._volume_pct = volume_pct

    def play(self, prompt: Prompt) -> None:
        """Say it now, instead of what is being said; nothing in a quiet hour."""
        if (pcm := self._store.get(prompt.language, prompt.name, self._volume_pct())) is not None:
            self._output.play(pcm)


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MOST_BYTES:
        raise CommuneError(f"more than {_MOST_BYTES} bytes")
    return path.read_bytes()


async def _worked(parts: Iterator[bytes]) -> bytes:
    """All parts, each made in a thread: the end of the kiosk waits for its threads, so for one part at most."""
    made = []
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        made.append(part)
    return b"".join(made)


def text_of(settings: KioskSettings, language: str, name: str) -> str:
    """What a prompt says; "" where the settings do not have it in this language: no voice reads another's text."""
    text = translator(language).gettext
    match name:
        case "question":
            return settings.question.text.get(language, "")
        case _:
            return text(msgid("Thank you! Your answer has been recorded."))
