"""The journal against SQLite: records accepted durably, latency at a calm rate, opening, what a flipped bit costs.

All get the same bytes in the same run on the same disk. The peers: a bare insert and commit in WAL with
synchronous=FULL; and the journal's own scheme, a writer thread that commits for all who wait, over the same SQLite
(`_sqlite_store`). docs/decisions/0001-journal-store.md reads these figures.
"""

import os
import random
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks._sqlite_store import SqliteStore, connection
from benchmarks.report import Bound, Row
from bus.clock import Quality, Stamp
from bus.config import JournalConfig
from bus.entries import RatingPressed
from bus.journal import Journal
from bus.messages import Entry

_QUEUED = 100_000
_CALLERS = 16
_ROUNDS = 20


class _Answer(Protocol):
    def result(self, timeout: float) -> object: ...


Append = Callable[[int], _Answer]


def run(scale: float) -> list[Row]:
    """Every figure once; `scale` shortens the counts."""
    with tempfile.TemporaryDirectory(prefix="journal-bench-", dir=os.environ.get("COMMUNE_BENCH_DIR")) as name:
        folder = Path(name)
        rates = _rates(folder, scale)
        return [*rates, *_calm_latency(folder, scale), *_opening(folder), *_flipped_bits(folder, scale)]


def _stamp() -> Stamp:
    return Stamp("0" * 32, time.monotonic_ns(), time.time_ns() // 1_000_000, Quality.TRUSTED)


def _press(number: int) -> RatingPressed:
    return RatingPressed(f"panel-1/00c0ffee/{number}", "panel", 1, 5, 40, "counter-1", "officer-7")


def _entry_bytes(number: int) -> bytes:
    return msgspec.json.encode(
        Entry(number, "rating.pressed", _stamp(), msgspec.Raw(msgspec.json.encode(_press(number))))
    )


@contextmanager
def _journal(folder: Path) -> Iterator[Journal]:
    journal = Journal(folder, stamp=_stamp, config=JournalConfig())
    try:
        yield journal
    finally:
        journal.close()


def _rates(folder: Path, scale: float) -> list[Row]:
    count = max(200, int(4000 * scale))
    burst = max(1000, int(40_000 * scale))
    rounds: dict[str, list[float]] = defaultdict(list)
    with _journal(folder / "empty") as empty, _journal(folder / "full") as full, connection(folder / "db") as database:
        _queue(full, _QUEUED)
        each, each_burst = count // _ROUNDS, burst // _ROUNDS

        def by_group(measure: Callable[[Append, int], float], many: int) -> float:
            store = SqliteStore(database)
            try:
                return measure(_inserter(store), many)
            finally:
                store.close()

        turns: list[tuple[str, Callable[[], float]]] = [
            ("one", lambda: _one_caller(_appender(empty), each)),
            ("one full", lambda: _one_caller(_appender(full), each)),
            ("sql bare", lambda: _insert(database, each)),
            ("sql one", lambda: by_group(_one_caller, each)),
            ("many", lambda: _many_callers(_appender(empty), each_burst)),
            ("many full", lambda: _many_callers(_appender(full), each_burst)),
            ("sql many", lambda: by_group(_many_callers, each_burst)),
        ]
        # Turn about, so that a slow moment of the machine meets all of them; shuffled, since what ran before tells.
        chance = random.Random(1)
        for _ in range(_ROUNDS):
            chance.shuffle(turns)
            for name, measure in turns:
                rounds[name].append(measure())
    rate = {name: statistics.median(values) for name, values in rounds.items()}
    as_empty = (Bound("ratio", at_least=0.9),)
    one, many = "accepted durably, one caller waiting for each", f"accepted durably, {_CALLERS} callers at once"
    bare, grouped = "SQLite WAL FULL, bare insert and commit", "SQLite WAL FULL, same group commit"
    held = f"the same, not {_QUEUED:,} queued"
    return [
        Row(one, rate["one"], "records/s", bare, rate["sql bare"]),
        Row(one, rate["one"], "records/s", grouped, rate["sql one"]),
        Row(many, rate["many"], "records/s", bare, rate["sql bare"]),
        Row(many, rate["many"], "records/s", grouped, rate["sql many"]),
        Row(f"{one}, {_QUEUED:,} queued", rate["one full"], "records/s", held, rate["one"], as_empty),
        Row(f"{many}, {_QUEUED:,} queued", rate["many full"], "records/s", held, rate["many"], as_empty),
    ]


def _appender(journal: Journal) -> Append:
    return lambda number: journal.append(_press(number))


def _inserter(store: SqliteStore) -> Append:
    return lambda number: store.append(_entry_bytes(number + 1))


def _queue(journal: Journal, count: int) -> None:
    for at in range(0, count, 5000):
        futures = [journal.append(_press(number)) for number in range(at, min(count, at + 5000))]
        for future in futures:
            future.result(60)


def _one_caller(append: Append, count: int) -> float:
    start = time.perf_counter()
    for number in range(count):
        append(number).result(60)
    return count / (time.perf_counter() - start)


def _many_callers(append: Append, count: int) -> float:
    """Callers that keep a few appends under way each, as the parts of one process do."""
    each = count // _CALLERS

    def call() -> None:
        for at in range(0, each, 8):
            for future in [append(number) for number in range(at, min(each, at + 8))]:
                future.result(60)

    threads = [threading.Thread(target=call) for _ in range(_CALLERS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * _CALLERS / (time.perf_counter() - start)


def _insert(database: sqlite3.Connection, count: int) -> float:
    (head,) = database.execute("select coalesce(max(seq), 0) from entry").fetchone()
    start = time.perf_counter()
    for number in range(head + 1, head + count + 1):
        database.execute("insert into entry values (?, ?)", (number, _entry_bytes(number)))
    return count / (time.perf_counter() - start)


def _calm_latency(folder: Path, scale: float) -> list[Row]:
    """One record each 100 ms: the journal, a bare write and fdatasync, and SQLite, in turn within the same second."""
    count = max(30, int(300 * scale))
    with _journal(folder / "full") as journal, connection(folder / "db") as database:
        descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:

            def bare(number: int) -> None:
                os.write(descriptor, _entry_bytes(number + 1))
                os.fdatasync(descriptor)

            def accepted(number: int) -> None:
                journal.append(_press(number)).result(60)

            def inserted(number: int) -> None:
                _insert(database, 1)

            mine, theirs, sql = _in_turn(count, [accepted, bare, inserted])
        finally:
            os.close(descriptor)
    bare_name, sql_name = "bare write + fdatasync", "SQLite WAL FULL"
    limit = (Bound("value", at_most=20.0),)
    return [
        Row("append at 10/s, p50", _quantile(mine, 0.5), "ms", bare_name, _quantile(theirs, 0.5)),
        Row("append at 10/s, p99", _quantile(mine, 0.99), "ms", bare_name, _quantile(theirs, 0.99), limit),
        Row("append at 10/s, p99", _quantile(mine, 0.99), "ms", sql_name, _quantile(sql, 0.99)),
    ]


def _in_turn(count: int, actions: list[Callable[[int], None]]) -> list[list[float]]:
    took: list[list[float]] = [[] for _ in actions]
    due = time.perf_counter()
    for number in range(count):
        for index, action in enumerate(actions):
            due += 0.1 / len(actions)
            time.sleep(max(0.0, due - time.perf_counter()))
            start = time.perf_counter()
            action(number)
            took[index].append((time.perf_counter() - start) * 1000)
    return took


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _opening(folder: Path) -> list[Row]:
    """What is queued: opening, and reading all of it in batches."""
    start = time.perf_counter()
    with _journal(folder / "full") as journal:
        opened_ms = (time.perf_counter() - start) * 1000
        start = time.perf_counter()
        count = 0
        for view in journal.epochs():
            at = 1
            while (chunk := journal.read(view.epoch, view.klass, at, max_count=500, max_bytes=128 * 1024)).entries:
                count += len(chunk.entries)
                at = chunk.first + len(chunk.entries)
        read_rate = count / (time.perf_counter() - start)
    start = time.perf_counter()
    with connection(folder / "db") as database:
        database.execute("select count(*), sum(length(body)) from entry").fetchone()
        sql_ms = (time.perf_counter() - start) * 1000
    return [
        Row(f"open with {_QUEUED:,} and more queued, checked", opened_ms, "ms", "SQLite: open and read all", sql_ms),
        Row("read back, chain and checksums verified", read_rate, "records/s"),
    ]


def _flipped_bits(folder: Path, scale: float) -> list[Row]:
    """One bit flipped at a random place of 2,000 records, over and over: how many of them can still be had."""
    times, count = max(10, int(60 * scale)), 2000
    chance = random.Random(1)
    with _journal(folder / "small") as journal:
        _queue(journal, count)
    with connection(folder / "small.db") as database:
        _insert(database, count)
    lost = {"segments": 0, "sqlite": 0}
    for _ in range(times):
        copy = folder / "harmed"
        shutil.copytree(folder / "small", copy)
        (path,) = (copy / "segments").iterdir()
        _flip(path, chance)
        with _journal(copy) as journal:
            lost["segments"] += sum(span.last - span.first + 1 for view in journal.epochs() for span in view.lost)
        shutil.rmtree(copy)
        shutil.copy(folder / "small.db", copy)
        _flip(copy, chance)
        lost["sqlite"] += count - _rows_left(copy)
        copy.unlink()
    mean = {name: total / times for name, total in lost.items()}
    return [Row("records lost to one flipped bit, mean", mean["segments"], "records", "SQLite", mean["sqlite"])]


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _rows_left(path: Path) -> int:
    """Rows that can be read and are as they were written, as far as SQLite gives any: it has no checksum."""
    right = 0
    database = sqlite3.connect(path)
    try:
        for seq, body in database.execute("select seq, body from entry"):
            if not isinstance(body, bytes):
                continue
            try:
                entry = msgspec.json.decode(body, type=Entry)
                right += entry.seq == seq and _is_press(entry, seq)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
    except sqlite3.DatabaseError:
        return right
    finally:
        database.close()
    return right


def _is_press(entry: Entry, seq: int) -> bool:
    return bytes(entry.data) == msgspec.json.encode(_press(seq))
