"""Looking whether parts are up: real connections, real requests. Nothing here starts a thread."""

import asyncio
import contextlib
from typing import Any, Final, Self

import httpx

from bus.identifiers import DeviceId
from provisioning.demo.ports import LOOPBACK

_TIMEOUT_S: Final = 5.0
_PAGE: Final = 500


class LiveLook:
    """Asks the running parts. `learn` reads what journals the hub holds; `heard` compares with the first time."""

    def __init__(self, hub_url: str, token: str) -> None:
        self._hub = hub_url
        # Proxies of the environment are for the Internet, not for our loopback.
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._stored: dict[DeviceId, int] = {}
        self._before: dict[DeviceId, int] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def answers(self, url: str) -> bool:
        """Whether GET of `url` is answered with a status below 400."""
        try:
            return (await self._client.get(url)).status_code < 400
        except httpx.HTTPError:
            return False

    async def listens(self, port: int) -> bool:
        """Whether the loopback port takes connections."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                _, writer = await asyncio.open_connection(LOOPBACK, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    def heard(self, device: DeviceId) -> bool:
        """Whether the hub has stored anything new of a device since `learn` first asked it."""
        before = self._before or {}
        return self._stored.get(device, 0) > before.get(device, 0)

    async def learn(self) -> None:
        """Ask the hub what it holds; what it does not answer stays as it was."""
        counts: dict[DeviceId, int] = {}
        after: str | None = None
        while True:
            page = await self._journals(after)
            if page is None:
                return
            for item in page["items"]:
                counts[item["device"]] = counts.get(item["device"], 0) + item["stored"]
            after = page["next"]
            if after is None:
                break
        self._stored = counts
        if self._before is None:
            self._before = counts

    async def _journals(self, after: str | None) -> dict[str, Any] | None:
        parameters = {"limit": str(_PAGE), **({"after": after} if after else {})}
        try:
            answer = await self._client.get(f"{self._hub}/api/v1/journals", params=parameters, headers=self._headers)
            answer.raise_for_status()
        except httpx.HTTPError:
            return None
        page: dict[str, Any] = answer.json()
        return page
