"""The one command: what it lists, its exit codes, and that it loads only what was asked for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from bus.errors import CommuneError, UnavailableError, WrongInputError
from provisioning import command
from provisioning.command import SUB_COMMANDS, SubCommand, main


def test_lists_every_command_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, sub in SUB_COMMANDS.items():
        assert name in out
        assert sub.vi in out
        assert sub.en in out


def test_no_words_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "commune --version" in captured.err


def test_unknown_command_says_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agnet"]) == 2
    assert "did you mean 'agent'?" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    plain = capsys.readouterr().out
    assert main(["--version", "--json"]) == 0
    assert plain == f"commune {json.loads(capsys.readouterr().out)['version']}\n"


@pytest.mark.parametrize(("error", "code"), [(WrongInputError("no such file"), 2), (UnavailableError("port taken"), 1)])
def test_errors_become_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: CommuneError, code: int
) -> None:
    def fail(argv: list[str]) -> NoReturn:
        assert argv == ["--config", "x"]
        raise error

    monkeypatch.setattr(command, "fail_for_test", fail, raising=False)
    monkeypatch.setitem(SUB_COMMANDS, "fails", SubCommand("provisioning.command:fail_for_test", "", ""))
    assert main(["fails", "--config", "x"]) == code
    assert capsys.readouterr().err == f"commune: {error}\n"


def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SUB_COMMANDS, "needs", SubCommand("needs_more:main", "", ""))
    assert main(["needs"]) == 1
    assert "no_such_library_anywhere" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(SUB_COMMANDS))
def test_each_command_exists_and_explains_itself(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "provisioning.command", name, "--help"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout


def test_loads_no_part_by_itself() -> None:
    code = (
        "import sys; from provisioning.command import main; main(['--help']);"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('agent','hub','kiosk','broadcast','web','media','asyncio','cryptography')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    read = subprocess.Popen(
        [sys.executable, "-m", "provisioning.command", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert read.stdout is not None
    assert read.stderr is not None
    read.stdout.close()
    errors = read.stderr.read()
    read.stderr.close()
    read.wait(timeout=30)
    assert b"Traceback" not in errors
