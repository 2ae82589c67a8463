"""Configuration: every mistake at once, with its key and line; and no file, however broken, makes it fall over."""

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from bus.config import BrokerConfig, ConfigError, DeviceConfig, JournalConfig, Mistake, load

SOUND = """\
name = "x"

[device]
site = "s0001"
id = "s0001-agent"
key = "k.pem"
hub_keys = ["hub.pub"]

[broker]
host = "localhost"
port = 1884

[[target]]
name = "a"
port = 1

[[target]]
name = "b"

[named.one]
port = 2
"""


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    port: int = 80

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("a target may not be named forbidden")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    device: DeviceConfig
    broker: BrokerConfig = BrokerConfig()
    journal: JournalConfig = JournalConfig()
    target: list[Target] = []
    named: dict[str, BrokerConfig] = {}


def mistakes(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, Config)
    return [(mistake.line, mistake.key) for mistake in caught.value.mistakes]


def test_a_sound_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOUND)
    config = load(path, Config)
    assert config.broker == BrokerConfig(host="localhost", port=1884)
    assert config.journal.keep_days == 30
    assert [target.port for target in config.target] == [1, 80]
    assert config.named["one"].port == 2


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        SOUND.replace('name = "x"', "name = 5")
        .replace('site = "s0001"', 'site = "Thanh Hóa"')
        .replace('key = "k.pem"\n', "")
        .replace("port = 1884", 'port = 70000\nhsot = "typo"')
        .replace('name = "b"', "port = 2")
        .replace("port = 2\n", 'port = "two"\n')
    )
    assert mistakes(tmp_path, text) == [
        (1, "name"),
        (3, "device.key"),
        (4, "device.site"),
        (10, "broker.port"),
        (11, "broker.hsot"),
        (17, "target.1.name"),
        (18, "target.1.port"),
        (21, "named.one.port"),
    ]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("[broker]", "[broker"), (9, "")),
        (('name = "a"', 'name = "forbidden"'), (13, "target.0")),
        (('name = "x"', 'name = "x"\nname = "y"'), (2, "")),
        (("[broker]", "[journal]\nrecord_mib = 0\n[broker]"), (10, "journal.record_mib")),
        (("[broker]", "journal = 5\n[broker]"), (9, "device.journal")),
        (("[named.one]", "[unknown.one]"), (20, "unknown")),
    ],
)
def test_a_mistake_has_its_key_and_line(tmp_path: Path, change: tuple[str, str], wanted: tuple[int, str]) -> None:
    assert mistakes(tmp_path, SOUND.replace(*change, 1))[0] == wanted


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("9" * 5_000, "the number is too long"),
        ("[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("[\n" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("{b = " * 3_000 + "1" + "}" * 3_000, "nested too deeply"),
    ],
    ids=["number", "arrays", "lines", "tables"],
)
def test_what_python_cannot_read_has_its_key_and_line_too(tmp_path: Path, value: str, says: str) -> None:
    text = SOUND.replace("[broker]", f"[broker]\nport = {value}\nhost = '127.0.0.1'", 1)
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(path, Config)
    line = text[: text.index("port = ")].count("\n") + 1
    assert refused.value.mistakes == [Mistake(line, "broker.port", says)]


def test_a_key_of_thousands_of_dots_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOUND.replace('name = "x"', "name." + "a." * 3_000 + "a = 1", 1))
    with pytest.raises(ConfigError, match=r"line 1: name: Expected `str`, got `object`; found") as refused:
        load(path, Config)
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = \x00", b""])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load(path, Config)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml", Config)


values = st.recursive(
    st.one_of(
        st.booleans().map(lambda value: str(value).lower()),
        st.integers(min_value=-(2**70), max_value=2**70).map(str),
        st.sampled_from(["1.5", "nan", "inf", "2026-01-01", "07:32:00", '""', '"s0001"', "'x'", '"""a\nb"""']),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["name", "port", "host"]), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)
keys = st.sampled_from(["name", "device", "broker", "target", "named", "port", "site", "id", '"a.b"', "x.y", "tls"])
lines = st.one_of(
    st.tuples(keys, values).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    keys.map(lambda key: f"[{key}]"),
    keys.map(lambda key: f"[[{key}]]"),
    st.tuples(keys, keys).map(lambda pair: f"[{pair[0]}.{pair[1]}]"),
    st.text(string.printable, max_size=20),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(text=st.lists(lines, max_size=12).map("\n".join))
def test_any_toml_is_read_or_refused_with_reasons(tmp_path: Path, text: str) -> None:
    read_or_refuse(tmp_path, text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    at=st.integers(min_value=0, max_value=len(SOUND)),
    length=st.integers(min_value=0, max_value=20),
    put=st.one_of(st.text(string.printable, max_size=5), values, lines),
)
def test_any_damage_to_a_sound_file_is_read_or_refused_with_reasons(
    tmp_path: Path, at: int, length: int, put: str
) -> None:
    read_or_refuse(tmp_path, SOUND[:at] + put + SOUND[at + length :])


def read_or_refuse(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, newline="")
    try:
        load(path, Config)
    except ConfigError as error:
        refused = error.mistakes
    else:
        return
    assert refused
    assert all(mistake.says for mistake in refused)
    assert all(0 <= mistake.line <= text.count("\n") + 2 for mistake in refused)
