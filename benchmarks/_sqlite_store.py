"""The store the journal could have been built on, with the same promises to its callers: what it is measured against.

SQLite, WAL, synchronous=FULL; one writer thread that puts into one transaction what has come in meanwhile, and gives
each caller a future. No chain, no checksum a record, no epochs: less work than the journal does for each.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

_GROUP = 512


@contextmanager
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """The bare table; `synchronous` is what it was asked to be, or the figures mean nothing."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=full")
        assert database.execute("pragma synchronous").fetchone() == (2,)
        database.execute("create table if not exists entry (seq integer primary key, body blob not null)")
        yield database
    finally:
        database.close()


class SqliteStore:
    """Group commit over SQLite."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._wake = threading.Condition()
        self._pending: deque[tuple[bytes, Future[int]]] = deque()
        self._closing = False
        (self._head,) = database.execute("select coalesce(max(seq), 0) from entry").fetchone()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def append(self, body: bytes) -> "Future[int]":
        """The number of the row, once it is durable."""
        future: Future[int] = Future()
        with self._wake:
            self._pending.append((body, future))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Write what is pending and stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._pending and not self._closing:
                    self._wake.wait()
                group = [self._pending.popleft() for _ in range(min(len(self._pending), _GROUP))]
            if not group:
                return
            self._database.execute("begin immediate")
            rows = [(self._head + offset, body) for offset, (body, _) in enumerate(group, 1)]
            self._database.executemany("insert into entry values (?, ?)", rows)
            self._database.execute("commit")
            self._head += len(group)
            for (seq, _), (_, future) in zip(rows, group, strict=True):
                future.set_result(seq)
