"""Desired to reported: the rules as tables, and both shells over a real broker."""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from bus import desired, envelope, topics
from bus.convergence import Converger, DesiredIssuer
from bus.desired import Act, DesiredState
from bus.envelope import SigningKey
from bus.errors import UnavailableError, UntrustedError, WrongInputError
from bus.files import replace_file
from bus.link import Incoming
from bus.messages import DESIRED_TYPE, REPORTED_TYPE, STATUS_TYPE, Desired, Reached, Reported, encode
from bus.mqtt import Backoff, Link
from bus.presence import Presence, last_will, read_status
from tests.broker import Broker

QUICK = Backoff(first_s=0.05, cap_s=0.2)
DEVICE = "d"


def document(version: int, **values: object) -> Desired:
    raw = {name: msgspec.Raw(encode(value)) for name, value in values.items()}
    return Desired("s", "agent", version, {DEVICE: raw})


def take(state: DesiredState, version: int, **values: object) -> tuple[DesiredState, list[str]]:
    state, acts = desired.take(state, document(version, **values), DEVICE)
    for act in acts:
        state = desired.settle(state, act, "done")
    return state, [act.name for act in acts]


@pytest.mark.parametrize(
    ("version", "values", "acted"),
    [
        (6, {"restart": 1, "volume": 5}, ["volume"]),  # newer, one value changed
        (6, {"restart": 2, "volume": 5}, ["restart", "volume"]),
        (6, {"restart": 1, "volume": 3}, []),  # newer, nothing changed
        (5, {"restart": 2}, []),  # the same version
        (4, {"restart": 2}, []),  # an older one
    ],
)
def test_only_a_newer_version_and_a_changed_value_make_it_act(
    version: int, values: dict[str, object], acted: list[str]
) -> None:
    state, first = take(DesiredState(), 5, restart=1, volume=3)
    assert first == ["restart", "volume"]
    assert take(state, version, **values)[1] == acted


def test_what_failed_is_tried_again_when_it_is_heard_again_and_what_was_refused_is_not() -> None:
    state, acts = desired.take(DesiredState(), document(1, a=1, b=1), DEVICE)
    state = desired.settle(state, acts[0], "failed", "x" * 1000)
    state = desired.settle(state, acts[1], "refused")
    assert len(desired.reached(state)["agent"]["a"].detail) == 500
    assert take(state, 1, a=1, b=1)[1] == take(state, 2, a=1, b=1)[1] == ["a"]


def test_what_is_to_be_redone_is_acted_on_again_with_the_same_version() -> None:
    state, acts = desired.take(DesiredState(), document(1, a=1, b=1), DEVICE)
    for act in acts:
        state = desired.settle(state, act, "done")
    assert take(desired.redo(state, "a"), 1, a=1, b=1)[1] == ["a"]


def test_what_was_begun_and_not_finished_is_tried_again_with_the_same_version() -> None:
    state, acts = desired.take(DesiredState(), document(1, a=1), DEVICE)
    assert [act.name for act in acts] == ["a"]
    assert desired.reached(state) == {"agent": {}}
    again, acts = desired.take(state, document(1, a=1), DEVICE)
    assert [act.name for act in acts] == ["a"]
    done = desired.settle(again, acts[0], "done")
    assert desired.take(done, document(1, a=1), DEVICE) == (done, [])


def test_a_late_result_of_an_older_version_changes_nothing_and_what_is_no_longer_wanted_goes() -> None:
    state, (act,) = desired.take(DesiredState(), document(1, a=1), DEVICE)
    state, _ = desired.take(state, document(2, a=2), DEVICE)
    assert desired.settle(state, act, "done") == state
    state, acts = desired.take(state, document(3), DEVICE)
    assert acts == []
    assert desired.reached(state) == {"agent": {}}
    assert desired.settle(state, Act("nobody", "a", msgspec.Raw(b"1"), 1), "done") == state


