"""The page in a test: its real app in front of a scripted API, behind an httpx transport.

`ScriptedApi` answers as the gateway documents it and notes every call; the journeys show the page on a real cell.
"""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from chassis.crypto.signing import PrivateKey
from chassis.testing.keys import write_secret
from ecard.app import create_app
from ecard.sessions import Sealer
from ecard.settings import Settings

ISSUER = "http://localhost:8080"
PAGE = "http://localhost:8090"
CARD = "0199a000-0000-7000-8000-000000000001"
REAL_NAME, REAL_PERSON = "urn:onecard:acr:real-name", "urn:onecard:acr:real-person"
CODE = "6BFOXN*TS0BI$ZD-PHQ7I9AD66V5B22CH9M9ESI9XBHXK-%69LQOGI.*V76GCV4*XUA2P"


@dataclass
class ScriptedApi:
    """One citizen's cell; a test changes what it holds and reads what it was asked."""

    state: str = "active"
    lasts_s: int = 600
    subject: str = "citizen-1"
    acr: str = REAL_NAME
    claims: dict[str, Any] = field(default_factory=dict)  # instead of those of the id token
    discovery: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, httpx.Response | Exception] = field(
        default_factory=dict
    )  # "POST /v1/cards" -> instead of the usual one
    uses: list[dict[str, Any]] = field(default_factory=list)
    calls: list[httpx.Request] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)  # the last authorization request
    signing: PrivateKey = field(default_factory=lambda: PrivateKey.generate("key-1"))
    published: PrivateKey | None = None  # instead of the key that signs

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        what = f"{request.method} {request.url.path}"
        if what in self.answers:
            if isinstance(answer := self.answers[what], Exception):
                raise answer
            return answer
        if what == "POST /oauth/token":
            return self._redeem(parse_qs(request.content.decode()))
        if request.method == "POST" and request.url.path.endswith(("/enabling", "/recovery", "/loss-report")):
            return httpx.Response(200, json=self._card())
        return httpx.Response(200, json=self._document(what))

    def _document(self, what: str) -> Any:
        usual: dict[str, Any] = {
            "GET /.well-known/openid-configuration": {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/oauth/authorize",
                "token_endpoint": f"{ISSUER}/oauth/token",
                "revocation_endpoint": f"{ISSUER}/oauth/revoke",
                "jwks_uri": f"{ISSUER}/oauth/jwks",
            }
            | self.discovery,
            "GET /oauth/jwks": {"keys": [(self.published or self.signing).public.to_jwk()]},
            "POST /oauth/revoke": {},
            "GET /v1/cards": {"items": [self._card()] if self.state else []},
            "POST /v1/cards": self._card(),
            f"POST /v1/cards/{CARD}/codes": {
                "code": CODE,
                "issued_at": "2026-11-24T04:00:00Z",
                "expires_at": "2026-11-24T04:01:00Z",
            },
            "GET /v1/uses": {"items": self.uses},
            "GET /v1/scenarios": {
                "items": [{"scenario": "canteen-meal", "name": {"zh": "食堂就餐", "en": "Canteen meal"}}]
            },
        }
        return usual[what]

    def _card(self) -> dict[str, Any]:
        return {"card": CARD, "state": self.state, "level": 2, "changed_at": "2026-11-24T04:00:00Z"}

    def _redeem(self, form: dict[str, list[str]]) -> httpx.Response:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"][0].encode()).digest())
        assert challenge.rstrip(b"=").decode() == self.asked["code_challenge"]
        assert form["redirect_uri"] == [self.asked["redirect_uri"]] == [f"{PAGE}/callback"]
        now = int(time.time())
        told = {"iss": ISSUER, "aud": "sbx_ecard", "sub": self.subject, "iat": now, "exp": now + 600}
        told |= {"nonce": self.asked["nonce"], "acr": self.acr} | self.claims
        id_token = jwt.encode(told, self.signing.native, "ES256", {"kid": self.signing.kid})
        return httpx.Response(
            200,
            json={"access_token": "a-token", "token_type": "Bearer", "expires_in": self.lasts_s, "id_token": id_token},
        )

    def steps(self, ending: str) -> list[str]:
        """The Idempotency-Key of each call whose path ends so."""
        return [call.headers["Idempotency-Key"] for call in self.calls if call.url.path.endswith(ending)]


