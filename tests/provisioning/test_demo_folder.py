"""The demo's folder and ports: secrets made once, kept private, never a default; one demo at a time."""

import random
import socket
from pathlib import Path

import pytest

from bus.errors import CorruptError, UnavailableError, WrongInputError
from provisioning.demo.folder import DemoFolder, Secrets, kept_key
from provisioning.demo.ports import LOOPBACK, Ports, is_free
from web.users import Users


def secrets_of(root: Path) -> Secrets:
    folder = DemoFolder(root)
    hub = folder.province("hub")
    return folder.secrets(tokens_file=hub / "tokens.toml", users_file=hub / "users.toml")


def test_secrets_are_kept_and_of_this_folder_alone(tmp_path: Path) -> None:
    first, again, other = secrets_of(tmp_path / "a"), secrets_of(tmp_path / "a"), secrets_of(tmp_path / "b")
    assert first == again
    assert first.password != other.password
    assert not set(first.tokens.values()) & set(other.tokens.values())
    assert Users(tmp_path / "a" / "province" / "hub" / "users.toml").check("tinh", first.password) is not None


def test_a_lost_tokens_file_gets_new_tokens(tmp_path: Path) -> None:
    first = secrets_of(tmp_path)
    (tmp_path / "province" / "hub" / "tokens.toml").unlink()
    again = secrets_of(tmp_path)
    assert first.tokens.keys() == again.tokens.keys()
    assert first.tokens != again.tokens
    assert first.password == again.password


def test_everything_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    root = tmp_path / "state"
    secrets_of(root)
    kept_key(DemoFolder(root).commune("s0001", "agent") / "agent.pem")
    for path in root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_secrets_that_do_not_read_are_said(tmp_path: Path) -> None:
    secrets_of(tmp_path)
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(CorruptError, match=r"secrets\.json"):
        secrets_of(tmp_path)


def test_keys_are_kept(tmp_path: Path) -> None:
    assert kept_key(tmp_path / "a.pem").key_id == kept_key(tmp_path / "a.pem").key_id
    assert kept_key(tmp_path / "a.pem").key_id != kept_key(tmp_path / "b.pem").key_id


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "state")
    with folder.held(), pytest.raises(UnavailableError, match="another demo"), DemoFolder(tmp_path / "state").held():
        pass
    with folder.held():
        pass


def test_a_folder_that_cannot_be_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongInputError, match="--state"), DemoFolder(tmp_path / "file").held():
        pass


def test_the_clock_of_a_group_is_vouched_for_and_may_be_moved(tmp_path: Path) -> None:
    path = DemoFolder(tmp_path).clock("s0001")
    assert path.read_text() == '{"offset_ms": 0, "error_ms": 1}'
    path.write_text('{"offset_ms": -5}')
    assert DemoFolder(tmp_path).clock("s0001").read_text() == '{"offset_ms": -5}'


def test_ports_are_given_once_and_not_those_in_use() -> None:
    ports = Ports(random.Random(1))
    taken = [ports.take() for _ in range(50)]
    assert len(set(taken)) == 50
    with socket.socket() as server:
        server.bind((LOOPBACK, taken[0]))
        server.listen()
        assert not is_free(taken[0])
        again = Ports(random.Random(1))
        assert taken[0] not in [again.take() for _ in range(50)]