class Device:
    """A converger with handlers that remember; `journal` is what it would record."""

    def __init__(self, broker: Broker, site: str, folder: Path, keys: dict[str, bytes]) -> None:
        self.seen: list[tuple[str, object]] = []
        self.journal: list[tuple[str, str, Reached]] = []
        self.file = folder / "desired.json"
        self.link = Link(broker.config, f"{site}-{DEVICE}", backoff=QUICK)
        self.converger = Converger(
            self.link,
            site=site,
            device=DEVICE,
            issuer_keys={"agent": keys},
            state_file=self.file,
            on_reached=self.note,
        )
        for name in ("volume", "broken"):
            self.converger.handle(name, self.handler(name))
        self.converger.handle("restart", self.handler("restart"), ends_process=True)

    def handler(self, name: str) -> Callable[[msgspec.Raw], "asyncio.Future[str | None]"]:
        async def run(value: msgspec.Raw) -> str | None:
            decoded = msgspec.json.decode(value)
            self.seen.append((name, decoded))
            if decoded == "wrong":
                raise WrongInputError("louder than the law allows")
            if name == "broken":
                raise RuntimeError("a defect")
            return f"now {decoded}"

        return lambda value: asyncio.ensure_future(run(value))

    async def note(self, issuer: str, name: str, reached: Reached) -> None:
        self.journal.append((issuer, name, reached))


@contextlib.asynccontextmanager
async def issuing(broker: Broker, site: str, folder: Path, key: SigningKey) -> AsyncIterator[DesiredIssuer]:
    link = Link(broker.config, f"{site}-agent", backoff=QUICK)
    issuer = DesiredIssuer(
        link, site=site, issuer="agent", key=key, state_file=folder / "issued.json", now_ms=lambda: 1000
    )
    async with link:
        await asyncio.wait_for(link.ready(), 10)
        yield issuer


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # what is awaited here has no event of its own
            await asyncio.sleep(0.01)


async def test_a_device_reaches_what_is_desired_and_says_so(broker: Broker, tmp_path: Path, site: str) -> None:
    key = SigningKey.generate()
    device = Device(broker, site, tmp_path, {key.key_id: key.public_bytes})
    async with device.link, issuing(broker, site, tmp_path, key) as issuer:
        await device.link.ready()
        await issuer.desire(DEVICE, "volume", 7)
        await issuer.desire(DEVICE, "unknown", 1)
        await issuer.desire(DEVICE, "broken", 1)
        version = await issuer.desire(DEVICE, "restart", "now")
        await until(lambda: len(issuer.reached(DEVICE)) == 4 and issuer.reached(DEVICE)["restart"].version == version)
        reached = issuer.reached(DEVICE)
        assert {name: one.result for name, one in reached.items()} == {
            "volume": "done",
            "unknown": "refused",
            "broken": "failed",
            "restart": "done",
        }
        assert reached["volume"].detail == "now 7"
        await issuer.desire(DEVICE, "volume", "wrong")
        await until(lambda: issuer.reached(DEVICE)["volume"].result == "refused")
        assert [seen for seen in device.seen if seen[0] != "broken"] == [
            ("volume", 7),
            ("restart", "now"),
            ("volume", "wrong"),
        ]
        assert ("agent", "volume", Reached(1000, "done", "now 7")) in device.journal


async def test_a_restart_obeyed_is_not_obeyed_again_after_it_or_after_the_brokers(
    new_broker: Callable[[], Broker], tmp_path: Path, site: str
) -> None:
    broker = new_broker()
    key = SigningKey.generate()
    keys = {key.key_id: key.public_bytes}
    async with issuing(broker, site, tmp_path, key) as issuer:
        first = Device(broker, site, tmp_path, keys)
        async with first.link:
            await issuer.desire(DEVICE, "restart", 1)
            await until(lambda: first.seen == [("restart", 1)])
        again = Device(broker, site, tmp_path, keys)
        async with again.link:
            await until(lambda: again.converger.counters.documents >= 1)
            assert again.seen == []
            broker.kill()  # it forgets what was retained
            await until(lambda: not again.link.connected)
            broker.start()
            await until(lambda: again.converger.counters.documents >= 2)
            await issuer.desire(DEVICE, "restart", 2)
            await until(lambda: again.seen == [("restart", 2)])
            await until(lambda: issuer.reached(DEVICE).get("restart") == Reached(issuer.version, "done"))


async def test_a_disk_that_takes_no_note_obeys_no_restart(broker: Broker, tmp_path: Path, site: str) -> None:
    key = SigningKey.generate()
    device = Device(broker, site, tmp_path / "away", {key.key_id: key.public_bytes})
    async with device.link, issuing(broker, site, tmp_path, key) as issuer:
        await issuer.desire(DEVICE, "restart", 1)
        await until(lambda: "restart" in issuer.reached(DEVICE))
        assert issuer.reached(DEVICE)["restart"].result == "failed"
        assert device.seen == []


