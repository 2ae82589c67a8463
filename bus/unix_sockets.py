"""Unix stream sockets at paths of any length.

The kernel takes 107 bytes of path (unix(7)), and a state folder may lie deeper. A socket is therefore reached through
its folder's descriptor, `/proc/self/fd/N/name`, which is short whatever the folder is called.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def listen_at(path: Path, *, mode: int = 0o600) -> socket.socket:
    """A socket that listens at `path`; one left behind there is taken away. `OSError` where it cannot be."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(server.fileno(), mode)  # before bind, so that nobody else gets a moment (unix(7))
        with _short(path) as short:
            server.bind(short)
        server.listen()
        server.setblocking(False)  # noqa: FBT003 - its own signature
    except BaseException:
        server.close()
        raise
    return server


def connect_to(path: Path) -> socket.socket:
    """A socket connected to the one at `path`. `OSError` where nobody listens, or who listens takes nobody in.

    It never waits: a listener that hangs, its backlog full, is EAGAIN at once (connect(2)).
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.setblocking(False)  # noqa: FBT003 - its own signature
        with _short(path) as short:
            client.connect(short)
    except BaseException:
        client.close()
        raise
    return client


@contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
