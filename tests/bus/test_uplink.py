"""The uplink's core in a simulated world: a device, a line that loses, doubles and reorders, a hub that is restored.

The simulation answers effects as the real shell, broker and hub do, on a clock of its own; Hypothesis chooses what goes
wrong and when.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages import EntryClass
from bus.ranges import Ranges, clip, count, covers, subtract, union
from bus.uplink import MAX_ENTRIES, RESEND_CAP_MS, RESEND_MS, Uplink
from bus.uplink_events import (
    Appended,
    AskHeld,
    BeaconSeen,
    Connected,
    Disconnected,
    Input,
    JournalSeen,
    PublishFailed,
    ReceiptTaken,
    SendBatch,
    Sent,
    StreamSeen,
    Tick,
)
from bus.window import BATCH_BYTES, BATCH_FLOOR_BYTES, CEILING_BYTES, FLOOR_BYTES, Window

ENTRY_BYTES = 250
Stream = tuple[str, EntryClass]
KEYS: list[Stream] = [("0" * 16, "record"), ("1" * 16, "record"), ("1" * 16, "sample")]


@dataclass
class Line:
    """Faults of the way between device and hub, and how long things take."""

    loss: float = 0.0
    doubled: float = 0.0
    delay_ms: float = 5.0
    reorder_ms: float = 0.0
    hub_ms: float = 20.0  # one transaction
    hub_entry_ms: float = 0.02
    beacon: bool = True


@dataclass
class World:
    """Everything around one `Uplink`."""

    seed: int = 0
    line: Line = field(default_factory=Line)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now_ms = 0.0
        self.core = Uplink(self.random.random)
        self.heads: dict[Stream, int] = {}
        self.receipted: dict[Stream, Ranges] = {}
        self.hub: dict[Stream, Ranges] = {}
        self.waiting_live: dict[Stream, dict[int, float]] = {}
        self.latencies_ms: list[float] = []
        self.run = "run-1"
        self.connected = False
        self.sends: list[SendBatch] = []
        self.sent_when_shut = 0
        self.stored_twice = 0
        self.most_flying = 0
        self.hub_free_ms = 0.0
        self._events: list[tuple[float, int, object]] = []
        self._order = itertools.count()
        self.at(0.0, self.tick)
        self.at(0.0, self.send_beacon)

    def at(self, after_ms: float, call: object) -> None:
        heapq.heappush(self._events, (self.now_ms + after_ms, next(self._order), call))

    def run_until(self, end_ms: float) -> None:
        while self._events and self._events[0][0] <= end_ms:
            self.now_ms, _, call = heapq.heappop(self._events)
            call()  # type: ignore[operator]  # all are callables
        self.now_ms = end_ms

    def tick(self) -> None:
        self.give(Tick())
        self.at(200, self.tick)

    def send_beacon(self) -> None:
        if self.line.beacon and self.connected and self.random.random() >= self.line.loss:
            self.give(BeaconSeen(self.run, 5))
        self.at(5_000, self.send_beacon)

    def connect(self) -> None:
        self.connected = True
        self.give(self.snapshot())
        self.give(Connected())

    def disconnect(self) -> None:
        self.connected = False
        self.give(Disconnected())

    def snapshot(self) -> JournalSeen:
        return JournalSeen(
            tuple(
                StreamSeen(*key, 1, self.heads[key], self.receipted.get(key, ())) for key in KEYS if key in self.heads
            )
        )

    def preload(self, key: Stream, head: int) -> None:
        self.heads[key] = head
        self.give(self.snapshot())

    def append(self, key: Stream, number: int = 1) -> None:
        for _ in range(number):
            self.heads[key] = self.heads.get(key, 0) + 1
            self.waiting_live.setdefault(key, {})[self.heads[key]] = self.now_ms
            self.give(Appended(*key, self.heads[key]))

    def restore_hub(self, keep: float) -> None:
        """The hub comes back from a backup: what it stored last is gone, and its run is new."""
        for key, held in self.hub.items():
            head = max((last for _, last in held), default=1)
            kept = int(head * keep)
            hole = self.random.randint(1, head)
            self.hub[key] = subtract(clip(held, 1, kept), ((hole, hole + head // 10),))
        self.run = f"run-{int(self.run.split('-')[1]) + 1}"

    def give(self, happened: Input) -> None:
        for effect in self.core.step(happened, self.now_ms):
            if not self.core.open(self.now_ms):
                self.sent_when_shut += 1
            match effect:
                case SendBatch():
                    self.sends.append(effect)
                    self.carry(effect)
                case AskHeld():
                    self.travel(lambda effect=effect: self.hub_answers((effect.epoch, effect.klass)))
        self.most_flying = max(self.most_flying, self.core.in_flight_bytes)

    def carry(self, batch: SendBatch) -> None:
        key = batch.epoch, batch.klass
        last = min(batch.last, batch.first + max(1, batch.max_bytes // ENTRY_BYTES) - 1)
        weight = (last - batch.first + 1) * ENTRY_BYTES
        assert last <= self.heads[key]
        self.give(Sent(batch, batch.first, last, weight))
        self.travel(lambda: self.hub_takes(key, batch.first, last))

    def travel(self, arrive: object) -> None:
        copies = 0 if self.random.random() < self.line.loss else 2 if self.random.random() < self.line.doubled else 1
        for _ in range(copies):
            self.at(self.line.delay_ms + self.line.reorder_ms * self.random.random(), arrive)

    def hub_takes(self, key: Stream, first: int, last: int) -> None:
        cost = self.line.hub_ms + self.line.hub_entry_ms * (last - first + 1)
        self.hub_free_ms = max(self.hub_free_ms, self.now_ms) + cost
        self.at(self.hub_free_ms - self.now_ms, lambda: self.hub_stores(key, first, last))

    def hub_stores(self, key: Stream, first: int, last: int) -> None:
        self.hub[key] = union(self.hub.get(key, ()), ((first, last),))
        waiting = self.waiting_live.get(key, {})
        for seq in [seq for seq in waiting if first <= seq <= last]:
            self.latencies_ms.append(self.now_ms - waiting.pop(seq))
        self.hub_answers(key)

    def hub_answers(self, key: Stream) -> None:
        stored = self.hub.get(key, ())
        run = self.run
        self.travel(lambda: self.receive(key, stored, run))

    def receive(self, key: Stream, stored: Ranges, run: str) -> None:
        if not self.connected or run != self.run:
            return  # the journal finds it stale
        self.receipted[key] = stored
        self.give(ReceiptTaken(*key, stored, run))

    def missing(self) -> int:
        return sum(count(subtract(((1, head),), self.hub.get(key, ()))) for key, head in self.heads.items() if head)


Fault = tuple[float, Literal["cut", "mend", "restore", "mute", "unmute", "append", "snapshot"], int]
faults = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=60_000, allow_nan=False),
        st.sampled_from(["cut", "mend", "restore", "mute", "unmute", "append", "snapshot"]),
        st.integers(min_value=0, max_value=40),
    ),
    max_size=14,
)


def suffer(world: World, what: str, number: int) -> None:
    if what == "cut" and world.connected:
        world.disconnect()
    elif what == "mend" and not world.connected:
        world.connect()
    elif what == "restore":
        world.restore_hub(keep=number / 40)
    elif what in ("mute", "unmute"):
        world.line.beacon = what == "unmute"
    elif what == "append":
        world.append(KEYS[1 + number % 2], number)
    elif what == "snapshot":
        world.give(world.snapshot())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(min_value=0, max_value=2**32),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    doubled=st.sampled_from([0.0, 0.3]),
    reorder_ms=st.sampled_from([0.0, 100.0, 3_000.0]),
    preload=st.lists(st.integers(min_value=0, max_value=3_000), min_size=3, max_size=3),
    plan=faults,
)
def test_whatever_happens_everything_is_stored_in_the_end(
    seed: int, loss: float, doubled: float, reorder_ms: float, preload: list[int], plan: list[Fault]
) -> None:
    world = World(seed, Line(loss=loss, doubled=doubled, reorder_ms=reorder_ms))
    for key, head in zip(KEYS, preload, strict=True):
        if head:
            world.preload(key, head)
    world.connect()
    for after_ms, what, number in sorted(plan):
        world.run_until(after_ms)
        suffer(world, what, number)
    world.line.beacon = True
    if not world.connected:
        world.connect()
    for _ in range(60):
        world.run_until(world.now_ms + 30_000)
        if world.missing() == 0 and world.core.waiting == 0:
            break
    assert world.missing() == 0
    assert world.core.waiting == 0
    assert world.sent_when_shut == 0


def test_nothing_is_sent_before_the_hub_is_heard_or_after_it_fell_silent() -> None:
    world = World(line=Line(beacon=False))
    world.preload(KEYS[0], 100)
    world.connect()
    world.append(KEYS[1], 5)
    world.run_until(60_000)
    assert world.sends == []
    world.line.beacon = True
    world.run_until(75_000)
    assert world.missing() == 0
    world.line.beacon = False
    world.run_until(95_000)
    sends = len(world.sends)
    world.append(KEYS[1], 5)
    world.run_until(400_000)
    assert len(world.sends) == sends
    world.line.beacon = True
    world.run_until(410_000)
    assert world.missing() == 0


def test_an_hour_without_receipts_leaves_few_copies_on_their_way() -> None:
    """The broker takes everything, the beacon is heard, but no batch reaches the hub."""
    world = World()
    world.preload(KEYS[0], 50_000)
    world.connect()
    world.run_until(6_000)
    world.line.loss = 0.0
    before = len(world.sends)
    world.travel = lambda arrive: None  # type: ignore[method-assign]  # the line swallows all
    world.run_until(3_606_000)
    # A window, then FLOOR_BYTES each RESEND_CAP_MS, live included.
    assert len(world.sends) - before < 200


def test_sent_again_only_after_the_interval_and_no_sooner() -> None:
    world = World()
    world.connect()
    world.run_until(6_000)
    world.travel = lambda arrive: None  # type: ignore[method-assign]  # the line swallows all
    world.append(KEYS[1])
    sent_ms: list[float] = []
    for _ in range(3_000):
        world.run_until(world.now_ms + 50)
        if len(world.sends) > len(sent_ms):
            sent_ms.append(world.now_ms)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent_ms)]
    assert len(gaps) >= 3
    assert gaps[0] >= RESEND_MS
    assert all(later > earlier for earlier, later in itertools.pairwise(gaps[:3]))
    assert max(gaps) <= RESEND_CAP_MS * 1.25 + 300
    assert all(send.expiry_s * 1_000 <= gap + 300 for send, gap in zip(world.sends, gaps, strict=False))


@pytest.mark.parametrize("hub_ms", [2.0, 20.0, 60.0])
def test_live_entries_are_quick_while_a_backlog_of_100_000_drains(hub_ms: float) -> None:
    world = World(line=Line(hub_ms=hub_ms))
    world.preload(KEYS[0], 100_000)
    world.connect()
    while world.missing() > 20 and world.now_ms < 120_000:
        world.append(KEYS[1])
        world.append(KEYS[2])
        world.run_until(world.now_ms + 100)
    latencies = sorted(world.latencies_ms)
    assert world.missing() <= 20
    assert len(latencies) > 40
    assert latencies[int(len(latencies) * 0.95)] <= 2_000
    assert world.most_flying <= CEILING_BYTES + 6 * BATCH_BYTES
    assert world.core.resends == 0


def test_a_thousand_live_entries_a_second_gather_into_few_batches() -> None:
    world = World(line=Line(hub_ms=50))
    world.connect()
    world.run_until(6_000)
    for _ in range(5_000):
        world.append(KEYS[1])
        world.run_until(world.now_ms + 1)
    world.run_until(world.now_ms + 5_000)
    assert world.missing() == 0
    assert len(world.sends) < 500


def test_live_entries_faster_than_the_line_do_not_lose_the_newest_from_sight() -> None:
    world = World(line=Line(hub_ms=1_000))
    world.connect()
    world.run_until(6_000)
    for _ in range(20):
        world.append(KEYS[2], 1_000)
        world.run_until(world.now_ms + 500)
    newest = world.heads[KEYS[2]]
    world.run_until(world.now_ms + 15_000)
    assert covers(world.hub[KEYS[2]], newest, newest)
    world.run_until(world.now_ms + 300_000)
    assert world.missing() == 0


def test_classes_take_turns_in_the_backlog() -> None:
    world = World(line=Line(hub_ms=100))
    world.preload(KEYS[1], 20_000)
    world.preload(KEYS[2], 20_000)
    world.connect()
    while world.missing() and world.now_ms < 120_000:
        world.run_until(world.now_ms + 100)
        held = [count(world.hub.get(key, ())) for key in KEYS[1:]]
        assert abs(held[0] - held[1]) <= 4_000
    assert world.missing() == 0


def test_a_hub_restored_from_yesterday_gets_the_rest_again() -> None:
    world = World()
    world.preload(KEYS[0], 2_000)
    world.connect()
    world.run_until(20_000)
    world.append(KEYS[1], 100)
    world.run_until(25_000)
    assert world.missing() == 0
    world.restore_hub(keep=0.3)
    assert world.missing() > 0
    world.run_until(60_000)
    assert world.missing() == 0


def test_a_new_connection_asks_before_it_sends_the_backlog_again() -> None:
    world = World()
    world.preload(KEYS[0], 1_000)
    world.connect()
    world.run_until(20_000)
    assert world.missing() == 0
    sends = len(world.sends)
    world.receipted.clear()  # as if every receipt had been lost with the connection
    world.disconnect()
    world.connect()
    world.run_until(40_000)
    assert len(world.sends) == sends
    assert world.core.waiting == 0


def test_a_batch_too_large_is_halved_and_one_entry_too_large_holds_nothing_up() -> None:
    world = World()
    core = world.core
    core.step(BeaconSeen("r", 5), 0)
    core.step(JournalSeen((StreamSeen(*KEYS[0], 1, 100),)), 0)
    core.step(Connected(), 0)
    asked = core.step(Tick(), 3_000)
    assert [type(each) for each in asked] == [AskHeld]
    waiting = [each for each in core.step(ReceiptTaken(*KEYS[0], (), "r"), 3_001) if isinstance(each, SendBatch)]
    sizes = []
    now_ms = 3_001.0
    while waiting and now_ms < 3_050:
        now_ms += 1
        batch = waiting.pop(0)
        sizes.append(batch.max_bytes)
        waiting += [
            each for each in core.step(PublishFailed(batch, too_large=True), now_ms) if isinstance(each, SendBatch)
        ]
    assert sizes[0] > sizes[-1]
    last = core.step(Appended(*KEYS[1], 1), now_ms)
    assert any(isinstance(each, SendBatch) and each.epoch == KEYS[1][0] for each in last)


def test_what_the_journal_no_longer_has_is_not_waited_for() -> None:
    world = World()
    core = world.core
    core.step(BeaconSeen("r", 5), 0)
    core.step(JournalSeen((StreamSeen(*KEYS[0], 1, 10),)), 0)
    core.step(Connected(), 0)
    core.step(Tick(), 3_000)
    (batch,) = core.step(ReceiptTaken(*KEYS[0], (), "r"), 3_001)
    assert isinstance(batch, SendBatch)
    core.step(Sent(batch, 5, 10, 100), 3_002)
    assert core.waiting == 6
    core.step(ReceiptTaken(*KEYS[0], ((5, 10),), "r"), 3_003)
    assert core.waiting == 0
    core.step(JournalSeen(()), 3_004)
    assert core.step(Tick(), 60_000) == []


@given(
    steps=st.lists(
        st.tuples(
            st.booleans(), st.floats(min_value=0.1, max_value=120_000), st.integers(min_value=1, max_value=65_536)
        ),
        max_size=200,
    )
)
def test_the_window_stays_within_its_bounds(steps: list[tuple[bool, float, int]]) -> None:
    window = Window()
    now_ms = 0.0
    for lost, rtt_ms, weight in steps:
        now_ms += rtt_ms
        if lost:
            window.lost(now_ms)
        else:
            window.receipted(weight, rtt_ms, now_ms)
        assert FLOOR_BYTES <= window.bytes <= CEILING_BYTES
        assert BATCH_FLOOR_BYTES <= window.batch_bytes <= BATCH_BYTES


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_batch_is_longer_than_it_may_be(data: st.DataObject) -> None:
    world = World(seed=data.draw(st.integers(min_value=0, max_value=1000)))
    world.preload(KEYS[0], data.draw(st.integers(min_value=1, max_value=20_000)))
    world.connect()
    world.run_until(12_000)
    assert all(1 <= send.last - send.first + 1 <= MAX_ENTRIES for send in world.sends)


def test_a_backlog_of_ten_million_takes_no_more_memory_than_a_small_one() -> None:
    world = World()
    world.preload(KEYS[0], 10_000_000)
    world.connect()
    world.run_until(20_000)
    assert world.core.waiting > 9_000_000
    streams = world.core._streams.values()
    assert sum(len(stream.flights) for stream in streams) <= CEILING_BYTES // BATCH_FLOOR_BYTES
    assert sum(len(stream.stored) + len(stream.gone) + len(stream.resent) for stream in streams) <= 8


def test_a_journal_that_cannot_be_read_now_is_tried_again_and_holds_nothing_else_up() -> None:
    core = Uplink(lambda: 0.0)
    core.step(
        JournalSeen((StreamSeen(*KEYS[0], 1, 10, (), ()), StreamSeen(*KEYS[1], 1, 10, (), ()))),
        0.0,
    )
    core.step(Connected(), 0.0)
    asks = [each for each in core.step(BeaconSeen("run-1", 5), 0.0) if isinstance(each, AskHeld)]
    sent: list[SendBatch] = []
    for ask in asks:
        effects = core.step(ReceiptTaken(ask.epoch, ask.klass, (), "run-1"), 10.0)
        sent += [each for each in effects if isinstance(each, SendBatch)]
    unread, other = sent
    assert (unread.epoch, other.epoch) == (asks[0].epoch, asks[1].epoch)
    window = core.window.bytes
    assert core.step(PublishFailed(unread, unread=True), 20.0) == []
    core.step(Appended(*KEYS[1], 11), 2_000.0)
    assert [each for each in core.step(Tick(), RESEND_MS - 100.0) if isinstance(each, SendBatch)] == []
    core.step(BeaconSeen("run-1", 5), RESEND_MS - 50.0)
    core.step(ReceiptTaken(other.epoch, other.klass, ((1, 11),), "run-1"), RESEND_MS - 50.0)
    (again,) = [each for each in core.step(Tick(), RESEND_MS + 50.0) if isinstance(each, SendBatch)]
    assert (again.epoch, again.first) == (unread.epoch, unread.first)
    assert core.window.bytes >= window, "a disk's trouble says nothing about the line"
    assert core.resends == 0
