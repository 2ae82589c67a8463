"""A throw-away PostgreSQL cluster on a Unix socket, owned by a user who is not root (initdb refuses root)."""

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

_OWNER = "postgres"


class Cluster:
    """One server for the session; `new_store` gives an empty database in it."""

    def __init__(self) -> None:
        # Its own short folder: a socket's path may hold 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._bin = _binaries()
        self._as_owner = ["setpriv", "--reuid", _OWNER, "--regid", _OWNER, "--clear-groups"] if os.getuid() == 0 else []
        if self._as_owner:
            shutil.chown(self._folder, _OWNER, _OWNER)
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data = self._folder / "data"
        if not data.exists():
            self._run(
                "initdb", "-D", str(data), "-A", "trust", "-U", "hub", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"
            )
        argv = [
            *self._as_owner, str(self._bin / "postgres"), "-D", str(data), "-k", str(self._folder),
            "-c", "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=64MB",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder)
        subprocess.run(
            [str(self._bin / "pg_isready"), "-h", str(self._folder), "-t", "1"], check=False, capture_output=True
        )
        self._await_up()

    def _await_up(self) -> None:
        for _ in range(600):
            try:
                psycopg.connect(host=str(self._folder), user="hub", dbname="postgres", connect_timeout=1).close()
            except psycopg.OperationalError:
                assert self._server is not None
                try:
                    self._server.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                pytest.fail(f"postgres ended: {(self._folder / 'log').read_text()}")
            else:
                return
        pytest.fail(f"postgres does not answer: {(self._folder / 'log').read_text()}")

    def new_store(self) -> str:
        """The URL of a new, empty database."""
        name = f"hub_{secrets.token_hex(6)}"
        with psycopg.connect(host=str(self._folder), user="hub", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://hub@/{name}?host={self._folder}"

    def copy(self, url: str) -> str:
        """A copy of a store nobody is connected to: its backup."""
        name = f"hub_{secrets.token_hex(6)}"
        source = url.rsplit("/", 1)[0] and url.split("@/")[1].split("?")[0]
        with psycopg.connect(host=str(self._folder), user="hub", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
        return self.url(name)

    def stop(self) -> None:
        """Fast shutdown: connections are cut."""
        if self._server is not None:
            self._server.send_signal(2)
            self._server.wait(20)
            self._server = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_owner, str(self._bin / program), *arguments], check=True, capture_output=True, cwd=self._folder
        )


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.fail("postgresql is not installed; scripts/test installs what the tests need")
    return found[-1].parent
