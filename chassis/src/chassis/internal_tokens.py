"""Internal tokens: how one deployable proves to another who asks for what, for 30 seconds.

Format, version 1: base64url(JSON) "." base64url(HMAC-SHA256 of the first part), keyed with a secret that only the two
ends of the edge know. Invariant: a token opens one operation of one service, and only on an edge of
`contracts.edges`. A keyed hash instead of a signature because the gateway makes one for every request.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.crypto.encoding import from_base64url, to_base64url
from chassis.errors import Unauthenticated
from contracts.edges import ANY_ROUTE, operations_between

HEADER = "Onecard-Token"
LIFETIME_MS = 30_000
_MAX_BYTES = 4096
_SKEW_MS = 2_000


class InternalTokenRefused(Unauthenticated):
    """The internal token is missing, expired, forged or meant for another operation."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who is behind a request, as the deployable that passes it on vouches for."""

    service: str  # the deployable that calls: "gateway", "scenario", …
    cell: str
    citizen: UUID | None  # the person represented; None when no person is involved
    acting: UUID | None  # who acts for that person, when it is somebody else (RFC 8693 `act`)
    client: str  # the registered client; empty on public routes
    kind: str  # kind of client: channel, platform, terminal, operator, service; empty on public routes
    scopes: frozenset[str]
    acr: str
    jti: str  # the access token that this came from; empty when there was none

    def citizen_or_refuse(self) -> UUID:
        """Return the person represented; refuses a caller without one."""
        if self.citizen is None:
            raise Unauthenticated("This operation needs a signed-in person.")
        return self.citizen


def encode(caller: Caller, *, callee: str, operation: str, kid: str, secret: bytes, now_ms: int) -> str:
    """Make the token for one call of `operation` of `callee`."""
    claims = {
        "v": 1,
        "kid": kid,
        "iss": caller.service,
        "aud": callee,
        "op": operation,
        "cell": caller.cell,
        "sub": str(caller.citizen or ""),
        "act": str(caller.acting or ""),
        "client": caller.client,
        "kind": caller.kind,
        "scope": " ".join(sorted(caller.scopes)),
        "acr": caller.acr,
        "jti": caller.jti,
        "iat": now_ms,
        "exp": now_ms + LIFETIME_MS,
    }
    body = to_base64url(json.dumps(claims, separators=(",", ":")).encode())
    return body + "." + to_base64url(hmac.digest(secret, body.encode(), hashlib.sha256))


def decode(
    token: str, *, callee: str, operation: str, cell: str, secrets: Mapping[str, Mapping[str, bytes]], now: datetime
) -> Caller:
    """Open a token that arrived at `operation` of `callee`; `secrets` is caller -> kid -> secret.

    Raises InternalTokenRefused, with the same words for every reason: a forger learns nothing.
    """
    try:
        return _open(token, callee, operation, cell, secrets, int(now.timestamp() * 1000))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise InternalTokenRefused from wrong


def _open(
    token: str, callee: str, operation: str, cell: str, secrets: Mapping[str, Mapping[str, bytes]], now_ms: int
) -> Caller:
    if len(token) > _MAX_BYTES:
        raise ValueError("too long")
    body, _, tag = token.partition(".")
    claims: dict[str, Any] = json.loads(from_base64url(body))
    service = claims["iss"]
    expected = hmac.digest(secrets[service][claims["kid"]], body.encode(), hashlib.sha256)
    if not hmac.compare_digest(expected, from_base64url(tag)):
        raise ValueError("wrong tag")
    allowed = operations_between(service, callee)
    if operation not in allowed and not allowed >= ANY_ROUTE:
        raise ValueError("no such edge")
    if (claims["v"], claims["aud"], claims["op"], claims["cell"]) != (1, callee, operation, cell):
        raise ValueError("meant for another operation")
    if not claims["iat"] - _SKEW_MS <= now_ms < min(claims["exp"], claims["iat"] + LIFETIME_MS):
        raise ValueError("expired")
    return Caller(
        service=service,
        cell=claims["cell"],
        citizen=UUID(claims["sub"]) if claims["sub"] else None,
        acting=UUID(claims["act"]) if claims["act"] else None,
        client=claims["client"],
        kind=claims["kind"],
        scopes=frozenset(claims["scope"].split()),
        acr=claims["acr"],
        jti=claims["jti"],
    )
