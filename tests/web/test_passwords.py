"""Passwords: what verifies, what does not, and what is refused."""

import pytest

from bus.errors import CorruptError, WrongInputError
from web import passwords


def test_a_password_verifies_and_another_does_not() -> None:
    stored = passwords.hash_password("mật khẩu của An")
    assert passwords.verify_password("mật khẩu của An", stored)
    assert not passwords.verify_password("mật khẩu của Ân", stored)
    assert not passwords.needs_rehash(stored)


def test_two_forms_of_one_vietnamese_letter_are_one_password() -> None:
    composed, decomposed = "m\u1eadt kh\u1ea9u d\u00e0i", "ma\u0323\u0302t kha\u0302\u0309u da\u0300i"
    assert composed != decomposed
    assert passwords.verify_password(decomposed, passwords.hash_password(composed))


def test_the_same_password_is_stored_differently_each_time() -> None:
    assert passwords.hash_password("0123456789") != passwords.hash_password("0123456789")


def test_nobody_verifies_nothing() -> None:
    assert not passwords.verify_password("", passwords.NOBODY)
    assert not passwords.verify_password("anything at all", passwords.NOBODY)


@pytest.mark.parametrize(
    "stored", ["", "plain", "scrypt$1$2$3", "scrypt$99999999$8$1$AAAA$AAAA", "md5$16384$8$5$AA$AA"]
)
def test_a_stored_value_of_another_form_is_corrupt(stored: str) -> None:
    with pytest.raises(CorruptError):
        passwords.verify_password("whatever", stored)


@pytest.mark.parametrize("password", ["short", "a" * 20, "x" * 300])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(WrongInputError):
        passwords.check_strength(password)


def test_a_huge_password_is_not_even_hashed() -> None:
    assert not passwords.verify_password("x" * 10_000_000, passwords.NOBODY)
