"""The session's promises, as a table and as a property over any order of events."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from kiosk.panel.frames import Ack, Heartbeat, Hello, Press, Who
from kiosk.panel.session import (
    Absent,
    Closed,
    Durable,
    Effect,
    Heard,
    Input,
    Known,
    Opened,
    Present,
    Record,
    Send,
    Session,
    Tick,
    press_name,
    step,
)

BOOT, OTHER = "0000000A", "0000000B"


@dataclass
class Bench:
    """A session with a ledger beside it, driven by hand."""

    state: Session = field(default_factory=Session)
    now_ms: int = 0
    ledger: dict[str, Known] = field(default_factory=dict)

    def put(self, happened: Input) -> list[Effect]:
        self.state, effects = step(
            self.state, happened, now_ms=self.now_ms, ledger=lambda press: self.ledger.get(press, Known.NEW)
        )
        for effect in effects:
            if isinstance(effect, Record):
                self.ledger[effect.press] = Known.PENDING
        return effects

    def written(self, press: str) -> list[Effect]:
        self.ledger[press] = Known.DURABLE
        return self.put(Durable(press))


def ready() -> Bench:
    bench = Bench(now_ms=10_000)
    assert bench.put(Opened()) == [Send(Who())]
    assert bench.put(Heard(Hello("p1", BOOT, 5))) == [Present("p1", 5)]
    return bench


def test_a_press_is_acknowledged_only_once_it_is_on_disk() -> None:
    bench = ready()
    assert bench.put(Heard(Press(BOOT, 1, 2, 40))) == [Record("p1/0000000A/1", 2, 5, 9_960)]
    assert bench.put(Heard(Press(BOOT, 1, 2, 290))) == []
    assert bench.written("p1/0000000A/1") == [Send(Ack(BOOT, 1))]
    assert bench.put(Heard(Press(BOOT, 1, 2, 540))) == [Send(Ack(BOOT, 1))]


def test_nothing_is_taken_before_hello() -> None:
    bench = Bench(now_ms=5_000)
    bench.put(Opened())
    bench.now_ms += 2_000
    assert bench.put(Heard(Press(BOOT, 1, 2, 40))) == [Send(Who())]
    assert bench.put(Heard(Press(BOOT, 1, 2, 40))) == []  # asked a moment ago


def test_another_power_up_must_say_hello_again() -> None:
    bench = ready()
    bench.now_ms += 2_000
    assert bench.put(Heard(Heartbeat(OTHER, 1))) == [Send(Who())]
    assert bench.state.hello is None
    assert bench.put(Heard(Hello("p1", OTHER, 5))) == [Present("p1", 5)]


def test_a_record_of_the_power_up_before_is_not_acknowledged_to_this_one() -> None:
    bench = ready()
    bench.put(Heard(Press(BOOT, 1, 2, 40)))
    bench.put(Heard(Hello("p1", OTHER, 5)))
    assert bench.written("p1/0000000A/1") == []


def test_a_button_the_panel_does_not_have_is_counted_and_refused() -> None:
    bench = ready()
    assert bench.put(Heard(Press(BOOT, 1, 6, 40))) == []
    assert bench.state.refused == 1


def test_a_panel_of_no_scale_stays_dark() -> None:
    bench = Bench(now_ms=5_000)
    bench.put(Opened())
    for buttons in (1, 2, 6, 8):
        assert bench.put(Heard(Hello("p1", BOOT, buttons))) == []
        assert not any(isinstance(effect, Record) for effect in bench.put(Heard(Press(BOOT, 1, 1, 0))))
    assert bench.state.refused == 4
    bench.put(Heard(Hello("p1", BOOT, 5)))
    assert bench.put(Heard(Hello("p1", BOOT, 2))) == [Absent(unplugged=False)]


def test_silence_and_unplugging_are_told_apart() -> None:
    bench = ready()
    bench.now_ms += 4_000
    assert bench.put(Tick()) == [Absent(unplugged=False), Send(Who())]
    assert bench.put(Closed()) == [Absent(unplugged=True)]
    assert bench.put(Tick()) == []


boots = st.sampled_from([BOOT, OTHER])
seqs = st.integers(1, 4)
inputs = st.one_of(
    st.builds(Heard, st.builds(Hello, st.sampled_from(["p1", "p2"]), boots, st.integers(1, 8))),
    st.builds(Heard, st.builds(Press, boots, seqs, st.integers(1, 6), st.integers(0, 500))),
    st.builds(Heard, st.builds(Heartbeat, boots, st.integers(0, 9))),
    st.builds(lambda panel, boot, seq: Durable(press_name(panel, boot, seq)), st.sampled_from(["p1"]), boots, seqs),
    st.builds(Opened),
    st.builds(Closed),
    st.builds(Tick),
)


@given(st.lists(st.tuples(inputs, st.integers(0, 2_000)), max_size=60))
def test_any_order_of_events_keeps_the_promises(script: list[tuple[Input, int]]) -> None:
    bench, recorded = Bench(), set()
    for happened, wait_ms in script:
        bench.now_ms += wait_ms
        if isinstance(happened, Durable):
            if bench.ledger.get(happened.press) is not Known.PENDING:
                continue
            bench.ledger[happened.press] = Known.DURABLE
        for effect in bench.put(happened):
            if isinstance(effect, Record):
                assert effect.press not in recorded
                recorded.add(effect.press)
            if isinstance(effect, Send) and isinstance(effect.message, Ack):
                assert bench.state.hello is not None
                name = press_name(bench.state.hello.panel, effect.message.boot, effect.message.seq)
                assert bench.ledger[name] is Known.DURABLE
                assert bench.state.hello.boot == effect.message.boot
