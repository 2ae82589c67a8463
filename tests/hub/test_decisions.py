"""The pure cores: who is let in, what becomes of a batch, the order of epochs. Against models and mutated bytes."""

import hashlib
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import ranges
from bus.config import ConfigError
from bus.entries import KINDS, EventNoted
from bus.envelope import Sealed
from bus.messages import BATCH_TYPE, Batch, EntryClass, encode
from hub import ordinals
from hub.admission import Admitted, Reason, Rejected, admit
from hub.config import load
from hub.ingest import Held, halves, judge, read_items
from hub.projections import Source, project
from hub.roster import Roster
from tests.hub.sender import Sender, roster_of

LENGTH = 12


class Model:
    """A store as simple as can be: bytes by number."""

    def __init__(self) -> None:
        self.bytes: dict[int, bytes] = {}
        self.quarantined: set[int] = set()

    def held(self, batch: Batch) -> Held:
        return Held(
            spans=ranges.union((seq, seq) for seq in self.bytes),
            digests={seq: hashlib.sha256(raw).digest() for seq, raw in self.bytes.items()},
            set_aside=dict.fromkeys(self.quarantined, "broken"),
        )


def entry(seq: int, variant: int) -> bytes:
    if variant == 2:
        return b'{"seq":%d,"kind":3}' % seq
    at = '{"boot":"b","mono_ns":1,"wall_ms":1,"quality":"held"}'
    return f'{{"seq":{seq},"kind":"event.noted","at":{at},"data":{{"event":"v{variant}"}}}}'.encode()


batches = st.tuples(st.integers(1, LENGTH), st.lists(st.sampled_from([0, 0, 0, 1, 2]), max_size=5))


@settings(max_examples=300, deadline=None)
@given(st.lists(batches, max_size=12))
def test_each_key_is_stored_once_and_nothing_goes_unseen(sent: list[tuple[int, list[int]]]) -> None:
    model = Model()
    for first, variants in sent:
        raws = [entry(first + at, variant) for at, variant in enumerate(variants)]
        batch = Batch("d", "0" * 16, "record", 1, 99, [msgspec.Raw(raw) for raw in raws], "", [], first)
        decision = judge(batch, read_items(batch), model.held(batch))
        conflicts = {(one.seq, one.raw) for one in decision.set_aside if one.verdict == "conflict"}
        expected_conflicts = set()
        for at, raw in enumerate(raws, first):
            if at in model.bytes and model.bytes[at] != raw:
                expected_conflicts.add((at, raw))
        assert conflicts == expected_conflicts
        fresh = {one.entry.seq for one in decision.fresh}
        broken = {one.seq for one in decision.set_aside if one.verdict == "quarantined" and one.fresh}
        assert fresh | broken == {at for at, _ in enumerate(raws, first)} - model.bytes.keys()
        assert fresh.isdisjoint(broken)
        for at, raw in enumerate(raws, first):
            if at not in model.bytes:
                model.bytes[at] = raw
                if at in broken:
                    model.quarantined.add(at)
        assert decision.spans == ranges.union((seq, seq) for seq in model.bytes)
        assert decision.repeats + len(fresh) + len(broken) + len(conflicts) == len(raws)


def test_mutated_messages_are_let_in_only_as_they_were_signed() -> None:
    rng, sender = random.Random(5), Sender()
    for number in range(4):
        sender.add(EventNoted("e", "x" * number * 400))
    roster, sealed = roster_of(sender), sender.seal(sender.batch())
    for _ in range(3_000):
        body, content_type, signatures = sealed.body, sealed.content_type, list(sealed.signatures)
        match rng.randrange(4):
            case 0:
                at = rng.randrange(len(body))
                body = body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :]
            case 1:
                body = body[: rng.randrange(len(body))]
            case 2:
                content_type = rng.choice([BATCH_TYPE, "", "x", BATCH_TYPE + "+zlib+zlib"])
            case _:
                signatures[0] = signatures[0][: rng.randrange(len(signatures[0]) - 1)]
        result = admit(sender.topic, Sealed(body, content_type, tuple(signatures)), roster)
        assert isinstance(result, Rejected)
        assert result.reason is Reason.WRONG_SIGNATURE
    assert isinstance(admit(sender.topic, sealed, roster), Admitted)


@settings(max_examples=500, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)))
def test_whatever_a_device_signs_is_answered(nonsense: object) -> None:
    sender = Sender()
    sender.add(EventNoted("e"))
    fields = msgspec.to_builtins(msgspec.json.decode(encode(sender.batch())))
    for name in fields:
        body = msgspec.json.encode(fields | {name: nonsense})
        sealed = Sealed(body, BATCH_TYPE, (sender.key.sign(BATCH_TYPE, body),))
        result = admit(sender.topic, sealed, roster_of(sender))
        if isinstance(result, Admitted):
            judge(result.batch, read_items(result.batch), Held())
        else:
            assert result.raw == body


