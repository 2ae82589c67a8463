"""Sessions: they end when they should, and live through a restart."""

from pathlib import Path

from web.sessions import IDLE_S, LIFETIME_S, MAX_BY_USER, Sessions, form_token, form_token_holds
from web.users import User

AN = User(name="an", password="scrypt$1$1$1$a$a")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_found_until_it_is_ended() -> None:
    sessions = Sessions(None)
    token = sessions.start(AN)
    found = sessions.find(token)
    assert found is not None
    assert found.user == "an"
    sessions.end(token)
    assert sessions.find(token) is None
    assert sessions.find("made up") is None


def test_it_ends_when_idle_and_after_its_lifetime_whatever_happens() -> None:
    clock = Clock()
    sessions = Sessions(None, now_s=clock)
    idle, busy = sessions.start(AN), sessions.start(AN)
    started = clock.now
    while clock.now < started + LIFETIME_S - IDLE_S / 2:
        clock.now += IDLE_S / 2
        if clock.now < started + LIFETIME_S:
            assert sessions.find(busy) is not None
    assert sessions.find(idle) is None
    clock.now = started + LIFETIME_S
    assert sessions.find(busy) is None


def test_a_clock_set_back_ends_it() -> None:
    clock = Clock()
    sessions = Sessions(None, now_s=clock)
    token = sessions.start(AN)
    clock.now -= 3600
    assert sessions.find(token) is None


def test_sessions_outlive_the_process_and_the_file_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    token = Sessions(path).start(AN)
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    again = Sessions(path)
    assert again.find(token) is not None
    again.end(token)
    assert Sessions(path).find(token) is None


def test_a_broken_file_means_signing_in_again(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    path.write_bytes(b"\xff{")
    sessions = Sessions(path)
    assert sessions.find(sessions.start(AN)) is not None


def test_a_file_that_cannot_be_written_does_not_stop_sign_in(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "missing" / "sessions.json")
    assert sessions.find(sessions.start(AN)) is not None


def test_one_person_holds_a_bounded_number() -> None:
    sessions = Sessions(None)
    tokens = [sessions.start(AN) for _ in range(MAX_BY_USER + 3)]
    assert sum(sessions.find(token) is not None for token in tokens) == MAX_BY_USER
    assert sessions.find(tokens[-1]) is not None


def test_a_form_token_holds_for_its_cookie_alone() -> None:
    assert form_token_holds("cookie", form_token("cookie"))
    assert not form_token_holds("cookie", form_token("another"))
    assert not form_token_holds("", form_token(""))
    assert not form_token_holds("cookie", "\udcff")
