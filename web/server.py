"""The web server of a part: uvicorn over h11, until it is cancelled.

The part owns its signals and its tasks, so uvicorn gets neither: cancel the task that runs `serve`, and the answers
under way are given up to `stop_s` to end.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from bus.config import ServerTlsConfig
from bus.errors import UnavailableError
from bus.tls import server_context

# A part has 5 s to end, and its journal and its link need the rest: who has sent half a request waits no longer.
STOP_S: Final = 1
# Slow or idle readers must not take all the places: beyond this many a request is answered 503 at once.
MAX_AT_ONCE: Final = 256


class _Server(uvicorn.Server):
    """Leaves signals alone, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    tls: ServerTlsConfig | None = None,
    stop_s: int = STOP_S,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Serve `app` until cancelled. `port` 0 takes a free one; `on_listening` is told which, once it answers.

    `UnavailableError` where the address cannot be taken, `WrongInputError` where the TLS files cannot be used.
    """
    context = server_context(tls) if tls is not None else None
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise UnavailableError(
            f"web address {host}:{port} cannot be taken: {error}; stop whatever holds it, or set another port"
        ) from error
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_AT_ONCE,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=stop_s,
            h11_max_incomplete_event_size=32 * 1024,
            ssl_context_factory=(lambda _, __: context) if context is not None else None,
        )
    )
    with listener:
        running = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
        try:
            listening = asyncio.create_task(server.listening.wait())
            await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            if server.started and on_listening is not None:
                on_listening(listener.getsockname()[1])
            await asyncio.shield(running)
        finally:
            server.should_exit = True
            # Cancelled once more in here, the server goes down without waiting for its answers.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running, stop_s + 1)
