"""Sealed fields open in their own place with a key at hand, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.crypto.encoding import from_base64url, to_base64url
from chassis.crypto.errors import BadKey, CannotOpen
from chassis.crypto.fields import FieldKeys
from chassis.crypto.secret_key import SecretKey

OLD, NEW = SecretKey.generate("2026-01"), SecretKey.generate("2026-02")
BOTH = FieldKeys({OLD.kid: OLD, NEW.kid: NEW})
PLACE = b"person:0190:phone"


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=40))
def test_what_is_sealed_opens_in_its_place(value: bytes, place: bytes) -> None:
    assert BOTH.open(BOTH.seal(value, place), place) == value
    assert BOTH.open_text(BOTH.seal_text(value, place), place) == value


def test_the_newest_key_seals_and_older_ones_still_open() -> None:
    before = FieldKeys({OLD.kid: OLD}).seal(b"13900000001", PLACE)
    assert BOTH.open(before, PLACE) == b"13900000001"
    after = BOTH.seal(b"13900000001", PLACE)
    assert FieldKeys({NEW.kid: NEW}).open(after, PLACE) == b"13900000001"
    with pytest.raises(CannotOpen):
        FieldKeys({NEW.kid: NEW}).open(before, PLACE)


def test_a_value_copied_to_another_place_does_not_open() -> None:
    with pytest.raises(CannotOpen):
        BOTH.open(BOTH.seal(b"13900000001", PLACE), b"person:0191:phone")


def test_a_value_sealed_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="place"):
        BOTH.seal(b"13900000001", b"")
    with pytest.raises(ValueError, match="place"):
        BOTH.open(BOTH.seal(b"13900000001", PLACE), b"")


def test_sealed_bytes_cannot_be_relabelled_with_another_key_id() -> None:
    same = FieldKeys({kid: SecretKey(kid, NEW.value) for kid in ("2026-01", "2026-02")})
    sealed = same.seal(b"x", PLACE)
    with pytest.raises(CannotOpen):
        same.open(sealed.replace(b"2026-02", b"2026-01"), PLACE)


def test_another_key_under_the_same_id_does_not_open() -> None:
    with pytest.raises(CannotOpen):
        FieldKeys({NEW.kid: SecretKey.generate(NEW.kid)}).open(BOTH.seal(b"x", PLACE), PLACE)


@given(st.data())
def test_a_flipped_bit_anywhere_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(BOTH.seal(b"13900000001", PLACE))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen):
        BOTH.open(bytes(sealed), PLACE)


@given(st.data())
def test_a_changed_letter_anywhere_in_the_text_form_does_not_open(data: st.DataObject) -> None:
    sealed = BOTH.seal_text(b"0190aaaa", PLACE)
    at = data.draw(st.integers(0, len(sealed) - 1))
    letter = data.draw(st.characters().filter(lambda new: new != sealed[at]))
    with pytest.raises(CannotOpen):
        BOTH.open_text(sealed[:at] + letter + sealed[at + 1 :], PLACE)


@given(st.binary(max_size=80), st.text(max_size=80))
def test_garbage_does_not_open_and_nothing_worse(sealed: bytes, text: str) -> None:
    with pytest.raises(CannotOpen):
        BOTH.open(sealed, PLACE)
    with pytest.raises(CannotOpen):
        BOTH.open_text(text, PLACE)


def test_sealing_the_same_value_twice_looks_different() -> None:
    assert BOTH.seal(b"13900000001", PLACE) != BOTH.seal(b"13900000001", PLACE)


@given(st.binary(max_size=70))
def test_base64url_has_one_spelling(value: bytes) -> None:
    text = to_base64url(value)
    assert from_base64url(text) == value
    with pytest.raises(ValueError, match="base64url"):
        from_base64url(text + "=")


def test_unused_bits_in_base64url_are_refused() -> None:
    assert from_base64url("AA") == b"\0"
    with pytest.raises(ValueError, match="canonical"):
        from_base64url("AB")


def test_keys_of_another_length_or_with_odd_ids_are_refused() -> None:
    with pytest.raises(BadKey):
        SecretKey("k", b"short")
    with pytest.raises(BadKey):
        SecretKey("a.b", bytes(32))
    with pytest.raises(BadKey):
        FieldKeys({})
    with pytest.raises(BadKey):
        FieldKeys({"another": NEW})
    assert SecretKey.from_text("k", NEW.to_text() + "\n").value == NEW.value
    assert NEW.to_text() not in repr(NEW)
