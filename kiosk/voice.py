"""The kiosk's voice: which output, how loud now, and which prompts are ready. A missing sound device is tried again."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

from bus.clock import Quality
from bus.errors import UnavailableError
from bus.logs import fields
from bus.timekeeper import Timekeeper
from kiosk.booth import Booth
from kiosk.config import SoundConfig
from kiosk.prompts import Prompter, PromptStore
from kiosk.settings import local_time, unsure_volume_pct, volume_pct
from media import Output

log = logging.getLogger("kiosk.voice")

PAGE_RATE_HZ: Final = 22_050
_AGAIN_S: Final = 5.0
_LOOK_S: Final = 1.0


class Voice:
    """Says the booth's prompts on the kiosk's own loudspeaker, or makes them ready for a page to say."""

    def __init__(self, config: SoundConfig, booth: Booth, clock: Timekeeper) -> None:
        self._config = config
        self._booth = booth
        self._clock = clock

    async def run(self) -> None:
        """Speak until cancelled; a sound device that is unplugged is opened again once it is back."""
        while True:
            output = await self._open()
            store = self.store(output.rate_hz)
            silence = self._booth.on_prompt(Prompter(output, store, self.volume_pct).play)
            following = asyncio.create_task(self.follow(store), name="prompts")
            try:
                while output.alive:
                    await asyncio.wait({following}, timeout=_LOOK_S)
                    if following.done():
                        following.result()
            finally:
                silence()
                following.cancel()
                with contextlib.suppress(OSError):
                    output.close()
            log.error("sound device gone %s", fields(again_after_s=_AGAIN_S))
            await asyncio.sleep(_AGAIN_S)

    def store(self, rate_hz: int) -> PromptStore:
        """An empty store with the configured recordings."""
        return PromptStore(Path(self._config.recordings) if self._config.recordings else None, rate_hz)

    async def follow(self, store: PromptStore) -> None:
        """Keep the store ready for the settings of now, until cancelled."""
        await store.follow(lambda: self._booth.settings)

    def volume_pct(self) -> int:
        """How loud it may be at this moment."""
        stamp = self._clock.now()
        if stamp.quality is Quality.UNKNOWN:
            return unsure_volume_pct(self._booth.settings)
        return volume_pct(self._booth.settings, local_time(stamp.wall_ms))

    async def _open(self) -> Output:
        told = False
        while True:
            try:
                return await asyncio.to_thread(_output, self._config)
            except (UnavailableError, ImportError, OSError) as error:  # ImportError: no PortAudio on this machine
                if not told:
                    log.error("no sound %s", fields(error=error))
                told = True
                await asyncio.sleep(_AGAIN_S)


def _output(config: SoundConfig) -> Output:
    """Imported only where there is a loudspeaker."""
    if config.wav:
        from media.simulated import WavOutput

        return WavOutput(Path(config.wav))
    from media.portaudio import PortAudioOutput

    return PortAudioOutput(config.device)
