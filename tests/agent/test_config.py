"""The agent's file: what it takes, what it refuses with key and line, and whatever else is thrown at it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.__main__ import main
from agent.config import Config, ServiceConfig
from agent.ladder import Kind
from agent.layout import host_of, lay_out
from agent.senses.http import probe_http
from agent.senses.resolver import Resolver
from bus.config import ConfigError, load
from tests.lab.box import CONFIG
from tests.lab.network import PRINTER, ROUTER, ROUTER2, SWITCH

WHOLE = CONFIG.format(folder="/tmp", router=ROUTER, router2=ROUTER2, switch=SWITCH, printer=PRINTER)


def put(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_whole_file_becomes_the_ladder_in_order(tmp_path: Path) -> None:
    layout = lay_out(load(put(tmp_path, WHOLE), Config))
    kinds = [rung.kind for rung in layout.rungs]
    assert kinds == sorted(kinds, key=list(Kind).index)
    assert [rung.id for rung in layout.rungs] == [
        *("switch", "router", "router-2", "vnpt", "viettel", "tslcd", "dns", "vnpt-web", "hub"),
        *("mot-cua", "ky-so", "may-in"),
    ]
    assert layout.routers == {"router": ROUTER, "router-2": ROUTER2}
    assert [(line.id, line.spare, line.router) for line in layout.lines] == [
        ("vnpt", False, "router"),
        ("viettel", True, "router-2"),
        ("tslcd", False, "router"),
    ]
    needs = {rung.id: rung.needs for rung in layout.rungs}
    assert needs["dns"] == (("vnpt", "viettel"),)
    assert needs["hub"] == (("tslcd",),)
    assert needs["vnpt-web"] == (("vnpt",),), "an address needs no name server"
    targets = {target.name for target in layout.targets}
    assert targets == {target for rung in layout.rungs for target in rung.targets}


def test_a_name_needs_a_name_server(tmp_path: Path) -> None:
    text = WHOLE.replace("https://203.0.113.44/", "https://ky-so.example/")
    needs = {rung.id: rung.needs for rung in lay_out(load(put(tmp_path, text), Config)).rungs}
    assert needs["ky-so"] == (("vnpt", "viettel"), ("dns",))


@pytest.mark.parametrize(
    ("before", "after", "key", "says"),
    [
        ('router = "10.77.1.1"', 'router = "10.77.1.999"', "lan.router", "not an IP address"),
        ('id = "viettel"', 'id = "vnpt"', "line.1.id", "'vnpt' is used twice"),
        ('id = "may-in"', 'id = "hub"', "host.0.id", "rung of its own"),
        ('id = "may-in"', 'id = "vnpt-web"', "host.0.id", "rung of its own"),
        ('id = "mot-cua"', 'id = "router-2"', "service.0.id", "rung of its own"),
        ('url = "http://10.202.0.3/"', 'url = "https://a..b/"', "service.0.url", "not a host name"),
        ('url = "http://10.202.0.3/"', 'url = "https://[::1"', "service.0.url", "Invalid IPv6 URL"),
        ('url = "http://10.202.0.3/"', 'url = "https://x:70000/"', "service.0.url", "out of range"),
        ('url = "http://10.202.0.3/"', 'url = "https://10.0.0.300/"', "service.0.url", "not an IP address"),
        ('url = "http://10.202.0.3/"', 'tcp = "a..b:80"', "service.0.tcp", "not a host name"),
        ('url = "http://10.202.0.3/"', 'tcp = "ok.example:0"', "service.0.tcp", "from 1 to 65535"),
        ('web = "http://203.0.113.204/generate_204"', 'web = "http://.x/"', "line.0.web", "not a host name"),
        ('name = "dichvucong.example"', 'name = "dichvucong..example"', "dns.name", "not a host name"),
        ('host = "10.202.0.2"', 'host = "hub..example"', "hub.host", "not a host name"),
        ("loss_hold_s = 2", "loss_hold_s = nan", "pace.loss_hold_s", "nan"),
        ('provider = "Viettel"', 'providers = "Viettel"', "line.1.providers", "unknown key"),
        ('network = "internet"', 'network = "satellite"', "line.0.network", "Invalid enum value"),
        ('hosts = ["203.0.113.1", "203.0.113.9"]', "hosts = []", "line.0.hosts", "length >= 1"),
        ("interval_s = 1\n", "interval_s = 0\n", "service.0.interval_s", ">= 0.2"),
        ('url = "http://10.202.0.3/"', 'url = "ftp://x/"', "service.0.url", "matching regex"),
        ('url = "http://10.202.0.3/"', "", "service.0", "give either url"),
        ("port = 8883", "port = 70000", "hub.port", "<= 65535"),
        ('site = "s0001"', 'site = "Xã"', "device.site", "matching regex"),
        ("[lan]", "[lan", "", "not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_line(tmp_path: Path, before: str, after: str, key: str, says: str) -> None:
    assert before in WHOLE
    with pytest.raises(ConfigError) as caught:
        load(put(tmp_path, WHOLE.replace(before, after, 1)), Config)
    told = [(mistake.key, mistake.says, mistake.line) for mistake in caught.value.mistakes]
    assert any(says in text for _, text, _ in told), told
    assert any(name == key for name, _, _ in told), told
    if key:
        assert all(line > 0 for _, _, line in told)


def test_mistakes_across_keys_are_all_told_at_once(tmp_path: Path) -> None:
    wrong = WHOLE.replace('id = "viettel"', 'id = "vnpt"').replace('router = "10.77.1.1"', 'router = "10.77.1.999"')
    wrong = wrong.replace('id = "may-in"', 'id = "dns"').replace('"https://203.0.113.44/"', '"https://a..b/"')
    wrong = wrong.replace('network = "tslcd"\nprovider', 'network = "internet"\nprovider')
    wrong = wrong.replace('hosts = ["10.201.0.1", "10.201.0.9"]', 'hosts = ["10.201.0.1", "10.201.0.1"]')
    with pytest.raises(ConfigError) as caught:
        load(put(tmp_path, wrong), Config)
    told = {mistake.key: mistake.line for mistake in caught.value.mistakes}
    assert told.keys() == {
        *("lan.router", "line.1.id", "line.2.hosts.1", "hub.network", "host.0.id"),
        *("service.0.network", "service.1.url"),
    }
    assert all(told.values())


@pytest.mark.parametrize("odd", ["nan", "inf", "-inf", "1e400"])
def test_what_is_no_number_is_refused(tmp_path: Path, odd: str) -> None:
    text = (
        WHOLE
        + f"""
