"""Our reader of CBOR agrees with cbor2 on everything it accepts, and accepts one encoding of each value."""

import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.card_code.cbor import Tagged, read

_numbers = st.integers(-(1 << 64), (1 << 64) - 1)
_leaves = _numbers | st.binary(max_size=70) | st.text(max_size=70)
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 1000), inner, max_size=5),
    max_leaves=6,
)


@given(_values)
def test_what_cbor2_writes_canonically_is_read_back(value: object) -> None:
    with contextlib.suppress(ValueError):  # nested deeper than any code
        assert read(cbor2.dumps(value, canonical=True)) == value


@given(_leaves)
def test_leaves_are_always_read_back(value: object) -> None:
    assert read(cbor2.dumps(value, canonical=True)) == value


@given(st.binary(max_size=40))
def test_whatever_is_accepted_is_the_one_encoding_of_its_value(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        value = read(raw)
        assert cbor2.dumps(_untagged(value), canonical=True) == raw


def _untagged(value: object) -> object:
    match value:
        case Tagged(tag, inner):
            return cbor2.CBORTag(tag, _untagged(inner))
        case list():
            return [_untagged(item) for item in value]
        case dict():
            return {key: _untagged(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    "raw",
    [
        b"\xa2\x01\x00\x01\x00",  # a key twice
        b"\xa2\x04\x00\x01\x00",  # keys out of order
        b"\xa1\x61a\x00",  # a key that is text
        b"\x18\x17",  # not the shortest form
        b"\x9f\xff",  # endless
        b"\x81\x81\x81\x81\x81\x00",  # deeper than any code
        b"\x98\x20" + b"\x00" * 32,  # more items than any code has
        b"\xf6",  # null
        b"\x00\x00",  # two values
        b"",
    ],
)
def test_another_encoding_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        read(raw)
