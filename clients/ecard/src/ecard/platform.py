"""One Card's public API, as this channel calls it: OAuth, the card, its codes and uses.

Every call has a deadline; what is refused carries the words to show.
"""

import base64
import hashlib
import time
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import jwt

from ecard.sessions import Session, SignIn
from ecard.settings import Credentials, Settings, read_credentials

SCOPES: Final = "openid profile card card.code card.loss use payments"
REAL_PERSON: Final = "urn:onecard:acr:real-person"
DEADLINE_S: Final = 8.0
BUSY: Final = {"zh": "系统繁忙,请稍后再试。", "en": "The service is busy. Please try again in a moment."}


class Refused(Exception):
    """The API said no; `show` says it to the citizen."""

    def __init__(self, code: str, show: dict[str, str]) -> None:
        super().__init__(code)
        self.code = code
        self.show = show


class SignInAgain(Exception):
    """The token is no longer good."""


class StrongerSignInNeeded(Exception):
    """The person has to look into the camera first (RFC 9470)."""


class Platform:
    """The API behind the gateway."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            base_url=settings.public_url, timeout=DEADLINE_S, transport=transport, trust_env=False
        )

    @property
    def credentials(self) -> Credentials:
        """This channel's credentials; raises NotRegisteredYet."""
        return read_credentials(self._settings.clients)

    @property
    def _callback(self) -> str:
        return f"{self._settings.ecard_url}/callback"

    def authorize_url(self, sign_in: SignIn, *, real_person: bool) -> str:
        """Where the browser goes to sign in (RFC 6749 section 4.1, RFC 7636)."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sign_in.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self.credentials.client_id,
            "redirect_uri": self._callback,
            "scope": SCOPES,
            "state": sign_in.state,
            "nonce": sign_in.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        if real_person:
            asked["acr_values"] = REAL_PERSON
        return f"{self._settings.public_url}/oauth/authorize?{urlencode(asked)}"

    async def redeem(self, sign_in: SignIn, code: str) -> Session:
        """Swap the code for a token, and check the id token that comes with it; raises SignInAgain."""
        credentials = self.credentials
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": sign_in.verifier,
        }
        auth = (credentials.client_id, credentials.client_secret)
        answer = await self._send("POST", "/oauth/token", data=form, auth=auth)
        if answer.status_code != 200:
            raise SignInAgain
        granted = answer.json()
        await self._check_id_token(granted.get("id_token", ""), sign_in, credentials.client_id)
        return Session(token=granted["access_token"], expires_at=int(time.time()) + int(granted["expires_in"]))

    async def _check_id_token(self, id_token: str, sign_in: SignIn, client_id: str) -> None:
        keys = (await self._send("GET", "/oauth/jwks")).json()["keys"]
        try:
            kid = jwt.get_unverified_header(id_token).get("kid")
            key = next(jwt.PyJWK(key) for key in keys if key["kid"] == kid)
            claims = jwt.decode(
                id_token, key, algorithms=["ES256"], audience=client_id, issuer=self._settings.public_url, leeway=5
            )
        except (jwt.PyJWTError, StopIteration) as wrong:
            raise SignInAgain from wrong
        if claims.get("nonce") != sign_in.nonce:
            raise SignInAgain

    async def cards(self, session: Session) -> list[dict[str, Any]]:
        """The citizen's cards, newest first."""
        items: list[dict[str, Any]] = (await self._call(session, "GET", "/v1/cards"))["items"]
        return items

    async def apply(self, session: Session, key: str) -> None:
        """Apply for a card (申领)."""
        await self._call(session, "POST", "/v1/cards", {}, key=key)

    async def step(self, session: Session, card: str, step: str, key: str) -> None:
        """Take one step with the card: `enabling`, `loss-report`, `recovery`."""
        body: Any = {} if step == "loss-report" else None
        await self._call(session, "POST", f"/v1/cards/{card}/{step}", body, key=key)

    async def code(self, session: Session, card: str) -> dict[str, Any]:
        """A fresh card code."""
        made: dict[str, Any] = await self._call(session, "POST", f"/v1/cards/{card}/codes")
        return made

    async def uses(self, session: Session) -> list[dict[str, Any]]:
        """The newest uses of the card."""
        items: list[dict[str, Any]] = (await self._call(session, "GET", "/v1/uses?limit=20"))["items"]
        return items

    async def scenarios(self, session: Session) -> dict[str, dict[str, str]]:
        """The names of the ways in which a card is used."""
        items = (await self._call(session, "GET", "/v1/scenarios"))["items"]
        return {item["scenario"]: item["name"] for item in items}

    async def _call(self, session: Session, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {session.token}"}
        if key:
            headers["Idempotency-Key"] = key
        answer = await self._send(method, path, json=body, headers=headers)
        if answer.is_success:
            return answer.json()
        raise self._refusal(answer)

    @staticmethod
    def _refusal(answer: httpx.Response) -> Exception:
        if answer.status_code == 401:
            return SignInAgain()
        try:
            problem = answer.json()
            code, show = str(problem["code"]), {name: str(problem["show"][name]) for name in ("zh", "en")}
        except (ValueError, KeyError, TypeError):
            return Refused("unavailable", BUSY)
        return StrongerSignInNeeded() if code == "insufficient-assurance" else Refused(code, show)

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._client.request(method, path, **options)
        except httpx.HTTPError as wrong:
            raise Refused("unavailable", BUSY) from wrong

    async def ready(self) -> str | None:
        """Readiness: this page serves as long as its process runs; what it needs it says on the page."""
        return None

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
