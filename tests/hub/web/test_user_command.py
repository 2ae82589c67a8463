"""`commune province user`: people are added without a password ever being an argument."""

import argparse
import io
import json
from pathlib import Path

import pytest

from bus.errors import WrongInputError
from hub import users
from web.users import Users


def _run(file: Path, *argv: str) -> str:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    users.add_arguments(parser)
    out = io.StringIO()
    assert users.run(parser.parse_args(argv), file, out=out) == 0
    return out.getvalue()


def test_add_list_and_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users.toml"
    monkeypatch.setattr("sys.stdin", io.StringIO("mot-hai-ba-bon-nam\n"))
    added = _run(file, "add", "an", "--shown", "Nguyễn Văn An", "--role", "ratings-raw")
    assert added == "added: an\n"
    assert _run(file, "list") == "an\tNguyễn Văn An\tratings-raw\n"
    assert json.loads(_run(file, "--json", "list")) == [
        {"name": "an", "shown": "Nguyễn Văn An", "roles": ["ratings-raw"]}
    ]
    assert Users(file).check("an", "mot-hai-ba-bon-nam") is not None
    assert _run(file, "remove", "an") == "removed: an\n"
    assert _run(file, "list") == ""


def test_a_short_password_adds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users.toml"
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(WrongInputError, match="at least 10"):
        _run(file, "add", "an")
    assert not file.exists()


def test_two_passwords_that_differ_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["mot-hai-ba-bon-nam", "mot-hai-ba-bon-sau"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    monkeypatch.setattr("sys.stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    with pytest.raises(WrongInputError, match="differ"):
        _run(tmp_path / "users.toml", "add", "an")