async def test_what_is_not_signed_by_its_issuer_changes_nothing(broker: Broker, tmp_path: Path, site: str) -> None:
    key, stranger = SigningKey.generate(), SigningKey.generate()
    device = Device(broker, site, tmp_path, {key.key_id: key.public_bytes})

    def sealed(who: SigningKey, text: Desired | bytes) -> envelope.Sealed:
        return envelope.seal(text if isinstance(text, bytes) else encode(text), DESIRED_TYPE, who)

    ours = {DEVICE: {"volume": msgspec.Raw(b"1")}}
    topic = topics.desired(site, "agent")
    async with device.link, Link(broker.config, f"noise-{site}") as noise:
        await device.link.ready()
        await noise.ready()
        for bad in (
            sealed(stranger, Desired(site, "agent", 1, ours)),
            sealed(key, Desired(site, "other", 1, ours)),
            sealed(key, Desired("elsewhere", "agent", 1, ours)),
            sealed(key, b"\xff"),
        ):
            await noise.publish_sealed(topic, bad, retain=True)
        await noise.publish(topic, encode(Desired(site, "agent", 1, ours)), content_type=DESIRED_TYPE, retain=True)
        await until(lambda: device.converger.counters.untrusted == 5)
        assert device.seen == []
        await noise.publish(topic, b"", retain=True)


async def test_an_issuer_whose_disk_is_full_promises_nothing_and_one_that_lost_its_file_is_still_newer(
    broker: Broker, tmp_path: Path, site: str
) -> None:
    key = SigningKey.generate()
    async with issuing(broker, site, tmp_path / "away", key) as issuer:
        with pytest.raises(UnavailableError, match="make room"):
            await issuer.desire(DEVICE, "volume", 1)
        assert issuer.version == 0
    async with issuing(broker, site, tmp_path, key) as issuer:
        assert await issuer.desire(DEVICE, "volume", 1) == 1000
        assert await issuer.desire(DEVICE, "volume", 2) == 1001
        assert await issuer.desire(DEVICE, "volume", None) == 1002
    async with issuing(broker, site, tmp_path, key) as issuer:
        assert issuer.version == 1002


async def test_birth_at_each_connect_and_goodbye(new_broker: Callable[[], Broker], site: str) -> None:
    broker = new_broker()
    heard: list[Incoming] = []
    link = Link(broker.config, DEVICE, will=last_will(site, DEVICE, "kiosk", version="1"), backoff=QUICK)
    presence = Presence(link, site, DEVICE, "kiosk", version="1", boot="b", at_ms=5)
    watcher = Link(broker.config, "watcher", backoff=QUICK)
    watcher.subscribe(topics.status(site, "+"), heard.append)
    async with watcher:
        await watcher.ready()
        async with link:
            await until(lambda: len(heard) == 1)
            broker.kill()
            await until(lambda: not watcher.connected and not link.connected)
            broker.start()
            await until(lambda: len(heard) >= 2)
            await presence.goodbye()
            await until(lambda: not read_status(heard[-1]).online)
        broker.kill()
        await until(lambda: not watcher.connected)
        await presence.goodbye()
    birth = read_status(heard[0])
    assert (birth.online, birth.device, birth.part, birth.at_ms) == (True, DEVICE, "kiosk", 5)
    assert heard[0].content_type == STATUS_TYPE
    with pytest.raises(WrongInputError):
        read_status(Incoming(topics.status(site, "other"), heard[0].body, STATUS_TYPE, (), retain=False))


