"""The session of one phone, sealed into its own cookie: nothing is kept here, so a restart signs nobody out.

Invariant: only this process's keys open a cookie, and a cookie of one kind does not open as another.
"""

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from chassis.crypto.errors import CryptoError
from chassis.crypto.fields import FieldKeys

SESSION_COOKIE = "onecard_session"
SIGN_IN_COOKIE = "onecard_sign_in"
LIFE_S = {SESSION_COOKIE: 8 * 3600, SIGN_IN_COOKIE: 600}


@dataclass(frozen=True, kw_only=True)
class Session:
    """A signed-in citizen at this channel."""

    token: str  # the access token
    expires_at: int  # when the token does, in seconds
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(16))


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A sign-in that is under way at the issuer."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    then: str = "/"


class Sealer:
    """Seals sessions into cookies and opens them."""

    def __init__(self, keys: FieldKeys) -> None:
        self._keys = keys

    def seal(self, name: str, value: Session | SignIn) -> str:
        """Return the cookie's text."""
        return self._keys.seal_text(json.dumps(asdict(value)).encode(), name.encode())

    def session(self, text: str | None) -> Session | None:
        """Open a session's cookie; None for anything else."""
        found = self._open(SESSION_COOKIE, text)
        return Session(**found) if found else None

    def sign_in(self, text: str | None) -> SignIn | None:
        """Open a sign-in's cookie; None for anything else."""
        found = self._open(SIGN_IN_COOKIE, text)
        return SignIn(**found) if found else None

    def _open(self, name: str, text: str | None) -> dict[str, Any] | None:
        if not text or len(text) > 8192:
            return None
        try:
            opened: dict[str, Any] = json.loads(self._keys.open_text(text, name.encode()))
        except (CryptoError, ValueError):
            return None
        return opened
