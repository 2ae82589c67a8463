"""`commune province` on the files that a hub's configuration names."""

import io
import json
from pathlib import Path

import pytest

from provisioning.command import main
from web.users import Users


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "hub.toml"
    file.write_text('[http]\ntoken = "tokens.toml"\n')
    return str(file)


def test_a_token_is_made_shown_once_listed_and_ended(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = [
        "province",
        "token",
        "--config",
        config,
        "--json",
        "add",
        "grafana",
        "--scope",
        "read",
        "--scope",
        "metrics",
    ]
    assert main(made) == 0
    text = json.loads(capsys.readouterr().out)["token"]
    assert text not in (Path(config).parent / "tokens.toml").read_text()
    assert main(["province", "token", "--config", config, "list"]) == 0
    assert capsys.readouterr().out == "grafana\tread metrics\n"
    assert main(["province", "token", "--config", config, "remove", "grafana"]) == 0
    assert main(["province", "token", "--config", config, "remove", "grafana"]) == 2
    assert "no token 'grafana'" in capsys.readouterr().err


def test_a_person_is_added_to_the_file_beside_the_tokens(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("mot-hai-ba-bon-nam\n"))
    assert main(["province", "user", "--config", config, "add", "an"]) == 0
    assert Users(Path(config).parent / "users.toml").check("an", "mot-hai-ba-bon-nam") is not None


def test_a_configuration_that_is_wrong_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hub.toml"
    file.write_text("[http]\nports = 1\n")
    assert main(["province", "user", "--config", str(file), "list"]) == 2
    assert "unknown key" in capsys.readouterr().err