async def test_a_report_of_what_is_not_desired_is_not_remembered(broker: Broker, tmp_path: Path, site: str) -> None:
    """Reports are not signed: thousands of properties, or of devices, must not fill the issuer's memory."""
    key = SigningKey.generate()
    told: list[tuple[str, dict[str, Reached]]] = []

    async def hear(device: str, reached: dict[str, Reached]) -> None:
        told.append((device, reached))

    link = Link(broker.config, f"{site}-agent", backoff=QUICK)
    file = tmp_path / "issued.json"
    issuer = DesiredIssuer(
        link, site=site, issuer="agent", key=key, state_file=file, now_ms=lambda: 1000, on_reported=hear
    )
    flood = {f"p{number}": Reached(number, "done") for number in range(1_000)} | {"volume": Reached(1000, "done")}
    async with link, Link(broker.config, f"noise-{site}", backoff=QUICK) as noise:
        await link.ready()
        await noise.ready()
        await issuer.desire(DEVICE, "volume", 1)
        for device in ("stranger", DEVICE):
            report = encode(Reported(device, {"agent": flood}))
            await noise.publish(topics.reported(site, device), report, content_type=REPORTED_TYPE)
        await until(lambda: bool(told))
    assert told == [(DEVICE, {"volume": Reached(1000, "done")})]
    assert issuer.reached("stranger") == {}


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "x"}', b"\xff", b"[" * 100_000])
async def test_an_issuers_unreadable_file_is_told_and_set_aside(
    broker: Broker, tmp_path: Path, site: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    key = SigningKey.generate()
    (tmp_path / "issued.json").write_bytes(content)
    async with issuing(broker, site, tmp_path, key) as issuer:
        assert issuer.version == 0
        assert "what is desired is lost" in caplog.text
        assert (tmp_path / "issued.json.unreadable").read_bytes() == content
        assert await issuer.desire(DEVICE, "volume", 1) == 1000
    assert (tmp_path / "issued.json.unreadable").read_bytes() == content
    async with issuing(broker, site, tmp_path, key) as issuer:
        assert issuer.version == 1000


async def test_a_moment_without_descriptors_loses_no_wishes(
    broker: Broker, tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SigningKey.generate()
    async with issuing(broker, site, tmp_path, key) as issuer:
        await issuer.desire(DEVICE, "volume", 1)

    def refuse(_: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    file = tmp_path / "issued.json"
    async with Link(broker.config, f"{site}-agent") as link:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_bytes", refuse)
            with pytest.raises(UnavailableError, match="cannot be read now"):
                DesiredIssuer(link, site=site, issuer="agent", key=key, state_file=file, now_ms=lambda: 1000)
    async with issuing(broker, site, tmp_path, key) as issuer:
        assert issuer.version == 1000


@pytest.mark.parametrize("trouble", ["report", "record"])
async def test_a_restart_noted_as_done_is_performed_whatever_fails_in_between(
    broker: Broker, tmp_path: Path, site: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SigningKey.generate()
    device = Device(broker, site, tmp_path, {key.key_id: key.public_bytes})
    failed: list[str] = []

    async def refuse(*_: object, **__: object) -> None:
        failed.append(trouble)
        raise UntrustedError("the broker refused a message (not authorized)")

    if trouble == "report":
        monkeypatch.setattr(device.link, "publish", refuse)
    else:
        monkeypatch.setattr(device.converger, "_on_reached", refuse)
    async with device.link, issuing(broker, site, tmp_path, key) as issuer:
        await device.link.ready()
        await issuer.desire(DEVICE, "restart", "now")
        await until(lambda: device.seen == [("restart", "now")])
        await issuer.desire(DEVICE, "volume", 3)
        await until(lambda: ("volume", 3) in device.seen)
    assert failed
    assert device.converger.reached["agent"]["restart"].result == "done"
    assert device.link.counters.handler_errors == 0


async def test_a_disk_that_fills_up_between_the_notes_obeys_no_restart(
    broker: Broker, tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SigningKey.generate()
    device = Device(broker, site, tmp_path, {key.key_id: key.public_bytes})
    real, notes = replace_file, 0

    def filling(path: Path, content: bytes) -> None:
        nonlocal notes
        if path == device.file:
            notes += 1
            if notes > 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr("bus.convergence.replace_file", filling)
    async with device.link, issuing(broker, site, tmp_path, key) as issuer:
        await device.link.ready()
        await issuer.desire(DEVICE, "restart", 1)
        await until(lambda: "restart" in issuer.reached(DEVICE))
        assert issuer.reached(DEVICE)["restart"].result == "failed"
    assert device.seen == []


async def test_a_restart_that_could_not_be_done_is_told(broker: Broker, tmp_path: Path, site: str) -> None:
    key = SigningKey.generate()
    device = Device(broker, site, tmp_path, {key.key_id: key.public_bytes})
    async with device.link, issuing(broker, site, tmp_path, key) as issuer:
        await device.link.ready()
        await issuer.desire(DEVICE, "restart", "wrong")
        await until(lambda: issuer.reached(DEVICE).get("restart", Reached(0, "done")).result == "refused")
