"""Programs that tests run, and ports they may use."""

import os
import shutil
import socket

import pytest

# Debian keeps daemons and network tools where an ordinary user's PATH does not look.
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def find_tool(name: str) -> str:
    """Path of a program. Fails the test where it is missing: a test that is skipped proves nothing."""
    path = shutil.which(name, path=_SEARCH)
    if path is None:
        pytest.fail(f"{name} is not installed; scripts/test installs what the tests need (scripts/install.sh names it)")
    return path


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on now. Another may take it at once: start what needs it, and try again if it fails."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
