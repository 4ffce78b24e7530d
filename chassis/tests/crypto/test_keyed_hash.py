"""Keyed hashes find what was stored under the current key or the one before, and tell nothing without the key."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.crypto.errors import BadKey
from chassis.crypto.keyed_hash import KeyedHashes
from chassis.crypto.secret_key import SecretKey

KEYS = {kid: SecretKey.generate(kid) for kid in ("2026-01", "2026-02", "2026-03")}
HASHES = KeyedHashes(KEYS, "phone")


@given(st.text(max_size=40), st.text(max_size=40))
def test_equal_values_have_equal_hashes_and_others_do_not(one: str, other: str) -> None:
    assert (HASHES.current(one) == HASHES.current(other)) == (one == other)


def test_a_row_stored_before_a_rotation_is_found_after_it() -> None:
    before = KeyedHashes({"2026-02": KEYS["2026-02"]}, "phone").current("13900000001")
    assert HASHES.candidates("13900000001") == [HASHES.current("13900000001"), before]


def test_a_look_up_tries_at_most_two_keys() -> None:
    assert len(HASHES.candidates("13900000001")) == 2
    assert len(KeyedHashes({"2026-01": KEYS["2026-01"]}, "phone").candidates("1")) == 1


def test_the_stored_hash_names_algorithm_and_key() -> None:
    assert HASHES.current("x")[:9] == b"\x01\x072026-03"


def test_the_same_value_for_another_purpose_has_another_hash() -> None:
    assert HASHES.current("13900000001") != KeyedHashes(KEYS, "document-number").current("13900000001")
    with pytest.raises(ValueError, match="purpose"):
        KeyedHashes(KEYS, "")


def test_no_key_is_refused() -> None:
    with pytest.raises(BadKey):
        KeyedHashes({}, "phone")


def test_the_hash_is_hmac_sha256_over_purpose_and_value() -> None:
    stored = KeyedHashes({"2026-01": KEYS["2026-01"]}, "phone").current(b"message")
    assert hmac.new(KEYS["2026-01"].value, b"look-up\0phone\0message", hashlib.sha256).digest() == stored[-32:]
