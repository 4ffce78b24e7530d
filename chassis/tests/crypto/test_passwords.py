"""Stored passwords verify, age and stay useless without the key."""

import pytest

from chassis.crypto.passwords import Cost, Passwords, PasswordTooLong
from chassis.crypto.secret_key import SecretKey

OLD, NEW = SecretKey.generate("2026-01"), SecretKey.generate("2026-02")
CHEAP = Cost(memory_kib=64, passes=1)  # the real cost is for the default, tested once below
PASSWORDS = Passwords({OLD.kid: OLD, NEW.kid: NEW}, CHEAP)


def test_the_right_password_verifies_and_others_do_not() -> None:
    stored = PASSWORDS.hash("284917")
    assert PASSWORDS.verify(stored, "284917")
    assert not PASSWORDS.verify(stored, "284918")
    assert not PASSWORDS.verify(stored, "")


def test_the_default_is_argon2id_and_names_its_parameters() -> None:
    stored = Passwords({NEW.kid: NEW}).hash("284917")
    assert stored.startswith("2026-02$argon2id$v=19$m=19456,t=2,p=1$")
    assert not Passwords({NEW.kid: NEW}).needs_rehash(stored)


def test_a_password_stored_under_an_older_key_verifies_and_wants_a_rehash() -> None:
    stored = Passwords({OLD.kid: OLD}, CHEAP).hash("284917")
    assert PASSWORDS.verify(stored, "284917")
    assert PASSWORDS.needs_rehash(stored)
    assert not PASSWORDS.needs_rehash(PASSWORDS.hash("284917"))


def test_a_password_stored_at_another_cost_verifies_and_wants_a_rehash() -> None:
    stored = Passwords({NEW.kid: NEW}, Cost(memory_kib=128, passes=1)).hash("284917")
    assert PASSWORDS.verify(stored, "284917")
    assert PASSWORDS.needs_rehash(stored)


def test_without_the_key_a_stored_password_cannot_be_tried() -> None:
    stored = PASSWORDS.hash("284917")
    assert not Passwords({NEW.kid: SecretKey.generate(NEW.kid)}, CHEAP).verify(stored, "284917")
    assert not Passwords({OLD.kid: OLD}, CHEAP).verify(stored, "284917")


def test_a_damaged_stored_text_is_no_match() -> None:
    for stored in ("", "2026-02", "2026-02$argon2id$", "nobody$argon2id$v=19$m=64,t=1,p=1$AA$AA"):
        assert not PASSWORDS.verify(stored, "284917")
        assert PASSWORDS.needs_rehash(stored)


def test_an_endless_password_is_refused_before_it_costs_anything() -> None:
    with pytest.raises(PasswordTooLong):
        PASSWORDS.hash("x" * 1025)
    assert not PASSWORDS.verify(PASSWORDS.hash("x"), "x" * 1025)
