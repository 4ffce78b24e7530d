"""The access token (RFC 9068) as one value, its claims, and every id whose revocation kills it.

Invariant: `names` holds each id that the token speaks of, with the moment from which a revocation concerns it; a
token that names an ancestor cannot outlive it.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from identity_svc.tokens.domain.assurance import CLIENT

OWN_LIFETIME_S: Final = 600
OUTSIDE_LIFETIME_S: Final = 300
LINEAGE_MAX: Final = 8
"""Ancestors of a token; past them an exchange is refused, so a token stays small and its history whole."""


@dataclass(frozen=True)
class Ancestor:
    """A token from which another was made."""

    jti: str
    issued_ms: int


@dataclass(frozen=True, kw_only=True)
class AccessToken:
    """What one access token says."""

    audience: str  # exactly one
    subject: str  # pairwise by sector; the client's id when no person is involved
    citizen: UUID | None  # sealed inside `cid` for our own API, kept in the store for other audiences
    client_id: str
    kind: str
    scopes: frozenset[str]
    acr: str
    amr: tuple[str, ...]  # RFC 8176; empty without a person
    auth_time: int | None  # seconds; None without a person
    jti: str
    issued_ms: int
    expires_s: int
    lineage: tuple[Ancestor, ...] = ()  # nearest first
    act: Mapping[str, Any] | None = None  # who acts (RFC 8693 section 4.1), nested

    def claims(self, issuer: str, cid: str | None) -> dict[str, Any]:
        """Return the claims as they are signed; `cid` is the sealed citizen, for our own API only."""
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": self.audience,
            "sub": self.subject,
            "client_id": self.client_id,
            "kind": self.kind,
            "scope": " ".join(sorted(self.scopes)),
            "acr": self.acr,
            "jti": self.jti,
            "iat": self.issued_ms // 1000,
            "iat_ms": self.issued_ms,
            "exp": self.expires_s,
            "lin": [[ancestor.jti, ancestor.issued_ms] for ancestor in self.lineage],
        }
        if self.acr != CLIENT:
            claims |= {"amr": list(self.amr), "auth_time": self.auth_time}
        if cid is not None:
            claims["cid"] = cid
        if self.act is not None:
            claims["act"] = dict(self.act)
        return claims

    def names(self, kid: str) -> tuple[tuple[str, int], ...]:
        """Return every id that a revocation may name, with the time of issue that it is compared with."""
        named = [(self.jti, self.issued_ms), (f"client:{self.client_id}", self.issued_ms)]
        named.append((f"kid:{kid}", self.issued_ms))
        if self.citizen is not None:
            named.append((f"person:{self.citizen}", self.issued_ms))
        for actor in actors(self.act):
            if "client_id" in actor:
                named.append((f"client:{actor['client_id']}", self.issued_ms))
            if "binding" in actor:
                named.append((f"binding:{actor['binding']}", self.issued_ms))
        named.extend((ancestor.jti, ancestor.issued_ms) for ancestor in self.lineage)
        return tuple(named)


def actors(act: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return who acts now and who acted before, the present one first."""
    line: list[Mapping[str, Any]] = []
    while isinstance(act, Mapping) and len(line) <= LINEAGE_MAX:
        line.append(act)
        act = act.get("act")
    return line


def shown_actors(act: Mapping[str, Any]) -> dict[str, Any]:
    """Return `act` as an introspecting client may see it: the whole chain, without what is sealed for the gateway."""
    shown = {name: value for name, value in act.items() if name not in {"cid", "act"}}
    if isinstance(act.get("act"), Mapping):
        shown["act"] = shown_actors(act["act"])
    return shown


def pairwise_subject(secret: bytes, citizen: UUID, sector: str) -> str:
    """Return the name under which one sector, and no other, knows a person (OIDC Core section 8.1)."""
    message = b"subject\0" + sector.encode() + b"\0" + citizen.bytes
    return urlsafe_b64encode(hmac.digest(secret, message, hashlib.sha256)).rstrip(b"=").decode()
