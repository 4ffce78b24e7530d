"""Signatures: only the holder of the private key makes them, and a key is of one algorithm."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chassis.crypto.errors import BadKey, BadSignature
from chassis.crypto.signing import PrivateKey, PublicKey

KEY = PrivateKey.generate("2026-01")
OTHER = PrivateKey.generate("2026-01")


@given(st.binary(max_size=300))
def test_a_signature_verifies_for_its_message(message: bytes) -> None:
    signature = KEY.sign(message)
    assert len(signature) == 64
    KEY.public.verify(message, signature)


@given(st.binary(max_size=100), st.data())
def test_a_flipped_bit_anywhere_does_not_verify(message: bytes, data: st.DataObject) -> None:
    signed = bytearray(KEY.sign(message) + message)
    bit = data.draw(st.integers(0, len(signed) * 8 - 1))
    signed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        KEY.public.verify(bytes(signed[64:]), bytes(signed[:64]))


@given(st.binary(max_size=200))
def test_garbage_is_a_bad_signature_and_nothing_worse(signature: bytes) -> None:
    with pytest.raises(BadSignature):
        KEY.public.verify(b"message", signature)


def test_a_signature_has_one_length() -> None:
    signature = KEY.sign(b"message")
    with pytest.raises(BadSignature):
        KEY.public.verify(b"message", signature[:32] + b"\0" + signature[32:])


def test_another_key_under_the_same_id_does_not_verify() -> None:
    with pytest.raises(BadSignature):
        OTHER.public.verify(b"message", KEY.sign(b"message"))


def test_keys_come_back_from_pem_and_jwk() -> None:
    signature = PrivateKey.from_pem(KEY.kid, KEY.to_pem()).sign(b"message")
    PublicKey.from_pem(KEY.kid, KEY.public.to_pem()).verify(b"message", signature)
    again = PublicKey.from_jwk(json.loads(json.dumps(KEY.public.to_jwk())))
    again.verify(b"message", signature)
    assert (again.kid, again.alg) == ("2026-01", "ES256")


def test_a_key_is_read_by_another_implementation_of_jwk() -> None:
    token = jwt.encode({"a": 1}, KEY.native, algorithm=KEY.alg)
    assert jwt.decode(token, jwt.PyJWK(KEY.public.to_jwk()), algorithms=["ES256"]) == {"a": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "ES384"},
        {"kty": "oct"},
        {"crv": "P-384"},
        {"x": "AAAA"},
        {"x": KEY.public.to_jwk()["x"] + "="},
        {"y": KEY.public.to_jwk()["x"]},
        {"d": "AAAA"},
        {"kid": "../kid"},
        {"kid": 1},
    ],
)
def test_a_jwk_that_is_not_quite_ours_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadKey):
        PublicKey.from_jwk({**KEY.public.to_jwk(), **change})


def test_keys_of_other_algorithms_and_other_halves_are_refused() -> None:
    for native in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(BadKey):
            PrivateKey.from_pem("k", native.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(BadKey):
            PublicKey.from_pem("k", native.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(BadKey):
        PrivateKey.from_pem("k", KEY.public.to_pem())
    with pytest.raises(BadKey):
        PublicKey.from_pem("k", KEY.to_pem())
    with pytest.raises(BadKey):
        PrivateKey.generate("k", "HS256")


def test_printing_a_private_key_shows_its_id_alone() -> None:
    assert "2026-01" in repr(KEY)
    assert "native" not in repr(KEY)
