"""Serves the touch page: its key, its address, and another try where port or certificate will not do."""

import asyncio
import logging
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


class PageService:
    """One page. `state` keeps its key (`page.key`) and, while it is served, its address (`page.json`)."""

    def __init__(self, booth: Booth, config: PageConfig, state: Path, *, prompts: PromptFiles | None) -> None:
        self._config = config
        self._state = state
        self._key = _kept_key(state / "page.key")
        self._touch = TouchPage(booth, self._key, prompts=prompts)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                config = self._config
                await serve(
                    self._touch.app(),
                    host=config.host,
                    port=config.port,
                    tls=config.tls,
                    on_listening=self._listening,
                )
            except CommuneError as error:
                log.error("touch page not served %s", fields(error=error))
            await asyncio.sleep(_AGAIN_S)

    def close(self) -> None:
        """End the open pages' streams, so that the server need not wait for them."""
        self._touch.close()

    def _listening(self, port: int) -> None:
        scheme = "https" if self._config.tls is not None else "http"
        url = f"{scheme}://{self._config.host}:{port}/{self._key}/"
        replace_file(self._state / "page.json", b'{"url":"%s"}\n' % url.encode(), mode=0o600)


def _kept_key(path: Path) -> str:
    """The secret in the page's address, made at the first start: who can press can vote."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        key = secrets.token_urlsafe(32)
        replace_file(path, key.encode(), mode=0o600)
        return key