[[optical]]
line = "vnpt"
port = "sfp0"
threshold_dbm = {odd}
[[member]]
id = "s0001-kiosk-1"
part = "kiosk"
settings = {{ screen = {{ sizes = [1.0, {odd}] }} }}
"""
    )
    with pytest.raises(ConfigError) as caught:
        load(put(tmp_path, text), Config)
    assert [mistake.key for mistake in caught.value.mistakes] == ["optical.0.threshold_dbm", "member.0.settings"]


def test_networks_that_no_line_carries_are_refused(tmp_path: Path) -> None:
    text = WHOLE.replace('network = "tslcd"\nprovider', 'network = "internet"\nprovider')
    with pytest.raises(ConfigError, match=r"is reached over tslcd, but no \[\[line\]\]"):
        load(put(tmp_path, text), Config)


def test_check_prints_every_mistake_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = put(tmp_path, WHOLE)
    assert main(["--config", str(good), "--check"]) == 0
    capsys.readouterr()
    bad = put(tmp_path, WHOLE.replace("port = 8883", "port = 0").replace('site = "s0001"', "site = 1"))
    assert main(["--config", str(bad), "--check"]) == 2
    told = capsys.readouterr().err
    assert "hub.port" in told
    assert "device.site" in told
    assert told.count("line ") >= 2
    assert main(["--config", str(bad), "--check", "--json"]) == 2
    assert {m["key"] for m in json.loads(capsys.readouterr().out)["mistakes"]} == {"hub.port", "device.site"}
    assert main(["--config", str(tmp_path / "absent.toml"), "--check"]) == 2


def test_check_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    code = "import sys; from agent.__main__ import main; main(sys.argv[1:]); print([m for m in sys.modules if m in X])"
    unwanted = "X = {'paho', 'psutil', 'prometheus_client', 'netifaces'}; "
    done = subprocess.run(
        [sys.executable, "-c", unwanted + code, "--config", str(put(tmp_path, WHOLE)), "--check"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("[]\n")


LINES = WHOLE.splitlines()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_fuzz_ends_in_a_ladder_or_in_mistakes(tmp_path: Path, data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "value", "noise"])):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "value":
                value = data.draw(
                    st.sampled_from(['""', "-1", "1e400", "[]", "{}", "true", "1979-05-27", '"x"', "nan"])
                )
                lines[at] = lines[at].partition("=")[0] + "= " + value
            case _:
                lines[at] = data.draw(st.text(max_size=30))
        if not lines:
            break
    try:
        path = put(tmp_path, "\n".join(lines))
    except UnicodeEncodeError:
        return
    mistakes = None
    try:
        lay_out(load(path, Config))
    except ConfigError as error:
        mistakes = [str(mistake) for mistake in error.mistakes]
    assert mistakes is None or all(mistakes)
    assert mistakes != []


@settings(max_examples=60, deadline=None)
@given(url=st.from_regex(r"https?://[a-z.:\[\]%@_-]{1,20}(/[a-z?#:]{0,5})?", fullmatch=True))
async def test_an_address_that_passes_can_be_asked(url: str) -> None:
    # No digits: nothing outside this machine is asked.
    try:
        ServiceConfig("x", "x", url=url)
    except ValueError:
        return
    resolver = Resolver(["127.0.0.1"], port=9, timeout_s=0.01)
    result = await probe_http("x", url, resolver=resolver, timeout_s=0.05)
    await resolver.close()
    assert result.asked, result


def test_host_of() -> None:
    assert host_of("https://u@a.example:8443/x?y") == "a.example"
    assert host_of("http://[2001:db8::1]:80/") == "2001:db8::1"
    assert host_of("http://10.0.0.1") == "10.0.0.1"
