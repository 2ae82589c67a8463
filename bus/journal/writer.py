"""The one thread that writes: takes what has come in, in groups, so that callers share a sync.

Commit first, announce after: futures and `on_durable` hear of an entry when it is on disk.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from bus.clock import Stamp
from bus.errors import UnavailableError
from bus.journal.keeper import Keeper
from bus.journal.scribe import Pending, Scribe, unavailable
from bus.journal.views import Key
from bus.logs import fields
from bus.messages import EntryClass

_log = logging.getLogger("journal")

SAMPLE_SYNC_S: Final = 5.0
# Notes cost two syncs; late ones cost only entries offered twice.
NOTES_EVERY_S: Final = 30.0
AGEING_EVERY_S: Final = 60.0
PENDING_LIMIT: Final = 20_000
_GROUP_COUNT: Final = 512
_CLASSES: Final[tuple[EntryClass, ...]] = ("record", "sample")


class Writer:
    """See the module. `submit`, `flush` and `close` may be called from any thread."""

    def __init__(
        self, scribe: Scribe, keeper: Keeper, stamp: Callable[[], Stamp], on_durable: Callable[[Key], None] | None
    ) -> None:
        self._scribe = scribe
        self._keeper = keeper
        self._stamp = stamp
        self._on_durable = on_durable
        self._wake = threading.Condition()
        self._pending: deque[Pending] = deque()
        self._flushes: list[Future[None]] = []
        self._closing = False
        self.broken = False
        self._sample_due = self._notes_due = self._ageing_due = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, pending: Pending) -> None:
        """Take an entry in; its future says what became of it."""
        with self._wake:
            if self._closing or self.broken:
                refusal = "the journal is closed"
            elif len(self._pending) >= PENDING_LIMIT:
                refusal = f"{PENDING_LIMIT} entries wait for the disk; try again"
            else:
                self._pending.append(pending)
                self._wake.notify()
                return
        self._keeper.counters.refused += 1
        pending.future.set_exception(UnavailableError(refusal))

    def flush(self) -> "Future[None]":
        """Done once all that was submitted before is durable, samples too, and the notes are kept."""
        future: Future[None] = Future()
        with self._wake:
            if not self._closing and not self.broken:
                self._flushes.append(future)
                self._wake.notify()
                return future
        future.set_exception(UnavailableError("the journal is closed"))
        return future

    def close(self) -> None:
        """Write what is pending, seal, keep the notes, end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        group: list[Pending] = []
        flushes: list[Future[None]] = []
        try:
            while self._turn(group, flushes):
                pass
        except Exception:  # noqa: BLE001 -- the edge of the thread
            # A defect of ours. No caller may wait for ever, and no later append may seem to work.
            _log.critical("the journal's writer met a defect of its own", exc_info=True)
            with self._wake:
                self.broken = True
                left: list[Future[Key] | Future[None]] = [pending.future for pending in (*group, *self._pending)]
                left += [*flushes, *self._flushes]
                self._pending.clear()
            for future in left:
                if not future.done():
                    future.set_exception(UnavailableError("the journal's writer has stopped; start the part again"))

    def _turn(self, group: list[Pending], flushes: list["Future[None]"]) -> bool:
        """One round; False after the last."""
        with self._wake:
            if not (self._pending or self._flushes or self._closing):
                self._wake.wait(self._until_due())
            group[:] = [self._pending.popleft() for _ in range(min(len(self._pending), _GROUP_COUNT))]
            flushes[:] = []
            if not self._pending:
                flushes[:], self._flushes = self._flushes, []
            closing = self._closing and not self._pending
        for klass in _CLASSES:
            mine = [p for p in group if p.klass == klass and p.future.set_running_or_notify_cancel()]
            if mine:
                self._write(klass, mine)
        group.clear()
        self._chores(all_now=closing or bool(flushes))
        if closing:
            self._close_files()
        for future in flushes:
            future.set_result(None)
        return not closing

    def _until_due(self) -> float:
        due = self._ageing_due
        if self._scribe.unsynced("sample"):
            due = min(due, self._sample_due)
        if self._keeper.due:
            due = min(due, self._notes_due)
        return 0.0 if self._keeper.urgent else max(0.0, due - time.monotonic())

    def _write(self, klass: EntryClass, group: list[Pending]) -> None:
        if klass == "sample" and not self._scribe.unsynced(klass):
            self._sample_due = time.monotonic() + SAMPLE_SYNC_S
        try:
            keys = self._scribe.write(klass, group)
        except OSError as error:
            self._keeper.counters.disk_errors += 1
            self._refuse(group, unavailable(error))
            return
        except UnavailableError as error:
            self._refuse(group, error)
            return
        self._keeper.counters.appended += len(keys)
        for pending, key in zip(group, keys[-len(group) :], strict=True):
            pending.future.set_result(key)
        if klass == "record":
            self._announce(keys)
        self._scribe.turn_over()

    def _refuse(self, group: list[Pending], error: UnavailableError) -> None:
        _log.error("append refused %s", fields(entries=len(group), reason=error))
        self._keeper.counters.refused += len(group)
        for pending in group:
            pending.future.set_exception(error)

    def _announce(self, keys: list[Key]) -> None:
        self._keeper.counters.syncs += 1
        if self._on_durable is None:
            return
        for key in keys:
            try:
                self._on_durable(key)
            except Exception:  # noqa: BLE001 -- a listener's fault (its loop has ended) must not stop the writing
                _log.warning("listener failed %s", fields(key=key), exc_info=True)
                return

    def _chores(self, *, all_now: bool) -> None:
        now = time.monotonic()
        if self._scribe.unsynced("sample") and (all_now or now >= self._sample_due):
            self._sync_samples()
        if now >= self._ageing_due:
            self._keeper.age(self._stamp())
            self._ageing_due = now + AGEING_EVERY_S
        if self._keeper.urgent or (self._keeper.due and (all_now or now >= self._notes_due)):
            self._keeper.save()
            self._notes_due = now + NOTES_EVERY_S

    def _sync_samples(self) -> None:
        try:
            keys = self._scribe.sync("sample")
        except OSError as error:
            self._keeper.counters.disk_errors += 1
            _log.error("samples of the last seconds were lost %s", fields(error=error))
            return
        self._announce(keys)
        self._scribe.turn_over()

    def _close_files(self) -> None:
        try:
            self._scribe.close()
        except OSError as error:
            self._keeper.counters.disk_errors += 1
            _log.error("samples of the last seconds were lost %s", fields(error=error))
