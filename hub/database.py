"""The store's engine: SQLite by default, PostgreSQL by URL, and the same two verbs on both, `read` and `write`.

What always holds:

- SQLite runs in WAL with synchronous=FULL, verified on every connection: with NORMAL a power cut takes the last commits
  along (0 of 500 kept in a worst case).
- A write transaction takes its lock when it begins (SQLite: BEGIN IMMEDIATE), so it never fails half-way for a lock.
- `read` never blocks a writer and never writes.
- On PostgreSQL `write(first=True)` has connections of its own: whatever readers take, what devices send is stored.

What goes wrong outside is `UnavailableError`: the disk, the server, the connection, a pool without a free one. What we
sent wrong stays its own error, and `is_ours` tells the two apart.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bus.errors import CommuneError, UnavailableError, WrongInputError
from bus.logs import fields

log = logging.getLogger(__name__)

_LOCK_WAIT_S: Final = 30
_MIGRATION_LOCK: Final = 0x636F6D6D756E65  # "commune"; pg_advisory_xact_lock's number is ours to choose
_FULL: Final = 2
_POOL_WAIT_S: Final = 10  # for a free connection
# SQLSTATE classes of what we sent wrong: data, a constraint, a statement, a limit of the program (an index's row).
_OURS: Final = ("22", "23", "54")  # a value, a constraint, a limit; not 42: a table or a right is missing
_OUR_ERRORS: Final = ("DataError", "IntegrityError", "ProgrammingError")


class Database:
    """One store. Thread-safe; `generation` rises whenever a connection was lost, for the store may be another one."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            if parsed.get_backend_name() not in ("sqlite", "postgresql"):
                raise WrongInputError(f"store {url!r}: sqlite:///FILE or postgresql://... wanted")
            self._lite: Final = parsed.get_backend_name() == "sqlite"
            self.generation = 0
            self._writing: Final = threading.Lock()
            self.engine: Final = self._engine(parsed, writer=True)
            self._reader: Final = self._engine(parsed, writer=False) if self._lite else self.engine
            self._first: Final = self.engine if self._lite else self._engine(parsed, writer=True, connections=2)
        except (ArgumentError, NoSuchModuleError) as error:
            raise WrongInputError(f"store {url!r}: {error}") from error

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a SQLite file."""
        return self._lite

    @contextlib.contextmanager
    def write(self, *, first: bool = False) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, undone by an exception. Meant for a thread of its own.

        `first`: on a connection that is kept for what must never wait behind readers.
        """
        guard = self._writing if self._lite else contextlib.nullcontext()
        with guard, self.outside(), (self._first if first else self.engine).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view (on PostgreSQL: a statement's own) that writes nothing."""
        with self.outside(), self._reader.connect() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version, one hub at a time."""
        with self.write() as connection:
            if not self._lite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            command.upgrade(migrations(connection), "head")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self._reader.dispose()
        self._first.dispose()

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Turn what the store cannot do now into `UnavailableError`; what we sent wrong stays SQLAlchemy's error."""
        try:
            yield
        except DBAPIError as error:
            if is_ours(error):
                raise
            self.generation += 1
            raise UnavailableError(f"the store cannot be used: {error.orig}") from error
        except PoolTimeoutError as error:  # nothing was lost: the run goes on
            raise UnavailableError("no connection to the store is free") from error

    def _engine(self, url: Any, *, writer: bool, connections: int = 4) -> Engine:
        if not self._lite:
            # A hub that was cut off learns it at the next use; statements wait for a lock no longer than this.
            options = f"-c lock_timeout={_LOCK_WAIT_S * 1000} -c timezone=UTC"
            server = create_engine(
                url,
                pool_pre_ping=True,
                pool_size=connections,
                max_overflow=2 * connections,
                pool_timeout=_POOL_WAIT_S,
                connect_args={"options": options},
            )
            event.listen(server, "invalidate", self._lost)
            return server
        engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_S, "check_same_thread": False})

        @event.listens_for(engine, "connect")
        def _on_connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # no BEGIN behind our back: `_on_begin` says which one
            for pragma, wanted in (("journal_mode=WAL", "wal"), ("synchronous=FULL", None), ("foreign_keys=ON", None)):
                row = connection.execute(f"PRAGMA {pragma}").fetchone()
                if wanted is not None and (row is None or row[0] not in (wanted, "memory")):
                    raise UnavailableError(f"SQLite refused {pragma}, it answered {row}: is it on a network share?")
            if connection.execute("PRAGMA synchronous").fetchone()[0] != _FULL:
                raise UnavailableError("SQLite refused synchronous=FULL: commits would not survive a power cut")
            connection.execute("PRAGMA cache_size=-32000")
            if not writer:
                connection.execute("PRAGMA query_only=ON")

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

        return engine

    def _lost(self, *_: object) -> None:
        """A pooled connection was found dead: the server went away, and what came back may be older."""
        self.generation += 1


def migrations(connection: Connection) -> Config:
    """Alembic's configuration for this store."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def is_ours(error: Exception) -> bool:
    """Whether what we sent is to blame (a value that does not fit), so that sending it again is no use.

    PostgreSQL says so by SQLSTATE: psycopg calls a row too long for its index an OperationalError, as it calls a server
    that is gone. What neither the driver nor the store raised is our own mistake.
    """
    if not isinstance(error, DBAPIError):
        return not isinstance(error, (CommuneError, PoolTimeoutError, MemoryError, OSError))
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state.startswith(_OURS) if state else type(error).__name__ in _OUR_ERRORS


def is_of_a_value(error: Exception) -> bool:
    """Whether one entry's own value is to blame. A defect of ours, or a table that is missing, blames no entry."""
    if isinstance(error, DBAPIError):
        return is_ours(error) and type(error).__name__ != "ProgrammingError"
    return isinstance(error, (ArithmeticError, ValueError, RecursionError))


def log_opened(url: str) -> None:
    """Say which store is used, without its password."""
    log.info("store opened %s", fields(url=make_url(url).render_as_string(hide_password=True)))
