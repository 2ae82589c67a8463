"""One hub at a time: a lock in the store for work that several hubs on it need not all do."""

import contextlib
from typing import Final

from sqlalchemy import Connection, select, text

from hub.database import Database

EXPORT: Final = 0x6578706F7274  # "export"; numbers of pg_try_advisory_lock are ours to choose


class Turnstile:
    """Held by a connection of its own, on PostgreSQL, and gone with it. On SQLite everybody may pass."""

    def __init__(self, database: Database, number: int) -> None:
        self._database = database
        self._number = number
        self._held: Connection | None = None

    def pass_(self) -> bool:
        """Whether it is ours, asked anew each time; `UnavailableError` when the store does not answer."""
        if self._database.is_sqlite:
            return True
        with self._database.outside():
            if self._held is None:
                return self._take()
            try:
                self._held.execute(select(1))
            except Exception:
                self.close()
                raise
        return True

    def close(self) -> None:
        """Let another hub have it."""
        if self._held is not None:
            held, self._held = self._held, None
            with contextlib.suppress(Exception):
                held.invalidate()  # to the pool it must not go: the lock is the session's
            held.close()

    def _take(self) -> bool:
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        lock = text("SELECT pg_try_advisory_lock(:number)")
        try:
            if connection.execute(lock, {"number": self._number}).scalar_one():
                self._held = connection
                return True
        finally:
            if self._held is not connection:
                connection.close()
        return False
