"""The journal against a model, by Hypothesis: any order of appends, receipts, restarts, damage and full budgets."""

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bus.config import JournalConfig
from bus.entries import EventNoted, SampleBlock
from bus.errors import UnavailableError
from bus.journal import Journal
from bus.messages import Entry, EntryClass
from tests.bus.journal_kit import T0_MS, FakeClock, block, note, open_journal, read_all, receipt, segments_of
from tests.evidence import rounds

Name = tuple[str, EntryClass]
_CONSUMERS = ("hub", "site")


class Model:
    """What a caller of the journal knows: what it was told."""

    def __init__(self) -> None:
        self.entries: dict[Name, dict[int, str]] = {}
        self.stored: dict[str, dict[Name, set[int]]] = {consumer: {} for consumer in _CONSUMERS}
        self.runs = dict.fromkeys(_CONSUMERS, 0)
        self.may_be_damaged: dict[Name, set[int]] = {}


class JournalMachine(RuleBasedStateMachine):
    """Each rule does the same to the journal and to the model; the invariant compares all of both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.clock = FakeClock()
        self.model = Model()
        self.number = 0
        self.at_ms = T0_MS
        self.journal: Journal = self._open()

    @initialize()
    def start(self) -> None:
        self._append_records(1, 10)

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def _open(self) -> Journal:
        config = JournalConfig(record_mib=1, sample_mib=1)
        return open_journal(self.folder, self.clock, config=config, consumers=_CONSUMERS, segment_bytes=2048)

    @rule(count=st.integers(1, 12), size=st.sampled_from([0, 30, 700, 30_000]))
    def append_records(self, count: int, size: int) -> None:
        self._append_records(count, size)

    def _append_records(self, count: int, size: int) -> None:
        for _ in range(count):
            self.number += 1
            text = f"{self.number} " + "x" * size
            try:
                key = self.journal.append(note(text)).result(10)
            except UnavailableError as error:
                assert "full" in str(error)  # noqa: PT017 -- either answer is right here, this one only when full
                continue
            self.model.entries.setdefault((key.epoch, "record"), {})[key.seq] = text

    @rule(count=st.integers(1, 30))
    def append_samples(self, count: int) -> None:
        futures = []
        for _ in range(count):
            self.number += 1
            futures.append((str(float(self.number)), self.journal.append(block(float(self.number)))))
        for text, future in futures:
            key = future.result(10)
            self.model.entries.setdefault((key.epoch, "sample"), {})[key.seq] = text
        self.journal.flush().result(10)

    @rule(consumer=st.sampled_from(_CONSUMERS), which=st.integers(0, 5), share=st.floats(0, 1), first=st.integers(1, 3))
    def receive(self, consumer: str, which: int, share: float, first: int) -> None:
        """The consumer has stored some more of a stream."""
        view = self._pick(which)
        if view is None:
            return
        name, head = view
        last = int(head * share)
        mine = self.model.stored[consumer].setdefault(name, set())
        mine |= set(range(first, last + 1))
        self._send(consumer, name)

    @rule(consumer=st.sampled_from(_CONSUMERS), which=st.integers(0, 5), keep=st.integers(0, 20))
    def restore_consumer(self, consumer: str, which: int, keep: int) -> None:
        """The consumer comes back from a backup: a new run that holds less."""
        self.model.runs[consumer] += 1
        self.model.stored[consumer] = {
            name: {seq for seq in held if seq <= keep} for name, held in self.model.stored[consumer].items()
        }
        view = self._pick(which)
        for name in [view[0]] if view is not None and view[0] not in self.model.stored[consumer] else []:
            self.model.stored[consumer][name] = set()
        for name in list(self.model.stored[consumer]):
            self._send(consumer, name)

    @precondition(lambda self: any(self.model.runs.values()))
    @rule(consumer=st.sampled_from(_CONSUMERS), which=st.integers(0, 5))
    def replay_an_old_run(self, consumer: str, which: int) -> None:
        view = self._pick(which)
        if view is None or self.model.runs[consumer] == 0 or not self.model.stored[consumer]:
            return
        (epoch, klass), head = view
        run = self.model.runs[consumer] - 1
        said = receipt(epoch, (1, head), run=f"{consumer}-{run}", at_ms=T0_MS, klass=klass, consumer=consumer)
        assert self.journal.take_receipt(said).verdict == "stale"

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = self._open()

    @rule()
    def crash(self) -> None:
        """What is on disk at this moment, opened by another process."""
        self.journal.flush().result(10)
        copy = self.folder.with_name(self.folder.name + "-copy")
        shutil.copytree(self.folder, copy)
        self.journal.close()
        shutil.rmtree(self.folder)
        copy.rename(self.folder)
        self.journal = self._open()

    @rule(where=st.floats(0, 0.999), which=st.integers(0, 50), bit=st.integers(0, 7))
    def flip_a_bit(self, where: float, which: int, bit: int) -> None:
        self.journal.close()
        files = segments_of(self.folder, "?")
        if files:
            path = files[which % len(files)]
            content = bytearray(path.read_bytes())
            if content:
                content[int(len(content) * where)] ^= 1 << bit
                path.write_bytes(content)
                self._may_damage(path)
        self.journal = self._open()

    @rule(which=st.integers(0, 50), how=st.sampled_from(["remove", "empty", "truncate"]))
    def harm_a_file(self, which: int, how: str) -> None:
        self.journal.close()
        files = segments_of(self.folder, "?")
        if files:
            path = files[which % len(files)]
            if how == "remove":
                path.unlink()
            else:
                content = path.read_bytes()
                path.write_bytes(content[: len(content) // 2 if how == "truncate" else 0])
            self._may_damage(path)
        self.journal = self._open()

    @rule(days=st.sampled_from([1, 31]))
    def time_passes(self, days: int) -> None:
        self.clock.days(days)

    def _may_damage(self, path: Path) -> None:
        _, epoch, letter, first = path.stem.split("-")
        later = [int(other.stem.split("-")[3]) for other in segments_of(self.folder, letter) if epoch in other.name]
        end = min((other for other in later if other > int(first)), default=10**9)
        name: Name = (epoch, "record" if letter == "r" else "sample")
        numbers = {seq for seq in self.model.entries.get(name, {}) if int(first) <= seq < end}
        self.model.may_be_damaged.setdefault(name, set()).update(numbers | {1} if first == f"{1:012}" else numbers)

    def _pick(self, which: int) -> tuple[Name, int] | None:
        views = self.journal.epochs()
        if not views:
            return None
        view = views[which % len(views)]
        return (view.epoch, view.klass), view.head

    def _send(self, consumer: str, name: Name) -> None:
        self.at_ms += 1
        stored = [(seq, seq) for seq in sorted(self.model.stored[consumer].get(name, ()))]
        run = f"{consumer}-{self.model.runs[consumer]}"
        said = receipt(name[0], *stored, run=run, at_ms=self.at_ms, klass=name[1], consumer=consumer)
        effect = self.journal.take_receipt(said)
        assert effect.verdict in {"taken", "unknown"}

    @invariant()
    def holds_what_it_should(self) -> None:
        views = {(view.epoch, view.klass): view for view in self.journal.epochs()}
        for name, entries in self.model.entries.items():
            view = views.get(name)
            held = read_all(self.journal, *name, max_count=100)
            hub = self.model.stored["hub"].get(name, set())
            everybody = hub & self.model.stored["site"].get(name, set())
            lost = {
                seq: span.reason for span in (view.lost if view else []) for seq in range(span.first, span.last + 1)
            }
            for seq, text in entries.items():
                if seq in held:
                    assert _text(held[seq]) == text
                elif lost.get(seq) == "damaged":
                    assert seq in self.model.may_be_damaged.get(name, set()), f"{name} {seq} was never harmed"
                elif lost.get(seq) == "shed":
                    assert name[1] == "sample"
                else:
                    forgotten = view is None and name in self.model.stored["hub"] and name in self.model.may_be_damaged
                    assert forgotten or seq in hub or seq in everybody, (
                        f"{name} {seq} is neither held nor told as lost nor receipted"
                    )
            assert not set(lost) & set(held)
            # The first record of an epoch is the journal's own.
            assert set(held) <= set(entries) | {1}

    @invariant()
    def keeps_its_budget(self) -> None:
        assert self.journal.used_bytes("record") <= 1024 * 1024
        assert self.journal.healthy

    @invariant()
    @precondition(lambda self: not self.model.may_be_damaged)
    def knows_what_it_takes(self) -> None:
        """What it counts as it writes is what its files take, but for their last blocks and the zeros ahead."""
        files = [path.stat().st_size for path in (self.folder / "segments").iterdir()]
        counted = self.journal.used_bytes("record") + self.journal.used_bytes("sample")
        assert abs(counted - sum(files)) <= 2 * 4096 * len(files)

    @invariant()
    def shows_receipts(self) -> None:
        for view in self.journal.epochs():
            for consumer in _CONSUMERS:
                told = {seq for first, last in view.stored[consumer] for seq in range(first, last + 1)}
                known = self.model.stored[consumer].get((view.epoch, view.klass), set())
                assert told <= known, "a receipt that nobody sent"


def _text(raw: bytes) -> str:
    entry = msgspec.json.decode(raw, type=Entry)
    if entry.kind == "event.noted":
        return msgspec.json.decode(entry.data, type=EventNoted).detail
    return str(msgspec.json.decode(entry.data, type=SampleBlock).series["x"][0])


JournalMachine.TestCase.settings = settings(
    max_examples=rounds(small=15, full=1500),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestJournalMachine = pytest.mark.prove(JournalMachine.TestCase)
