"""Presence: told when it has held; absent when expected and never heard; nothing while the broker is away."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent import devices
from agent.devices import FIRST_NS, SETTLE_NS, Company
from agent.ladder import NS_PER_S
from bus.errors import CommuneError
from bus.link import Incoming
from bus.messages import STATUS_TYPE, Status
from bus.presence import read_status

SPEAKER = Status("s0001-speaker-1", "speaker", online=True, version="1.0")


def reached() -> Company:
    return devices.reach(devices.gather([("s0001-speaker-1", "speaker")]), 0)


def told(company: Company, now_ns: int) -> tuple[Company, list[tuple[str, bool, bool]]]:
    company, changes = devices.conclude(company, now_ns)
    return company, [(change.device, change.online, change.expected) for change in changes]


def test_birth_and_last_will_are_told_once_each_after_they_held() -> None:
    company = devices.hear(reached(), SPEAKER, NS_PER_S)
    company, changes = told(company, NS_PER_S + SETTLE_NS - 1)
    assert changes == []
    company, changes = told(company, NS_PER_S + SETTLE_NS)
    assert changes == [("s0001-speaker-1", True, True)]
    company = devices.hear(company, Status("s0001-speaker-1", "speaker", online=False), 100 * NS_PER_S)
    company, changes = told(company, 100 * NS_PER_S + SETTLE_NS)
    assert changes == [("s0001-speaker-1", False, True)]
    assert told(company, 500 * NS_PER_S)[1] == []


def test_a_quick_restart_is_not_told() -> None:
    company = devices.hear(reached(), SPEAKER, 0)
    company, _ = told(company, SETTLE_NS)
    company = devices.hear(company, Status("s0001-speaker-1", "speaker", online=False), 20 * NS_PER_S)
    company = devices.hear(company, SPEAKER, 21 * NS_PER_S)
    assert told(company, 60 * NS_PER_S)[1] == []


def test_expected_and_never_heard_is_absent_after_a_while() -> None:
    company, changes = told(reached(), FIRST_NS - 1)
    assert changes == []
    assert told(company, FIRST_NS)[1] == [("s0001-speaker-1", False, True)]


def test_nothing_is_told_while_the_broker_is_away() -> None:
    company = devices.lose(devices.hear(reached(), SPEAKER, 0))
    assert told(company, 100 * NS_PER_S)[1] == []
    company = devices.reach(company, 200 * NS_PER_S)
    assert told(company, 200 * NS_PER_S + SETTLE_NS)[1] == [("s0001-speaker-1", True, True)]


def test_a_stranger_is_told_as_unexpected_and_strangers_do_not_fill_the_memory() -> None:
    company = reached()
    for number in range(devices.MOST + 10):
        company = devices.hear(company, Status(f"x{number}", "kiosk", online=True), 0)
    assert len(company.members) == devices.MOST
    assert company.ignored == 11
    _, changes = told(company, SETTLE_NS)
    assert ("x0", True, False) in changes


_TEXTS = st.one_of(
    st.text(max_size=80), st.builds(lambda text, times: text * times, st.text(max_size=4), st.just(60_000))
)
_VALUES = st.one_of(_TEXTS, st.integers(), st.booleans(), st.none(), st.floats(), st.just([[[]]]), st.just({"a": {}}))
_FIELDS = st.sampled_from(["part", "online", "version", "boot", "at_ms", "v", "new"])
_WHOLE = {"type": "status", "device": "s0001-speaker-1", "part": "speaker", "online": True}


@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(_FIELDS, _VALUES).map(lambda fields: json.dumps(_WHOLE | fields).encode()),
        st.just(b"[" * 100_000),
        st.just(json.dumps(_WHOLE).encode()[:-1] + b', "new":' + b"[" * 100_000),
    )
)
def test_whatever_a_status_says_it_is_refused_or_makes_a_small_record(body: bytes) -> None:
    try:
        status = read_status(Incoming("ce/1/s0001/s0001-speaker-1/status", body, STATUS_TYPE, (), retain=True))
    except CommuneError:
        return
    company = devices.hear(reached(), status, 0)
    _, (change,) = devices.conclude(company, SETTLE_NS)
    assert len(msgspec.json.encode(change)) < 2_000
