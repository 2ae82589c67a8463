"""The tokens file: only hashes in it, read again when it changes, wrong input refused."""

from pathlib import Path

import pytest
from starlette.requests import Request

from bus.errors import WrongInputError
from hub.api import tokens
from hub.api.tokens import Tokens
from web.problems import ProblemError


def _request(value: str) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", value.encode())]})


def test_a_token_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    text = tokens.issue(file, name="grafana", scopes=["read"])
    assert text not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    known = Tokens(file)
    assert known.check(_request(f"Bearer {text}"), "read").name == "grafana"
    assert known.check(_request(f"bearer  {text} "), "read").name == "grafana"
    again = tokens.issue(file, name="grafana", scopes=["metrics"])
    with pytest.raises(ProblemError):
        known.check(_request(f"Bearer {text}"), "read")
    assert known.check(_request(f"Bearer {again}"), "metrics").scopes == ["metrics"]


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic abc", "Bearer nope", "Bearer \u00e9", "bearer\tx"])
def test_what_is_no_token_opens_nothing(tmp_path: Path, value: str) -> None:
    file = tmp_path / "tokens.toml"
    tokens.issue(file, name="grafana", scopes=["read"])
    with pytest.raises(ProblemError) as refused:
        Tokens(file).check(_request(value), "read")
    assert refused.value.problem.status == 401


def test_wrong_names_and_scopes_write_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    for name, scopes in (("Grafana", ["read"]), ("x\n", ["read"]), ("x", []), ("x", ["all"])):
        with pytest.raises(WrongInputError):
            tokens.issue(file, name=name, scopes=scopes)
    assert not file.exists()
    with pytest.raises(WrongInputError, match="no token 'x'"):
        tokens.drop(file, "x")


def test_a_file_that_does_not_parse_keeps_the_last_good_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    text = tokens.issue(file, name="grafana", scopes=["read"])
    known = Tokens(file)
    known.check(_request(f"Bearer {text}"), "read")
    file.write_text("[[token]]\nname = 1\n")
    assert known.check(_request(f"Bearer {text}"), "read").name == "grafana"
    file.unlink()
    with pytest.raises(ProblemError):
        known.check(_request(f"Bearer {text}"), "read")
