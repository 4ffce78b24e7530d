"""Sign-in with One Card: authorization code with PKCE (RFC 6749, 7636, 9207) and OpenID Connect, as discovery says.

Invariant: a token is taken only with an id token that the issuer signed for this client and this very sign-in; no
address outside the issuer's own origin is ever called or sent to, whatever a document says.
"""

import base64
import contextlib
import hashlib
import time
from typing import Any, Final
from urllib.parse import urlencode

import jwt

from ecard.calls import BUSY, Calls, Refused
from ecard.sessions import Session, SignIn
from ecard.settings import Credentials, Settings, read_credentials

SCOPES: Final = "openid profile card card.code card.loss use payments"
DISCOVERY: Final = "/.well-known/openid-configuration"
KEPT_S: Final = 300.0
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri")


class SignInFailed(Exception):
    """The browser came back with something that is no sign-in."""


class Issuer:
    """The authorization server behind the gateway."""

    def __init__(self, settings: Settings, calls: Calls) -> None:
        self._settings = settings
        self._calls = calls
        self._endpoints: dict[str, str] = {}
        self._read_at = 0.0
        self._keys: dict[str, jwt.PyJWK] = {}

    @property
    def _credentials(self) -> Credentials:
        return read_credentials(self._settings.clients)

    @property
    def _callback(self) -> str:
        return f"{self._settings.ecard_url}/callback"

    async def authorize_url(self, begun: SignIn, *, acr: str = "", anew: bool = False) -> str:
        """Where the browser goes; `acr` asks for at least that assurance, `anew` ignores who is signed in there."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._credentials.client_id,
            "redirect_uri": self._callback,
            "scope": SCOPES,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        asked |= {"acr_values": acr} if acr else {}
        asked |= {"prompt": "login"} if anew else {}
        return f"{await self._endpoint('authorization_endpoint')}?{urlencode(asked)}"

    def check_issuer(self, named: str) -> None:
        """Refuse an answer that another issuer sent the browser back with (RFC 9207); raises SignInFailed."""
        if named != self._settings.public_url:
            raise SignInFailed

    async def redeem(self, begun: SignIn, code: str) -> Session:
        """Swap the code for a token, and check the id token that comes with it; raises SignInFailed."""
        credentials = self._credentials
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": begun.verifier,
        }
        auth = (credentials.client_id, credentials.client_secret)
        answer = await self._calls.send("POST", await self._endpoint("token_endpoint"), data=form, auth=auth)
        if answer.status_code >= 500:
            raise Refused("unavailable", BUSY)
        if answer.status_code != 200:
            raise SignInFailed
        try:
            granted = answer.json()
            token, lasts_s, id_token = granted["access_token"], int(granted["expires_in"]), granted["id_token"]
        except (ValueError, KeyError, TypeError) as wrong:
            raise SignInFailed from wrong
        claims = await self._check_id_token(id_token, begun.nonce, credentials.client_id)
        now = int(time.time())
        return Session(
            token=token, subject=str(claims["sub"]), acr=str(claims["acr"]), since=now, expires_at=now + lasts_s
        )

    async def revoke(self, token: str) -> None:
        """Make a token worthless (RFC 7009); it dies within minutes in any case, so nobody waits for a second try."""
        with contextlib.suppress(Refused):
            credentials = self._credentials
            auth = (credentials.client_id, credentials.client_secret)
            url = await self._endpoint("revocation_endpoint")
            await self._calls.send("POST", url, data={"token": token}, auth=auth)

    async def _check_id_token(self, id_token: str, nonce: str, client_id: str) -> dict[str, Any]:
        try:
            kid = str(jwt.get_unverified_header(id_token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                id_token,
                await self._key(kid),
                algorithms=["ES256"],
                audience=client_id,
                issuer=self._settings.public_url,
                leeway=5,
                options={"require": ["iss", "aud", "sub", "exp", "iat", "nonce", "acr"]},
            )
        except jwt.PyJWTError as wrong:
            raise SignInFailed from wrong
        if claims["nonce"] != nonce:
            raise SignInFailed
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            answer = await self._calls.send("GET", await self._endpoint("jwks_uri"))
            if answer.status_code != 200:
                raise Refused("unavailable", BUSY)
            self._keys = {key["kid"]: jwt.PyJWK(key) for key in answer.json()["keys"]}
        if kid not in self._keys:
            raise SignInFailed
        return self._keys[kid]

    async def _endpoint(self, name: str) -> str:
        if not self._endpoints or time.monotonic() - self._read_at > KEPT_S:
            answer = await self._calls.send("GET", DISCOVERY)
            if answer.status_code != 200:
                raise Refused("unavailable", BUSY)
            self._endpoints, self._read_at = self._trusted(answer.json()), time.monotonic()
            self._keys = {}  # a key that the issuer has withdrawn is forgotten too
        return self._endpoints[name]

    def _trusted(self, document: Any) -> dict[str, str]:
        """Return the endpoints of a discovery document that speaks for our issuer and of nobody else."""
        issuer = self._settings.public_url
        found = {name: str(document.get(name, "")) for name in _ENDPOINTS}
        if document.get("issuer") != issuer or not all(url.startswith(f"{issuer}/") for url in found.values()):
            raise Refused("issuer-strange", BUSY)
        return found
