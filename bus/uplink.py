"""What to send to the hub and when: the pure core of the uplink. `bus.courier` is its shell.

Rules (design decisions 1, 2 and 4):

- Only a verified receipt settles an entry. A broker's acknowledgement settles nothing.
- Sent only while connected and while the hub's beacon is fresh (three intervals); what has had no receipt is sent again
  after the resend interval, which is also the message's expiry, so that an outage leaves no copies in a bridge.
- After a connect, and when a beacon names a new run of the hub, every (epoch, class) is asked for what the hub holds of
  it, and its backlog waits for the answer. A hub that holds less than before is offered the rest again.
- Live entries (those of this connection) go at once and are held back by their own few batches in flight alone; the
  backlog goes beside them, oldest first, within the window (`bus.window`), classes taking turns by bytes.
- Memory does not grow with the backlog: ranges are kept, never entries.

State changes in `step` alone, which knows no clock and no chance of its own: same inputs, same effects.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from bus.identifiers import Epoch
from bus.messages import EntryClass
from bus.ranges import Ranges, clip, count, covers, subtract, union
from bus.uplink_events import (
    Appended,
    AskHeld,
    BeaconSeen,
    Connected,
    Disconnected,
    Effect,
    Input,
    JournalSeen,
    PublishFailed,
    ReceiptTaken,
    SendBatch,
    Sent,
    StreamSeen,
    Tick,
)
from bus.window import BATCH_BYTES, Window

RESEND_MS: Final = 10_000
RESEND_CAP_MS: Final = 60_000
FRESH_INTERVALS: Final = 3
MAX_ENTRIES: Final = 1_000
_LIVE_BATCHES: Final = 2  # of each class; while they are on their way, what is appended gathers into the next
_LIVE_LAG: Final = 8  # more than this many batches of live entries waiting become backlog: the newest still go at once
_ASKS: Final = 4
_ASK_SPREAD_MS: Final = 2_000  # a hub that has just come back is not asked by everyone in one instant
_PAUSE_MS: Final = 1_000  # after a publish that failed
_ENTRY_BYTES: Final = 300.0  # until the first batch has shown what entries weigh


@dataclass(slots=True)
class _Flight:
    """A batch on its way. `rtt` is false where its receipt may answer an earlier copy.

    With no `bytes` it could not be sent: it only keeps its numbers from being tried again before `due_ms`.
    """

    batch: SendBatch
    first: int
    last: int
    bytes: int
    sent_ms: float
    due_ms: float
    rtt: bool


@dataclass(slots=True)
class _Stream:
    """`live_from`: entries from here on are of this connection; `live_next`: the first of them never yet sent."""

    epoch: Epoch
    klass: EntryClass
    first_held: int = 1
    head: int = 0
    stored: Ranges = ()
    gone: Ranges = ()
    run: str = ""
    answered: bool = False
    ask_at_ms: float = 0.0
    asked: bool = False
    live_from: int = 1
    live_next: int = 1
    entry_bytes: float = _ENTRY_BYTES
    limit_bytes: int = 1 << 30
    resent: Ranges = ()
    flights: list[_Flight] = field(default_factory=list)

    def needed(self) -> Ranges:
        """What the hub has not receipted and can still be sent."""
        return subtract(
            subtract(((self.first_held, self.head),) if self.first_held <= self.head else (), self.stored), self.gone
        )

    def unsent(self) -> Ranges:
        """Of this, what is not on its way."""
        return subtract(self.needed(), union((flight.first, flight.last) for flight in self.flights))

    def batch_entries(self, max_bytes: int) -> int:
        """How many entries make a batch of about `max_bytes`."""
        return max(1, min(MAX_ENTRIES, int(max_bytes / self.entry_bytes)))


class Uplink:
    """See the module. `draw` gives even numbers in [0, 1) for jitter."""

    def __init__(self, draw: Callable[[], float], *, resend_ms: int = RESEND_MS) -> None:
        self.window: Final = Window()
        self.resends = 0
        self._draw = draw
        self._resend_ms = resend_ms
        self._streams: dict[tuple[Epoch, EntryClass], _Stream] = {}
        self._connected = False
        self._run = ""
        self._fresh_until_ms = float("-inf")
        self._was_open = False
        self._pause_until_ms = float("-inf")
        self._silent = 0  # resends in a row without any receipt
        self._turn: dict[EntryClass, float] = {"record": 0.0, "sample": 0.0}

    def step(self, happened: Input, now_ms: float) -> list[Effect]:
        """Take one input; return what to do."""
        match happened:
            case Connected():
                self._connected = True
            case Disconnected():
                self._connected = False
            case BeaconSeen():
                self._beacon(happened, now_ms)
            case JournalSeen():
                self._look(happened.streams)
            case Appended():
                self._appended(happened)
            case ReceiptTaken():
                self._receipt(happened, now_ms)
            case Sent():
                self._sent(happened)
            case PublishFailed():
                self._failed(happened, now_ms)
            case Tick():
                pass
            case _:
                assert_never(happened)
        return self._act(now_ms)

    def open(self, now_ms: float) -> bool:
        """Connected, and the hub is alive."""
        return self._connected and now_ms < self._fresh_until_ms

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of entries on their way."""
        return sum(flight.bytes for stream in self._streams.values() for flight in stream.flights)

    @property
    def waiting(self) -> int:
        """Entries without a receipt."""
        return sum(count(stream.needed()) for stream in self._streams.values())

    # -- inputs

    def _beacon(self, beacon: BeaconSeen, now_ms: float) -> None:
        self._fresh_until_ms = now_ms + FRESH_INTERVALS * 1_000 * beacon.interval_s
        if beacon.run != self._run:
            self._run = beacon.run
            for stream in self._streams.values():
                stream.answered = False
                self._ask_later(stream, now_ms)

    def _look(self, seen: tuple[StreamSeen, ...]) -> None:
        known = self._streams
        self._streams = {}
        for each in seen:
            key = each.epoch, each.klass
            stream = known.get(key)
            if stream is None:
                stream = _Stream(each.epoch, each.klass)
                stream.live_from = stream.live_next = each.head + 1
            stream.first_held, stream.stored, stream.gone = each.first_held, each.stored, each.gone
            stream.head = max(stream.head, each.head)
            self._streams[key] = stream

    def _appended(self, appended: Appended) -> None:
        key = appended.epoch, appended.klass
        stream = self._streams.get(key)
        if stream is None:
            # A new epoch: all of it is live, and there is nothing to ask about.
            stream = self._streams[key] = _Stream(*key, answered=True)
        stream.head = max(stream.head, appended.head)

    def _receipt(self, receipt: ReceiptTaken, now_ms: float) -> None:
        stream = self._streams.get((receipt.epoch, receipt.klass))
        if stream is None:
            return
        self._silent = 0
        again = receipt.run == stream.run  # within a run, what the hub holds only grows
        stream.stored = union(stream.stored, receipt.stored) if again else receipt.stored
        stream.run = receipt.run
        if receipt.run == self._run:  # one of a run before, come late, is no answer
            stream.answered, stream.asked = True, False
        stream.resent = subtract(stream.resent, receipt.stored)
        left: list[_Flight] = []
        for flight in stream.flights:
            if not covers(receipt.stored, flight.first, flight.last):
                left.append(flight)
            elif flight.rtt:
                self.window.receipted(flight.bytes, now_ms - flight.sent_ms, now_ms)
        stream.flights = left

    def _sent(self, sent: Sent) -> None:
        stream = self._streams.get((sent.batch.epoch, sent.batch.klass))
        for flight in stream.flights if stream is not None else ():
            if flight.batch is sent.batch:
                self._turn[sent.batch.klass] += sent.bytes - flight.bytes
                flight.first, flight.last, flight.bytes = sent.first, sent.last, sent.bytes
        if stream is None:
            return
        stream.entry_bytes += (sent.bytes / (sent.last - sent.first + 1) - stream.entry_bytes) * 0.25
        if sent.first > sent.batch.first:
            stream.gone = union(stream.gone, ((sent.batch.first, sent.first - 1),))
        if sent.batch.live and sent.last < sent.batch.last and stream.live_next == sent.batch.last + 1:
            stream.live_next = sent.last + 1

    def _failed(self, failed: PublishFailed, now_ms: float) -> None:
        batch = failed.batch
        stream = self._streams.get((batch.epoch, batch.klass))
        if stream is None:
            return
        flight = next((flight for flight in stream.flights if flight.batch is batch), None)
        if flight is not None and failed.too_large and flight.first == flight.last:
            # No smaller batch would do. It is tried again late, and keeps nothing else back.
            flight.due_ms, flight.bytes = now_ms + RESEND_CAP_MS, 0
            return
        if flight is not None and failed.unread:
            flight.due_ms, flight.bytes = now_ms + self._resend_ms, 0
            self._pause_until_ms = now_ms + _PAUSE_MS
            return
        stream.flights = [each for each in stream.flights if each is not flight]
        if failed.empty:
            stream.gone = union(stream.gone, ((batch.first, batch.last),))
            return
        if failed.too_large:
            stream.limit_bytes = max(1, min(stream.limit_bytes, batch.max_bytes) // 2)
            return
        self._pause_until_ms = now_ms + _PAUSE_MS * (0.5 + self._draw())

    # -- what follows from the state

    def _act(self, now_ms: float) -> list[Effect]:
        if not self.open(now_ms):
            if self._was_open and not self._connected:
                for stream in self._streams.values():
                    stream.flights.clear()  # whether they came through, the hub will say when asked
            self._was_open = self._was_open and self._connected
            return []
        if not self._was_open:
            self._was_open = True
            for stream in self._streams.values():
                self._begin(stream, now_ms)
        self._time_out(now_ms)
        if now_ms < self._pause_until_ms:
            return []
        return [*self._live(now_ms), *self._asks(now_ms), *self._backlog(now_ms)]

    def _begin(self, stream: _Stream, now_ms: float) -> None:
        if stream.live_next <= stream.head:
            stream.live_from = stream.live_next = stream.head + 1
        if not stream.answered or stream.needed():
            stream.answered = False
            self._ask_later(stream, now_ms)

    def _ask_later(self, stream: _Stream, now_ms: float) -> None:
        stream.asked = False
        stream.ask_at_ms = now_ms + _ASK_SPREAD_MS * self._draw()

    def _time_out(self, now_ms: float) -> None:
        late = False
        for stream in self._streams.values():
            for flight in [flight for flight in stream.flights if flight.due_ms <= now_ms]:
                stream.flights.remove(flight)
                if flight.bytes:
                    late = True
                    self.resends += 1
                    stream.resent = union(stream.resent, ((flight.first, flight.last),))
        if late:
            self._silent += 1
            self.window.lost(now_ms)

    def _live(self, now_ms: float) -> Iterator[Effect]:
        for stream in self._streams.values():
            stream.live_next = max(stream.live_next, stream.first_held)
            size = stream.batch_entries(self.window.batch_bytes)
            if stream.head - stream.live_next >= _LIVE_LAG * size:
                stream.live_next = stream.head - size + 1
            while stream.live_next <= stream.head:
                if sum(flight.batch.live and flight.bytes > 0 for flight in stream.flights) >= _LIVE_BATCHES:
                    break
                sent = self._fly(stream, stream.live_next, stream.head, now_ms, live=True)
                stream.live_next = sent.last + 1
                yield sent

    def _asks(self, now_ms: float) -> Iterator[Effect]:
        free = _ASKS - sum(stream.asked and stream.ask_at_ms > now_ms for stream in self._streams.values())
        for stream in reversed(self._streams.values()):  # the running epoch first
            if free <= 0:
                return
            if not stream.answered and stream.ask_at_ms <= now_ms and stream.head:
                free -= 1
                stream.asked = True
                wait_ms = self._wait_ms()
                stream.ask_at_ms = now_ms + wait_ms
                yield AskHeld(stream.epoch, stream.klass, _whole_seconds(wait_ms))

    def _backlog(self, now_ms: float) -> Iterator[Effect]:
        flying = self.in_flight_bytes
        candidates = {klass: self._oldest(klass) for klass in self._turn}
        while any(candidates.values()) and flying < self.window.bytes:
            klass = min((k for k in candidates if candidates[k]), key=lambda k: self._turn[k])
            found = candidates[klass]
            assert found is not None  # noqa: S101  # chosen from those that are there
            stream, first, last = found
            batch = self._fly(stream, first, last, now_ms, live=False)
            flying += stream.flights[-1].bytes
            candidates[klass] = self._oldest(klass)
            yield batch

    def _oldest(self, klass: EntryClass) -> tuple[_Stream, int, int] | None:
        """What to send next of a class: first what was live and has been lost on the way, then the oldest."""
        streams = [stream for stream in self._streams.values() if stream.klass == klass and stream.answered]
        for stream in streams:
            for first, last in clip(stream.unsent(), stream.live_from, stream.live_next - 1):
                return stream, first, last
        for stream in streams:
            for first, last in clip(stream.unsent(), 1, stream.live_next - 1):
                return stream, first, last
        return None

    def _fly(self, stream: _Stream, first: int, last: int, now_ms: float, *, live: bool) -> SendBatch:
        max_bytes = min(self.window.batch_bytes, stream.limit_bytes)
        last = min(last, first + stream.batch_entries(max_bytes) - 1)
        wait_ms = self._wait_ms()
        batch = SendBatch(stream.epoch, stream.klass, first, last, max_bytes, _whole_seconds(wait_ms), live)
        weight = max(1, int((last - first + 1) * stream.entry_bytes))
        again = bool(clip(stream.resent, first, last))
        stream.flights.append(_Flight(batch, first, last, weight, now_ms, now_ms + wait_ms, rtt=not again))
        self._turn[stream.klass] += weight
        least = min(self._turn.values())  # a class with nothing to send saves up little right
        self._turn = {klass: min(turn - least, 2.0 * BATCH_BYTES) for klass, turn in self._turn.items()}
        return batch

    def _wait_ms(self) -> float:
        wait: float = min(RESEND_CAP_MS, self._resend_ms * 2 ** min(self._silent, 8))
        return wait * (1 + 0.25 * self._draw())


def _whole_seconds(wait_ms: float) -> int:
    return max(1, int(wait_ms // 1_000))