class Phone:
    """A browser without script on this page."""

    def __init__(self, http: httpx.AsyncClient, api: ScriptedApi, sealer: Sealer) -> None:
        self.http = http
        self.api = api
        self.sealer = sealer

    async def go_to_issuer(self, answer: httpx.Response) -> dict[str, str]:
        """Follow an answer as far as the issuer; returns what it is asked there."""
        while answer.headers.get("location", "").startswith("/"):
            answer = await self.http.get(answer.headers["location"])
        assert answer.status_code == 303, answer.text
        target = urlsplit(answer.headers["location"])
        assert target._replace(query="").geturl() == f"{ISSUER}/oauth/authorize"
        self.api.asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        return self.api.asked

    async def come_back(self, **changed: str) -> httpx.Response:
        """The issuer sends the browser back."""
        back = {"code": "a-code", "state": self.api.asked["state"], "iss": ISSUER} | changed
        return await self.http.get("/callback", params=back)

    async def sign_in(self, then: str = "/") -> httpx.Response:
        """Sign in and open the page that was wanted."""
        await self.go_to_issuer(await self.http.get("/sign-in", params={"then": then}))
        answer = await self.come_back()
        assert (answer.status_code, answer.headers["location"]) == (303, then)
        return await self.http.get(then)

    def age_session(self, seconds: int) -> None:
        """Let time pass for the session in this browser's cookie."""
        sealed = self.http.cookies["onecard_session"]
        session = self.sealer.session(sealed)
        assert session
        older = replace(session, since=session.since - seconds, expires_at=session.expires_at - seconds)
        self.http.cookies.set("onecard_session", self.sealer.seal("onecard_session", older), "localhost.local", "/")

    async def press(self, page: httpx.Response, path: str, **changed: str) -> httpx.Response:
        """Send the form of a page that leads there."""
        form = page.text.split(f'action="{path}"')[1].split("</form>")[0]
        fields = {
            name: form.split(f'name="{name}" value="')[1].split('"')[0]
            for name in ("csrf", "key")
            if f'name="{name}"' in form
        }
        return await self.http.post(path, data=fields | changed)


@pytest.fixture
def api() -> ScriptedApi:
    return ScriptedApi()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_secret(tmp_path / "keys", "field")
    (tmp_path / "clients").mkdir()
    written = {"client_id": "sbx_ecard", "client_secret": "sbx_secret"}
    (tmp_path / "clients" / "ecard.json").write_text(json.dumps(written))
    return Settings(
        public_url=ISSUER,
        ecard_url=PAGE,
        port=1,
        health_port=1,
        keys=tmp_path / "keys",
        clients=tmp_path / "clients",
    )


@pytest.fixture
async def open_phone(settings: Settings, api: ScriptedApi) -> AsyncIterator[Callable[[], Phone]]:
    """`open_phone()` starts the page anew, as after a restart, and gives a browser without cookies."""
    opened: list[httpx.AsyncClient] = []

    def phone() -> Phone:
        app = create_app(settings, httpx.MockTransport(api))
        # What goes wrong inside is answered, as a real server would, and not thrown at the browser.
        door = httpx.ASGITransport(app, raise_app_exceptions=False)
        opened.append(httpx.AsyncClient(transport=door, base_url=PAGE))
        return Phone(opened[-1], api, app.state.sealer)

    yield phone
    for http in opened:
        await http.aclose()


@pytest.fixture
def phone(open_phone: Callable[[], Phone]) -> Phone:
    return open_phone()
