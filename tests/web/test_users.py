"""The users file: written whole, read again when it changes, and a slip in it locks nobody out."""

from pathlib import Path

import pytest

from bus.errors import WrongInputError
from web.users import Users, drop_user, put_user

GOOD = "mot-hai-ba-bon"


def test_a_person_is_added_changed_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    users = Users(path)
    assert users.all() == {}
    assert put_user(path, name="an", password=GOOD, shown='Nguyễn "Văn" An', roles=["leader", "officer"])
    added = users.check("an", GOOD)
    assert added is not None
    assert (added.shown, added.roles) == ('Nguyễn "Văn" An', ["leader", "officer"])
    assert users.check("an", "another one") is None
    assert users.check("binh", GOOD) is None
    assert not put_user(path, name="an", password="bon-ba-hai-mot", roles=[])
    assert users.check("an", GOOD) is None
    changed = users.check("AN ", "bon-ba-hai-mot")
    assert changed is not None
    assert changed.fingerprint != added.fingerprint
    drop_user(path, "an")
    assert users.all() == {}
    with pytest.raises(WrongInputError, match="no user 'an'"):
        drop_user(path, "an")


def test_the_file_is_for_its_owner_alone_and_holds_no_password(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    put_user(path, name="an", password=GOOD, roles=[])
    assert path.stat().st_mode & 0o077 == 0
    assert GOOD not in path.read_text()


@pytest.mark.parametrize("name", ["", "An", "an!", "-an", "a" * 60, "an\n"])
def test_names_that_will_not_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongInputError):
        put_user(tmp_path / "users.toml", name=name, password=GOOD, roles=[])


def test_control_characters_in_a_shown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match="control"):
        put_user(tmp_path / "users.toml", name="an", password=GOOD, shown="An\u202e", roles=[])


def test_a_file_that_does_not_parse_keeps_the_people_last_read(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    put_user(path, name="an", password=GOOD, roles=[])
    users = Users(path)
    assert users.get("an") is not None
    path.write_text("[[user]\n")
    assert users.get("an") is not None
    with pytest.raises(WrongInputError):
        put_user(path, name="binh", password=GOOD, roles=[])
    path.unlink()
    assert users.all() == {}
