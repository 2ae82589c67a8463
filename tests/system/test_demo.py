"""`commune demo`, held to its contract: the real command, looked at from outside."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema
import pytest

from tests.system.demo import Demo, demos, is_alive, kill9, pids_of, until, words_of

SCHEMA = json.loads(Path(__file__).with_name("ready.schema.json").read_text())
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    yield from demos(tmp_path_factory.mktemp("demo") / "state", communes=2)


def test_the_ready_line_is_as_the_contract_has_it(demo: Demo) -> None:
    jsonschema.validate(demo.ready, SCHEMA)
    assert [commune["code"] for commune in demo.ready["communes"]] == ["s0001", "s0002"]
    assert demo.ready["prometheus"] is not None
    assert demo.ready["alertmanager"] is not None
    assert json.loads(demo.stdout[0])["event"] == "ready"


def test_process_ids_are_those_of_the_parts_themselves(demo: Demo) -> None:
    assert words_of(demo.pid("hub", None))[:4] == [sys.executable, "-m", "provisioning.command", "hub"]
    assert words_of(demo.pid("agent"))[:4] == [sys.executable, "-m", "provisioning.command", "agent"]
    assert words_of(demo.pid("broker"))[0].endswith("mosquitto")
    assert len(set(pids_of(demo.ready))) == len(pids_of(demo.ready))


def test_the_hub_knows_both_communes_and_has_their_first_entries(demo: Demo) -> None:
    journals = demo.items("/api/v1/journals")
    for site in ("s0001", "s0002"):
        assert sum(item["stored"] for item in journals if item["device"] == f"{site}-agent") > 0


def test_prometheus_scrapes_the_hub_and_knows_the_rules(demo: Demo) -> None:
    url = demo.ready["prometheus"]

    def up() -> bool:
        with httpx.Client(trust_env=False) as client:
            answer = client.get(f"{url}/api/v1/query", params={"query": 'up{job="hub"}'}).json()
            return [sample["value"][1] for sample in answer["data"]["result"]] == ["1"]

    until(up, limit_s=40, what="Prometheus has scraped the hub")
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{url}/api/v1/rules").json()["data"]["groups"]
        managers = client.get(f"{url}/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
    assert [manager["url"] for manager in managers] == [f"{demo.ready['alertmanager']}/api/v2/alerts"]


@pytest.mark.parametrize("part", ["agent", "broker"])
def test_a_part_that_is_killed_comes_back_and_that_is_told(demo: Demo, part: str) -> None:
    old = demo.running()["communes"][1]["pids"][part]
    kill9(old)
    event = demo.event("restarted", commune="s0002", part=part)
    assert event.keys() == {"event", "commune", "part", "pid"}
    assert event["pid"] != old
    assert demo.running()["communes"][1]["pids"][part] == event["pid"]
    assert is_alive(event["pid"])


def test_what_is_secret_is_for_its_owner_alone(demo: Demo) -> None:
    assert demo.state.stat().st_mode & 0o077 == 0
    secret = demo.ready["hub"]["token"]
    for path in demo.state.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".toml", ".pem", ".conf", ".token"):
            assert path.stat().st_mode & 0o007 == 0, path
    assert secret.encode() not in b"".join(path.read_bytes() for path in (demo.state / "logs").iterdir())


def test_a_second_demo_on_the_same_folder_is_refused(demo: Demo) -> None:
    done = subprocess.run(demo.argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "another demo" in done.stderr
    assert done.stdout == ""


def test_ends_within_five_seconds_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with Demo(tmp_path / "state") as first:
        before, pids = first.ready, pids_of(first.ready)
        assert first.stop() == 0
    assert not any(map(is_alive, pids))
    assert not (tmp_path / "state" / "demo.json").exists()
    assert [json.loads(line)["event"] for line in first.stdout] == ["ready", "stopped"]
    assert json.loads(first.stdout[-1])["killed"] == []
    epochs = len(list((tmp_path / "state").rglob("hub.db")))
    assert epochs == 1
    with Demo(tmp_path / "state") as second:
        assert second.ready["hub"]["token"] == before["hub"]["token"]
        opened = [item for item in second.items("/api/v1/journals") if item["class"] == "record"]
        assert len({item["epoch"] for item in opened}) >= 2, "the journal of the first start is still known"
        assert second.stop(signal.SIGINT) == 0


def test_two_at_once_and_children_die_with_a_killed_demo(tmp_path: Path) -> None:
    with Demo(tmp_path / "one", "--seconds", "1") as one, Demo(tmp_path / "two") as two:
        pids = pids_of(two.ready)
        assert all(map(is_alive, pids))
        two.kill()
        until(lambda: not any(map(is_alive, pids)), limit_s=10, what="all children of the killed demo are gone")
        assert one.wait(30) == 0, "--seconds ended it"


def test_wrong_input_is_exit_code_2(tmp_path: Path) -> None:
    for words in (["--communes", "0"], ["--seconds", "-1"], ["--panel", str(tmp_path / "no-such-device")], ["--what"]):
        done = subprocess.run(
            [sys.executable, "-m", "provisioning.command", "demo", "--json", *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert words[0] in done.stderr
