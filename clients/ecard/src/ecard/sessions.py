"""The session of one phone, sealed into its own cookie: nothing is kept here, so a restart signs nobody out.

Sealed cookies rather than a store: a second process needs nothing shared but the keys, and what a lost cookie is worth
ends with its token, ten minutes at most. Invariant: only this page's keys open a cookie, and a cookie of one kind does
not open as another.
"""

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from chassis.crypto.errors import CryptoError
from chassis.crypto.fields import FieldKeys

SESSION_COOKIE = "onecard_session"
SIGN_IN_COOKIE = "onecard_sign_in"
LEFT_COOKIE = "onecard_left"  # this phone signed out: the next sign-in is anew, whoever the issuer remembers
LIFE_S = {SESSION_COOKIE: 8 * 3600, SIGN_IN_COOKIE: 1200, LEFT_COOKIE: 8 * 3600}
SPARE_S = 20  # a token is renewed this long before its end


@dataclass(frozen=True, kw_only=True)
class Session:
    """A signed-in citizen at this channel."""

    token: str  # the access token
    subject: str  # the citizen, as this channel knows them
    acr: str  # how strongly the citizen was verified
    since: int  # when the token came, in seconds
    expires_at: int  # when it ends
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def is_fresh(self, now: float) -> bool:
        """Whether the token is good for another call."""
        return now < self.expires_at - SPARE_S


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A sign-in that is under way at the issuer."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    then: str = "/"
    # What the citizen pressed when a new token or a face check was needed first; done on the way back, once.
    step: str = ""
    key: str = ""
    subject: str = ""  # for whom: nobody else's card is touched


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