LONG = "".join(random.Random(2).choices("abcdefgh", k=3_000))
numbers = st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400]) | st.integers()
values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False) | st.text() | st.just(LONG),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=3), of, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_whatever_an_entry_says_is_stored_or_set_aside(kind: str, data: st.DataObject) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(KINDS[kind])]
    says = data.draw(st.fixed_dictionaries(dict.fromkeys(names, values)))
    at = {"boot": "b", "mono_ns": 1, "wall_ms": data.draw(numbers), "quality": "held"}
    body = msgspec.json.encode({"seq": 1, "kind": kind, "at": at, "data": says})
    klass: EntryClass = "sample" if kind.startswith("sample.") else "record"
    batch = Batch("d", "0" * 16, klass, 1, 1, [msgspec.Raw(body)], "", [], 1)
    decision = judge(batch, read_items(batch), Held())
    assert decision.spans == ((1, 1),)
    for fresh in decision.fresh:
        projected = project(Source(1, 1, "s", "d", fresh.entry.at.wall_ms), kind, fresh.data)
        assert all(write.table is not None for write in projected.writes)


def test_another_device_of_the_list_cannot_speak_for_us() -> None:
    mine, other = Sender(), Sender("s0001", "s0001-kiosk-1")
    roster = roster_of(mine, other)
    mine.add(EventNoted("e"))
    other.key, kept = mine.key, other.key
    result = admit(other.topic, mine.seal(mine.batch()), roster)
    assert isinstance(result, Rejected)
    assert result.reason is Reason.WRONG_SIGNATURE
    other.key = kept
    forged = msgspec.structs.replace(mine.batch(), device=mine.device)
    result = admit(other.topic, other.seal(forged), roster)
    assert isinstance(result, Rejected)
    assert result.reason is Reason.WRONG_DEVICE


def test_epochs_find_their_place() -> None:
    known = {"a": ordinals.newest({})}
    known["c"] = ordinals.newest(known)
    known["b"] = ordinals.below(known, "c")
    assert known["a"] < known["b"] < known["c"]
    assert ordinals.lifted(known, "a", "c") > known["c"]
    assert ordinals.lifted(known, "c", "b") == known["c"]
    assert ordinals.lifted(known, "c", "never seen") == known["c"]
    for number in range(100):  # room runs out, order does not turn round
        name = f"x{number}"
        known[name] = ordinals.below(known, "c")
        assert known[name] < known["c"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[site]]\nid = "A"\ncode = "1"\nname = "x"\n', "line 2"),
        ('[[site]]\nid = "a"\ncode = "1"\nname = "x"\n[[site]]\nid = "a"\ncode = "1"\nname = "x"\n', "stands twice"),
        ('[[site]]\nid = "a"\ncode = "1"\nname = "x"\n[[site.device]]\nid = "b"\npart = "x"\nkey = "zz"\n', "line 8"),
        ('[[site]]\nid = "a"\ncode = "1"\nname = "x"\nnaem = "y"\n', "naem"),
    ],
)
def test_the_known_list_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "roster.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        Roster.load(path)


@pytest.mark.parametrize("url", ["http://[::1/x", "http://h:99999/x", "http://:9/x", "http://h/x y", "http://x\u00e3/"])
def test_an_address_that_is_none_is_refused_at_once(tmp_path: Path, url: str) -> None:
    path = tmp_path / "hub.toml"
    path.write_text(f'[remote_write]\nurl = "{url}"\n')
    with pytest.raises(ConfigError, match="line"):
        load(path)
    path.write_text('[remote_write]\nurl = "https://[::1]:9090/api/v1/write"\n')
    assert load(path).remote_write is not None


def test_paths_stand_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text('store = "sqlite:///x.db"\n[http]\nport = 0\n[broker]\nhost = "h"\n')
    read = load(path)
    assert read.store == f"sqlite:///{tmp_path}/x.db"
    assert read.roster == str(tmp_path / "roster.toml")
    assert read.http.users == ""


@pytest.mark.parametrize("gap", [False, True])
def test_the_second_half_of_a_batch_has_a_chain_only_where_no_number_is_missing(sender: Sender, *, gap: bool) -> None:
    for number in range(4):
        sender.add(EventNoted("e", str(number)))
    batch = sender.batch()
    if gap:
        batch = msgspec.structs.replace(batch, entries=[batch.entries[0], *batch.entries[2:]])
    first, second = halves(batch, read_items(batch))
    assert first[0].chain == batch.chain
    assert bool(second[0].chain) is not gap
    assert second[0].first == second[1][0].seq
