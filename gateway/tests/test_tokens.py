"""Forged, confused and stale access tokens: the same 401 for each, and nothing reaches a service."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from chassis.crypto.encoding import from_base64url, to_base64url
from chassis.crypto.signing import PrivateKey
from gateway.testing import Door, Issuer

CITIZEN = UUID("01890000-0000-7000-8000-000000000001")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return to_base64url(raw)


def signed(issuer: Issuer, header: Any, claims: Any, key: PrivateKey | None = None) -> str:
    """Sign any two parts, as a careless or hostile issuer with the right key could."""
    first = f"{part(header)}.{part(claims)}"
    return f"{first}.{part((key or issuer.key).sign(first.encode()))}"


def header_of(issuer: Issuer, **changes: Any) -> dict[str, Any]:
    header = {"alg": "ES256", "typ": "at+jwt", "kid": issuer.key.kid} | changes
    return {name: value for name, value in header.items() if value is not None}


def with_header(**changes: Any) -> Callable[[Issuer], str]:
    return lambda issuer: signed(issuer, header_of(issuer, **changes), issuer.claims(citizen=CITIZEN))


def with_claims(**changes: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.token(citizen=CITIZEN, **changes)


def without_signature(issuer: Issuer) -> str:
    return f"{part(header_of(issuer, alg='none'))}.{part(issuer.claims(citizen=CITIZEN))}."


def hs256_with_the_public_key(issuer: Issuer) -> str:
    first = f"{part(header_of(issuer, alg='HS256'))}.{part(issuer.claims(citizen=CITIZEN))}"
    return f"{first}.{part(hmac.digest(issuer.key.public.to_pem(), first.encode(), hashlib.sha256))}"


def with_another_key(issuer: Issuer) -> str:
    return signed(issuer, header_of(issuer), issuer.claims(citizen=CITIZEN), PrivateKey.generate("t1"))


def with_its_own_key_inside(issuer: Issuer) -> str:
    key = PrivateKey.generate("t1")
    return signed(issuer, header_of(issuer, jwk=key.public.to_jwk()), issuer.claims(citizen=CITIZEN), key)


def with_a_flipped_claim(issuer: Issuer) -> str:
    head, _, tail = issuer.token(citizen=CITIZEN).split(".")
    return f"{head}.{part(issuer.claims(citizen=uuid4()))}.{tail}"


def claims_with_a_name_twice(issuer: Issuer) -> str:
    text = json.dumps(issuer.claims(citizen=CITIZEN))
    return signed(issuer, header_of(issuer), (text[:-1] + ',"scope":"card"}').encode())


def header_with_a_name_twice(issuer: Issuer) -> str:
    header = b'{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"t1"}'
    return signed(issuer, header, issuer.claims(citizen=CITIZEN))


def with_padding(issuer: Issuer) -> str:
    return issuer.token(citizen=CITIZEN) + "=="


def in_the_other_alphabet(issuer: Issuer) -> str:
    while True:  # until the signature holds a letter that the two alphabets write differently
        head, claims, tail = issuer.token(citizen=CITIZEN).split(".")
        if "-" in tail or "_" in tail:
            return f"{head}.{claims}.{tail.replace('-', '+').replace('_', '/')}"


def with_loose_bits(issuer: Issuer) -> str:
    # 64 bytes leave four unused bits in the last letter: another letter means the same bytes.
    token = issuer.token(citizen=CITIZEN)
    loose = token[:-1] + ALPHABET[ALPHABET.index(token[-1]) | 1]
    tail = loose.rpartition(".")[2]
    assert base64.urlsafe_b64decode(tail + "==") == from_base64url(token.rpartition(".")[2])
    return loose


def with_a_cid_of_another_token(issuer: Issuer) -> str:
    return issuer.token(citizen=CITIZEN, cid=issuer.seal(CITIZEN, "another-jti"))


def too_large(issuer: Issuer) -> str:
    return issuer.token(citizen=CITIZEN, extra="x" * 8_192)


def at(seconds: int) -> int:
    return int(time.time()) + seconds


FORGED: dict[str, Callable[[Issuer], str]] = {
    "alg none": without_signature,
    "alg None in other letters": with_header(alg="nOnE"),
    "HS256 keyed with the public key": hs256_with_the_public_key,
    "alg ES384": with_header(alg="ES384"),
    "alg RS256": with_header(alg="RS256"),
    "typ JWT": with_header(typ="JWT"),
    "typ missing": with_header(typ=None),
    "typ in other letters": with_header(typ="AT+JWT"),
    "typ application/at+jwt": with_header(typ="application/at+jwt"),
    "typ logout+jwt": with_header(typ="logout+jwt"),
    "kid unknown": with_header(kid="t2"),
    "kid missing": with_header(kid=None),
    "kid that climbs": with_header(kid="../../../../dev/null"),
    "kid that is a path": with_header(kid="/etc/hostname"),
    "kid that is SQL": with_header(kid="t1' OR '1'='1"),
    "kid that is a list": with_header(kid=["t1"]),
    "kid that is a number": with_header(kid=1),
    "jku": with_header(jku="http://127.0.0.1:9/keys"),
    "x5u": with_header(x5u="http://127.0.0.1:9/cert"),
    "crit": with_header(crit=["b64"]),
    "b64 false": with_header(b64=False, crit=["b64"]),
    "its own key inside": with_its_own_key_inside,
    "another key under the same kid": with_another_key,
    "claims of another token": with_a_flipped_claim,
    "a claim twice": claims_with_a_name_twice,
    "a header name twice": header_with_a_name_twice,
    "padding": with_padding,
    "the other base64 alphabet": in_the_other_alphabet,
    "unused bits that are not zero": with_loose_bits,
    "aud of somebody else": with_claims(aud="https://platform.example"),
    "aud missing": with_claims(aud=None),
    "two auds": lambda issuer: issuer.token(citizen=CITIZEN, aud=[issuer.public_url, "https://platform.example"]),
    "aud twice the same": lambda issuer: issuer.token(citizen=CITIZEN, aud=[issuer.public_url] * 2),
    "aud with a slash behind": lambda issuer: issuer.token(citizen=CITIZEN, aud=issuer.public_url + "/"),
    "iss of somebody else": with_claims(iss="https://evil.example"),
    "exp in the past": lambda issuer: issuer.token(citizen=CITIZEN, exp=at(-1)),
    "exp as a text": lambda issuer: issuer.token(citizen=CITIZEN, exp=str(at(300))),
    "exp as a fraction": lambda issuer: issuer.token(citizen=CITIZEN, exp=at(300) + 0.5),
    "exp as true": with_claims(exp=True),
    "exp missing": with_claims(exp=None),
    "exp in an hour": lambda issuer: issuer.token(citizen=CITIZEN, exp=at(3_600)),
    "iat as a text": lambda issuer: issuer.token(citizen=CITIZEN, iat=str(at(0))),
    "iat in the future": lambda issuer: issuer.token(citizen=CITIZEN, iat=at(60), iat_ms=at(60) * 1000, exp=at(300)),
    "iat_ms that iat does not know": lambda issuer: issuer.token(citizen=CITIZEN, iat_ms=at(100_000) * 1000),
    "nbf in the future": lambda issuer: issuer.token(citizen=CITIZEN, nbf=at(60)),
    "nbf as a text": lambda issuer: issuer.token(citizen=CITIZEN, nbf=str(at(-5))),
    "acr unknown": with_claims(acr="urn:onecard:acr:divine"),
    "acr missing": with_claims(acr=None),
    "a person without cid": with_claims(cid=""),
    "cid of another token": with_a_cid_of_another_token,
    "cid in clear": with_claims(cid=str(CITIZEN)),
    "lin missing": with_claims(lin=None),
    "lin without issue times": with_claims(lin=["a", "b"]),
    "lin without end": with_claims(lin=[["a", 1]] * 40),
    "act without cid": with_claims(act={"sub": "x"}),
    "act as a text": with_claims(act="x"),
    "kind unknown": with_claims(kind="root"),
    "client_id with a quote": with_claims(client_id='x","status":200'),
    "claims that are a list": lambda issuer: signed(issuer, header_of(issuer), []),
    "claims that are not JSON": lambda issuer: signed(issuer, header_of(issuer), b"{,}"),
    "claims with NaN": lambda issuer: signed(issuer, header_of(issuer), b'{"exp":NaN}'),
    "claims nested without end": lambda issuer: signed(issuer, header_of(issuer), b"[" * 2_500 + b"]" * 2_500),
    "four parts": lambda issuer: issuer.token(citizen=CITIZEN) + ".x",
    "an encrypted token": lambda _issuer: "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d",
    "no token at all": lambda _issuer: "x",
    "too large": too_large,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_token_opens_nothing_and_learns_nothing(forge: Callable[[Issuer], str], door: Door) -> None:
    reply = await door.get("/v1/cards/c1", forge(door.issuer))

    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="onecard", error="invalid_token"'
    problem = reply.json()
    assert problem["code"] == "unauthenticated"
    assert problem["detail"] == "The access token is not valid here."
    assert not door.services.seen


async def test_a_good_token_is_one_that_a_second_library_accepts_too(door: Door) -> None:
    token = door.issuer.token(citizen=CITIZEN)

    assert (await door.get("/v1/cards/c1", token)).status == 200
    native = door.issuer.key.public.native
    assert jwt.decode(token, native, algorithms=["ES256"], audience=door.public_url)["iss"] == door.public_url


async def test_an_aud_that_is_a_list_of_one_is_exactly_one(door: Door) -> None:
    assert (await door.get("/v1/cards/c1", door.issuer.token(citizen=CITIZEN, aud=[door.public_url]))).status == 200


async def test_a_remembered_token_still_expires(door: Door) -> None:
    token = door.issuer.token(citizen=CITIZEN, exp=at(2))

    assert (await door.get("/v1/cards/c1", token)).status == 200
    limit_s = time.monotonic() + 5
    while (reply := await door.get("/v1/cards/c1", token)).status == 200 and time.monotonic() < limit_s:  # noqa: ASYNC110  # its clock
        await asyncio.sleep(0.05)
    assert reply.status == 401
    assert reply.json()["detail"] == "The access token has expired."


@pytest.mark.parametrize("authorization", ["Basic eDp5", "Bearer", "Bearer ", "DPoP x", "eyJ"])
async def test_another_scheme_is_no_token(door: Door, authorization: str) -> None:
    reply = await door.get("/v1/cards/c1", Authorization=authorization)

    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="onecard"'
