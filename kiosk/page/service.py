"""Serves the touch page: its key, its address, and another try where port or certificate will not do."""

import asyncio
import contextlib
import logging
import re
import secrets
from pathlib import Path
from typing import Final

from bus.errors import CommuneError
from bus.files import replace_file
from bus.logs import fields
from kiosk.booth import Booth
from kiosk.config import PageConfig
from kiosk.page.app import TouchPage
from kiosk.page.prompt_files import PromptFiles
from web.server import serve

log = logging.getLogger("kiosk.page")

_AGAIN_S: Final = 5.0
_KEY: Final = re.compile(rb"[A-Za-z0-9_-]{32,}")


class PageService:
    """One page. `state` keeps its key (`page.key`) and, while it is served, its address (`page.json`)."""

    def __init__(self, booth: Booth, config: PageConfig, state: Path, *, prompts: PromptFiles | None) -> None:
        self._booth = booth
        self._config = config
        self._state = state
        self._prompts = prompts
        self._touch: TouchPage | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await self._serve()
            except (CommuneError, OSError) as error:  # OSError: the disk is full
                log.error("touch page not served %s", fields(error=error))
            await asyncio.sleep(_AGAIN_S)

    def close(self) -> None:
        """End the open pages' streams, so that the server need not wait for them."""
        if self._touch is not None:
            self._touch.close()

    async def _serve(self) -> None:
        # Kept before it is used: a page that is open must find us again after a restart.
        key = await asyncio.to_thread(kept_key, self._state / "page.key")
        self._touch = self._touch or TouchPage(self._booth, key, prompts=self._prompts)
        config = self._config
        scheme = "https" if config.tls is not None else "http"

        def listening(port: int) -> None:
            url = f"{scheme}://{config.host}:{port}/{key}/"
            replace_file(self._state / "page.json", b'{"url":"%s"}\n' % url.encode(), mode=0o600)

        app = self._touch.app()
        await serve(app, host=config.host, port=config.port, tls=config.tls, on_listening=listening)


def kept_key(path: Path) -> str:
    """The secret in the page's address, made at the first start: who can press can vote."""
    with contextlib.suppress(FileNotFoundError):
        if (kept := path.read_bytes().strip()) and _KEY.fullmatch(kept):
            return kept.decode()
        log.error("page key unreadable, a new one is made %s", fields(path=path))
    key = secrets.token_urlsafe(32)
    replace_file(path, key.encode(), mode=0o600)
    return key
