"""Signs and opens JWTs: access tokens (`at+jwt`, RFC 9068) and id tokens, with the keys of this process's folder.

Invariant: what is opened was signed by one of our keys under its own id with ES256, is spelt in its one canonical
way, and is an access token of this issuer; whoever asks cannot choose algorithm, key or type.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import jwt

from chassis.crypto.encoding import from_base64url
from chassis.crypto.errors import CryptoError
from chassis.crypto.fields import FieldKeys
from chassis.keys import KeyFolder
from identity_svc.tokens.domain.access_token import AccessToken, Ancestor

TOKEN_MAX_BYTES: Final = 8_192
_HEADER: Final = frozenset({"alg", "typ", "kid"})


class NotOurToken(Exception):
    """The text is not an access token that this issuer has signed."""


class TokenSmith:
    """Makes and opens the tokens of one issuer, which is the public URL and also the audience of our own API."""

    def __init__(self, keys: KeyFolder, public_url: str) -> None:
        self.issuer = public_url
        self._signing = keys.private("tokens")
        self._current = self._signing[max(self._signing)]
        self._cid = FieldKeys(keys.secrets("cid"))
        self._jws = jwt.PyJWS(algorithms=["ES256"])

    @property
    def kid(self) -> str:
        """The id of the key that signs now."""
        return self._current.kid

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys (RFC 7517): the one in use and those whose tokens may still live."""
        return {"keys": [key.public.to_jwk() for key in self._signing.values()]}

    def sign(self, token: AccessToken) -> str:
        """Write an access token; the citizen goes in, sealed for this very token, only towards our own API."""
        cid = None
        if token.citizen is not None and token.audience == self.issuer:
            cid = self._cid.seal_text(token.citizen.bytes, token.jti.encode())
        return self._sign("at+jwt", token.claims(self.issuer, cid))

    def sign_id_token(self, claims: Mapping[str, Any]) -> str:
        """Write an id token (OIDC Core section 2)."""
        return self._sign("JWT", {"iss": self.issuer, **claims})

    def open(self, text: str) -> tuple[AccessToken, str]:
        """Return what an access token says and the id of its key, whether it has expired or not.

        Raises NotOurToken. `citizen` is None for other audiences than our own API: those tokens do not carry it.
        """
        try:
            if len(text) > TOKEN_MAX_BYTES:
                raise ValueError("too long")
            kid = self._kid_of(text)
            payload = self._jws.decode(text, self._signing[kid].public.native, algorithms=["ES256"])
            claims = _object(payload)
            if claims["iss"] != self.issuer:
                raise ValueError("another issuer")
            return self._read(claims), kid
        except (ValueError, KeyError, TypeError, RecursionError, jwt.PyJWTError, CryptoError) as wrong:
            raise NotOurToken from wrong

    def _sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {"typ": typ, "kid": self._current.kid}
        return self._jws.encode(payload, self._current.native, algorithm="ES256", headers=headers)

    def _kid_of(self, text: str) -> str:
        header, payload, signature = text.split(".")
        read = _object(from_base64url(header))
        from_base64url(payload)
        if len(from_base64url(signature)) != 64:
            raise ValueError("not an ES256 signature")
        if read.keys() != _HEADER or (read["alg"], read["typ"]) != ("ES256", "at+jwt"):
            raise ValueError("not an access token's header")
        return str(read["kid"])

    def _read(self, claims: Mapping[str, Any]) -> AccessToken:
        jti = claims["jti"]
        citizen = UUID(bytes=self._cid.open_text(claims["cid"], jti.encode())) if "cid" in claims else None
        return AccessToken(
            audience=claims["aud"],
            subject=claims["sub"],
            citizen=citizen,
            client_id=claims["client_id"],
            kind=claims["kind"],
            scopes=frozenset(claims["scope"].split()),
            acr=claims["acr"],
            amr=tuple(claims.get("amr", ())),
            auth_time=claims.get("auth_time"),
            jti=jti,
            issued_ms=claims["iat_ms"],
            expires_s=claims["exp"],
            lineage=tuple(Ancestor(jti, issued_ms) for jti, issued_ms in claims["lin"]),
            act=claims.get("act"),
        )


def _object(raw: bytes) -> dict[str, Any]:
    value = json.loads(raw, object_pairs_hook=_once)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value
