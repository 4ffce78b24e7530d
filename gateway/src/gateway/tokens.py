"""Access tokens (RFC 9068, `at+jwt`): verified once, remembered until they expire.

Invariant: only bytes in their one canonical spelling, signed with ES256 by a key that identity-svc publishes under
exactly that id, and meant for this API alone, become a `Verified`; every other token gets the same answer.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import jwt

from chassis.crypto.encoding import from_base64url
from chassis.crypto.errors import CryptoError
from chassis.crypto.fields import FieldKeys
from chassis.crypto.signing import PublicKey
from chassis.errors import Unauthenticated

TOKEN_MAX_BYTES: Final = 8_192
LIFETIME_MAX_S: Final = 600
SKEW_S: Final = 5
LINEAGE_MAX: Final = 16
ACTORS_MAX: Final = 4
TEXT_MAX: Final = 256
HEADER: Final = frozenset({"alg", "typ", "kid"})
CLIENT_KINDS: Final = frozenset({"channel", "platform", "terminal", "operator", "service"})
_CLIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
ACR_RANK: Final[Mapping[str, int]] = {
    "urn:onecard:acr:client": 1,
    "urn:onecard:acr:real-name": 2,
    "urn:onecard:acr:real-person": 3,
}
"""Assurance from weak to strong, as ranks of `gateway.routes.ASSURANCE`."""


class TokenRefused(Unauthenticated):
    """The access token is not valid here."""


@dataclass(slots=True, kw_only=True)
class Verified:
    """What a verified token says, ready for use at every request that carries it."""

    citizen: UUID | None  # the person represented
    acting: UUID | None  # who acts for that person
    client: str
    kind: str  # kind of client
    scopes: frozenset[str]
    acr: str
    rank: int  # of the acr
    jti: str
    expires_s: int
    named: tuple[tuple[str, int], ...]  # every id whose revocation kills the token, with its issue time in ms
    person: str  # key of the person's quota; empty without a person
    checked: int = -1  # generation of the revocation copy that it was last compared with
    caller: Any = field(default=None, repr=False)  # the caller of the internal token, built at first use


class TokenVerifier:
    """Verifies tokens of one issuer for one audience, which are both the public URL."""

    def __init__(self, *, public_url: str, cid_keys: FieldKeys, now_s: Callable[[], float], remembered: int) -> None:
        self.keys: Mapping[str, PublicKey] = {}
        self._public_url = public_url
        self._cid_keys = cid_keys
        self._now_s = now_s
        self._remembered = remembered
        self._cache: dict[bytes, Verified] = {}
        self._es256 = jwt.get_algorithm_by_name("ES256")

    def use_keys(self, keys: Mapping[str, PublicKey]) -> None:
        """Take the keys that the issuer publishes now; tokens of a key that is gone are verified anew, and fail."""
        if {kid: key.to_jwk() for kid, key in keys.items()} != {kid: key.to_jwk() for kid, key in self.keys.items()}:
            self.keys = dict(keys)
            self._cache.clear()

    def recall(self, token: bytes) -> Verified | None:
        """Return what is remembered of a token; TokenRefused when it has expired meanwhile."""
        # A digest as the key: the memory of this process holds no token that somebody could use.
        digest = hashlib.sha256(token).digest()
        known = self._cache.get(digest)
        if known is not None and known.expires_s <= self._now_s():
            del self._cache[digest]
            raise TokenRefused("The access token has expired.")
        return known

    def verify(self, token: bytes) -> Verified:
        """Verify and remember; TokenRefused when it is not one of ours, or not valid now."""
        verified = self._verify(token, self._now_s())
        if len(self._cache) >= self._remembered:
            # The oldest entry goes: tokens live 10 minutes, so it is also about the next to expire.
            del self._cache[next(iter(self._cache))]
        self._cache[hashlib.sha256(token).digest()] = verified
        return verified

    def __len__(self) -> int:
        return len(self._cache)

    def _verify(self, token: bytes, now_s: float) -> Verified:
        if len(token) > TOKEN_MAX_BYTES:
            raise TokenRefused
        try:
            kid, payload = self._signed(token)
            claims = _object(payload)
            _check_meant_for(claims, self._public_url)
            _check_times(claims, now_s)
            return self._read(claims, kid)
        except (ValueError, KeyError, TypeError, RecursionError, jwt.PyJWTError, CryptoError) as wrong:
            raise TokenRefused from wrong

    def _signed(self, token: bytes) -> tuple[str, bytes]:
        """Return key id and claims of a token whose signature is right.

        Only PyJWT's ES256 is used, not its reading of the token: that is lenient about spelling and names that
        stand twice, and two readers of one token could take it differently.
        """
        signed, _, signature = token.rpartition(b".")
        first, _, second = signed.decode("ascii").partition(".")
        header = _object(from_base64url(first))
        if header.keys() != HEADER or header["alg"] != "ES256" or header["typ"] != "at+jwt":
            raise ValueError("not an ES256 at+jwt header")
        kid = _text(header["kid"])
        key = self.keys[kid]
        if key.alg != "ES256":
            raise ValueError("the key is for another algorithm")
        payload = from_base64url(second)
        if not self._es256.verify(signed, key.native, from_base64url(signature.decode("ascii"))):
            raise ValueError("the signature is another's")
        return kid, payload

    def _read(self, claims: Mapping[str, Any], kid: str) -> Verified:
        jti, issued_ms = _text(claims["jti"]), _whole(claims["iat_ms"])
        client, kind, acr = _client(claims["client_id"]), claims["kind"], claims["acr"]
        if kind not in CLIENT_KINDS or issued_ms // 1000 != claims["iat"]:
            raise ValueError("kind of client or issue time")
        rank = ACR_RANK[acr]
        citizen = self._citizen(claims.get("cid"), jti)
        if (citizen is None) != (rank == 1):
            raise ValueError("a person and an assurance of a person belong together")
        named = [(jti, issued_ms), (f"client:{client}", issued_ms), (f"kid:{kid}", issued_ms)]
        if citizen:
            named.append((f"person:{citizen}", issued_ms))
        named.extend(_lineage(claims["lin"]))
        acting = self._actors(claims.get("act"), jti, issued_ms, named)
        return Verified(
            citizen=citizen,
            acting=acting,
            client=client,
            kind=kind,
            scopes=frozenset(_words(claims["scope"])),
            acr=acr,
            rank=rank,
            jti=jti,
            expires_s=claims["exp"],
            named=tuple(named),
            person=str(acting or citizen or ""),
        )

    def _actors(self, act: Any, jti: str, issued_ms: int, named: list[tuple[str, int]]) -> UUID | None:
        """Read who acts; earlier actors (RFC 8693 section 4.1) can be revoked too but decide nothing else."""
        acting: UUID | None = None
        for depth in range(ACTORS_MAX + 1):
            if act is None:
                return acting
            if not isinstance(act, dict) or depth == ACTORS_MAX:
                break
            person = self._citizen(act["cid"], jti)
            if person is None:
                break
            acting = acting or person
            named.append((f"person:{person}", issued_ms))
            named.append((f"binding:{_text(act['binding'])}", issued_ms))
            if "client_id" in act:
                named.append((f"client:{_client(act['client_id'])}", issued_ms))
            act = act.get("act")
        raise ValueError("the chain of actors is not well-formed")

    def _citizen(self, sealed: Any, jti: str) -> UUID | None:
        """Open a `cid`: the id is sealed for this very token, so a cid moved to another token does not open."""
        if sealed is None or sealed == "":
            return None
        opened = self._cid_keys.open_text(sealed, jti.encode())
        return UUID(bytes=opened) if len(opened) == 16 else UUID(opened.decode("ascii"))


def _object(raw: bytes) -> dict[str, Any]:
    """Read one JSON object; ValueError for a name that stands twice, which two readers could take differently."""
    value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_meant_for(claims: Mapping[str, Any], public_url: str) -> None:
    audience = claims["aud"]
    if claims["iss"] != public_url or (audience != public_url and audience != [public_url]):
        raise ValueError("issuer or audience")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    issued, expires = _whole(claims["iat"]), _whole(claims["exp"])
    not_before = _whole(claims.get("nbf", issued))
    if issued > now_s + SKEW_S or not_before > now_s + SKEW_S:
        raise ValueError("not valid yet")
    if expires <= now_s or not 0 < expires - issued <= LIFETIME_MAX_S:
        raise ValueError("expired, or longer than any token of ours lives")


def _lineage(value: Any) -> list[tuple[str, int]]:
    if not isinstance(value, list) or len(value) > LINEAGE_MAX:
        raise ValueError("lin")
    ancestors: list[tuple[str, int]] = []
    for jti, issued_ms in value:
        ancestors.append((_text(jti), _whole(issued_ms)))
    return ancestors


def _words(value: Any) -> list[str]:
    if not isinstance(value, str) or len(value) > 4 * TEXT_MAX:
        raise ValueError("scope")
    return value.split(" ") if value else []


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or not value.isascii() or not value.isprintable():
        raise ValueError("not a short text")
    return value


def _client(value: Any) -> str:
    # Narrower than other texts: it is written into logs and metrics as it is.
    if not isinstance(value, str) or not _CLIENT.fullmatch(value):
        raise ValueError("client_id")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:  # bool is an int to isinstance
        raise ValueError("not a whole number")
    return value
