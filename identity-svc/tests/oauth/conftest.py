"""Clients and a browser for the tests of sign-in and tokens: forms, cookies and redirects as a real one sends them."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from sqlalchemy import event

from chassis.testing.service import PUBLIC_URL, caller
from simulators.people import Person

from ..conftest import IdentityService, StartIdentity

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "https://channel.example/back"
TAX = "https://tax.example/api"
POOL = "https://pool.example/api"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
REAL_NAME = "urn:onecard:acr:real-name"
REAL_PERSON = "urn:onecard:acr:real-person"


@dataclass(frozen=True)
class Credentials:
    """A registered client, as it proves itself."""

    client_id: str
    secret: str

    @property
    def basic(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()}

    @property
    def post(self) -> dict[str, str]:
        """The same in a form."""
        return {"client_id": self.client_id, "client_secret": self.secret}


def claims(token: str) -> dict[str, Any]:
    """Read a token without verifying it."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


@dataclass
class Browser:
    """Holds cookies and sends the forms that it was shown."""

    oauth: "OAuth"
    network: str = "192.0.2.7"
    cookies: dict[str, str] = field(default_factory=dict)
    page: httpx.Response | None = None

    async def send(self, method: str, path: str, form: dict[str, str] | None = None) -> httpx.Response:
        """Send one request, keep what cookies come back, do not follow redirects."""
        headers = {"Onecard-Network": self.network}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        options: dict[str, Any] = {}
        if form is not None:
            options["content"] = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = await self.oauth.identity.api.call(method, path, headers=headers, **options)
        self.cookies |= {name: value for name, value in answer.cookies.items() if value}
        self.oauth.identity.api.client.cookies.clear()
        self.page = answer
        return answer

    async def open(self, client: Credentials, **other: str | None) -> httpx.Response:
        """Open the authorization address as a client would write it; None leaves a parameter out."""
        return await self.send("GET", "/oauth/authorize?" + urlencode(authorization(client, **other)))

    async def step(self, step: str, **values: str) -> httpx.Response:
        """Send the form of the page shown."""
        assert self.page is not None
        found = re.search(r'name="sign_in" value="([^"]+)"', self.page.text)
        assert found, self.page.text
        return await self.send("POST", "/oauth/authorize", {"sign_in": found[1], "step": step} | values)

    async def enter_code_for(self, person: Person) -> httpx.Response:
        """Enter number and code of a person who is enrolled."""
        before = len(await self.oauth.identity.inbox(person.phone))
        assert (await self.step("number", document_number=person.document_number)).status_code == 200
        code = (await self.oauth.identity.codes(person.phone, at_least=before + 1))[0]
        return await self.step("code", code=code)

    async def look(self, look: str) -> httpx.Response:
        """Go to the face check that the page links to, and come back from it."""
        assert self.page is not None
        found = re.search(r'class="action" href="([^"]+)"', self.page.text)
        assert found, self.page.text
        answer = await self.oauth.identity.world.post(unescape(found[1]), data={"look": look})
        assert answer.status_code == 303
        back = urlsplit(answer.headers["location"])
        assert f"{back.scheme}://{back.netloc}" == PUBLIC_URL
        return await self.send("GET", f"{back.path}?{back.query}")


