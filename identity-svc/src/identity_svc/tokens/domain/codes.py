"""Authorization codes (RFC 6749 section 4.1) with PKCE S256 (RFC 7636): what one stands for, and who may redeem it.

Invariant: a code is worth a token once, for the client, address and verifier that it was made for, and only young.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from identity_svc.tokens.domain.access_token import Ancestor
from identity_svc.tokens.domain.refusals import InvalidGrant

CODE_LIFETIME: Final = timedelta(seconds=60)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class AuthorizationCode:
    """What a citizen has allowed one client, until it is redeemed."""

    client_id: str
    redirect_uri: str
    challenge: str  # base64url of the sha256 of the verifier
    nonce: str | None
    scopes: frozenset[str]
    citizen: UUID
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    spent_on: Ancestor | None = None  # the token that the first use issued
    spent: bool = False

    @property
    def names(self) -> tuple[tuple[str, int], ...]:
        """Return whose revocation makes the code worthless, with the time that it is compared with."""
        created_ms = int(self.created_at.timestamp() * 1000)
        return (f"person:{self.citizen}", created_ms), (f"client:{self.client_id}", created_ms)


def is_challenge(text: str) -> bool:
    """Whether a text can be the base64url of a sha256."""
    return _CHALLENGE.fullmatch(text) is not None


def check_redeemable(
    code: AuthorizationCode, *, client_id: str, redirect_uri: str, verifier: str, now: datetime
) -> None:
    """Return when these bring the code to its end; raises InvalidGrant otherwise."""
    if code.client_id != client_id:
        raise InvalidGrant("The code was not made for this client.")
    if now >= code.created_at + CODE_LIFETIME:
        raise InvalidGrant("The code has expired.")
    if code.redirect_uri != redirect_uri:
        raise InvalidGrant("The redirect_uri is not the one of the authorization request.")
    if not _VERIFIER.fullmatch(verifier):
        raise InvalidGrant("The code_verifier is 43 to 128 letters, digits, '-', '.', '_' or '~'.")
    digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if not hmac.compare_digest(digest, code.challenge):
        raise InvalidGrant("The code_verifier does not belong to the code_challenge.")
