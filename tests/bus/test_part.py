"""How parts start: the same words for all, mistakes told at once, exit codes that say whose turn it is."""

import json
from pathlib import Path

import pytest
from msgspec import Struct

from bus.errors import CommuneError, UnavailableError, WrongInputError
from bus.part import Part, StopOn, every, run_part


class File(Struct, forbid_unknown_fields=True):
    name: str
    size: int = 1


def part(ending: Exception | None = None, *, wrong: str = "") -> Part[File]:
    def run(config: File, stop_on: StopOn) -> None:
        if ending is not None:
            raise ending

    def complain() -> None:
        raise WrongInputError(wrong)

    return Part("test", "A part.", File, run, check=(lambda _: every(complain, complain)) if wrong else None)


def written(folder: Path, text: str) -> list[str]:
    path = folder / "test.toml"
    path.write_text(text)
    return ["--config", str(path)]


def test_check_runs_nothing_and_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bug = part(RuntimeError("it ran"))
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    sound = written(good, 'name = "x"\n')
    assert run_part(bug, [*sound, "--check"]) == 0
    assert capsys.readouterr().out.endswith(": OK\n")
    assert run_part(bug, [*sound, "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mistakes"] == []
    broken = written(bad, 'size = "x"\ncolour = 1\n')
    for words in ([], ["--check"]):
        assert run_part(bug, [*broken, *words]) == 2
        told = capsys.readouterr().err
        assert all(found in told for found in ("line 1: size", "line 2: colour", "name: missing"))
    assert run_part(bug, [*broken, "--check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)["mistakes"]
    assert {(one["line"], one["key"]) for one in told} == {(0, "name"), (1, "size"), (2, "colour")}


def test_what_the_file_names_is_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*written(tmp_path, 'name = "x"\n'), "--check"]
    assert run_part(part(wrong="no such key"), words) == 2
    assert capsys.readouterr().err == "no such key\nno such key\n"
    assert run_part(part(wrong="no such key"), [*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["mistakes"] == [{"line": 0, "key": "", "says": "no such key"}] * 2


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (None, 0),
        (UnavailableError("the disk is away"), 1),
        (CommuneError("so it is"), 1),
        (WrongInputError("no key"), 2),
        (ExceptionGroup("tasks", [UnavailableError("the port is taken")]), 1),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [WrongInputError("no key")])]), 2),
    ],
)
def test_an_end_has_its_code(tmp_path: Path, ending: Exception | None, code: int) -> None:
    assert run_part(part(ending), written(tmp_path, 'name = "x"\n')) == code


@pytest.mark.parametrize(
    "bug", [RuntimeError("BUG"), ExceptionGroup("tasks", [UnavailableError("x"), RuntimeError("BUG")])]
)
def test_a_bug_is_not_hidden(tmp_path: Path, bug: Exception) -> None:
    with pytest.raises(type(bug)):
        run_part(part(bug), written(tmp_path, 'name = "x"\n'))