def authorization(client: Credentials, **other: str | None) -> dict[str, str]:
    """Return the parameters of an authorization request."""
    values: dict[str, str | None] = {
        "client_id": client.client_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "openid card",
        "state": "s-1",
        "nonce": "n-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (values | other).items() if value is not None}


def answer_of(response: httpx.Response) -> dict[str, str]:
    """Read what a redirect tells the client."""
    assert response.status_code == 303, response.text
    assert response.headers["location"].startswith(BACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


@dataclass
class OAuth:
    """identity-svc with some clients, spoken to as they speak."""

    identity: IdentityService

    async def client(self, kind: str, scopes: str, **other: Any) -> Credentials:
        """Register a client as an operator does."""
        body = {"name": f"A {kind}", "kind": kind, "scopes": scopes.split()} | other
        if kind in ("channel", "platform"):
            body.setdefault("redirect_uris", [BACK])
        operator = caller(client="first-operator", kind="operator", scopes="clients.manage", acr="")
        answer = await self.identity.api.call("POST", "/v1/clients", body, by=operator, key=uuid4().hex)
        assert answer.status_code == 201, answer.text
        return Credentials(answer.json()["client_id"], answer.json()["client_secret"])

    async def policy(self, client: Credentials, audience: str, scopes: str, **other: Any) -> httpx.Response:
        """Let a client swap tokens for an audience."""
        body = {"client_id": client.client_id, "audience": audience, "scopes": scopes.split(), "max_lifetime_s": 300}
        operator = caller(client="first-operator", kind="operator", scopes="policies.manage", acr="")
        return await self.identity.api.call("POST", "/v1/exchange-policies", body | other, by=operator, key=uuid4().hex)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form."""
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return await self.identity.api.call("POST", path, headers=sent, content=urlencode(form))

    async def redeem(self, client: Credentials, code: str, **other: str) -> httpx.Response:
        """Redeem a code at the token endpoint."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return await self.post("/oauth/token", form | other, **client.basic)

    async def own_token(self, client: Credentials, **form: str) -> httpx.Response:
        """Ask for a token of the client's own."""
        return await self.post("/oauth/token", {"grant_type": "client_credentials"} | form, **client.basic)

    async def exchange(self, client: Credentials, token: str, audience: str = TAX, **other: str) -> httpx.Response:
        """Exchange a token."""
        form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
        return await self.post("/oauth/token", form | {"audience": audience} | other, **client.basic)

    async def introspect(self, client: Credentials, token: str) -> dict[str, Any]:
        """Ask what a token is worth."""
        answer = await self.post("/oauth/introspect", {"token": token}, **client.basic)
        assert answer.status_code == 200
        return dict(answer.json())

    async def revoke(self, client: Credentials, token: str) -> None:
        """Make a token worthless."""
        answer = await self.post("/oauth/revoke", {"token": token}, **client.basic)
        assert (answer.status_code, answer.text) == (200, "")

    async def sign_in(self, client: Credentials, person: Person, browser: Browser | None = None, **other: str) -> str:
        """Sign a person in and return the access token."""
        browser = browser or Browser(self)
        await browser.open(client, **other)
        answer = await browser.enter_code_for(person)
        if answer.status_code == 200:
            answer = await browser.look("self")
        redeemed = await self.redeem(client, answer_of(answer)["code"])
        assert redeemed.status_code == 200, redeemed.text
        return str(redeemed.json()["access_token"])

    async def revoked(self, name: str) -> None:
        """Revoke an id, as the part of the service does that knows why."""
        runtime, desk = self.identity.api.app.state.runtime, self.identity.api.app.state.token_desk
        async with runtime.workshop.begin() as work:
            await desk.revoke_from_now(work, name)

    async def denials(self) -> list[str]:
        """Return the reasons of all refusals in the journal."""
        rows = await self.identity.rows("SELECT convert_from(body, 'UTF8') AS body FROM journal_row WHERE kind = 'd'")
        return [str(row.body) for row in rows]


@pytest.fixture
async def oauth(start_identity: StartIdentity) -> AsyncIterator[OAuth]:
    async with start_identity() as identity:
        yield OAuth(identity)


@pytest.fixture
def browser(oauth: OAuth) -> Browser:
    return Browser(oauth)


@asynccontextmanager
async def counting_statements(oauth: OAuth) -> AsyncIterator[list[str]]:
    """Collect the statements that the service sends."""
    engine = oauth.identity.api.app.state.runtime.engine.sync_engine
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def citizen_of(oauth: OAuth, token: str) -> UUID:
    """Open the sealed citizen of a token for our own API."""
    token_of, _ = oauth.identity.api.app.state.token_desk.smith.open(token)
    assert token_of.citizen is not None
    return token_of.citizen
