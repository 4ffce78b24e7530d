"""The public API as its users call it: a registered client, and a person with a phone and a browser.

Nothing here has a private door: people enrol, read their text messages, fill in the login page and look into the
camera; clients use OAuth. Every wait has a bound.
"""

import base64
import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from onecard_local.pages import Page, read_page

REAL_NAME = "urn:onecard:acr:real-name"
REAL_PERSON = "urn:onecard:acr:real-person"
_HOPS_MAX = 12
_SIX_DIGITS = re.compile(r"(?<![0-9])([0-9]{6})(?![0-9])")

Found = TypeVar("Found")


class Unexpected(Exception):
    """Something was not answered as the documents say; the message is one sentence."""


def wait_for(look: Callable[[], Found | None], *, what: str, within_s: float = 15.0) -> Found:
    """Look until something is found; raises Unexpected when that takes longer than `within_s`."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        pause.wait(0.1)
    raise Unexpected(f"{what} did not come within {within_s:.0f} s.")


@dataclass(frozen=True)
class Credentials:
    """What a client was given when it was registered."""

    client_id: str
    client_secret: str


class ApiClient:
    """A registered client; `token` is whatever the last grant gave it."""

    def __init__(self, public_url: str, credentials: Credentials, http: httpx.Client | None = None) -> None:
        self.public_url = public_url
        self.credentials = credentials
        self.http = http or httpx.Client(timeout=10.0, trust_env=False)

    def grant(self, **form: str) -> dict[str, Any]:
        """Ask the token endpoint; raises Unexpected for a refusal."""
        answer = self.http.post(
            f"{self.public_url}/oauth/token",
            data=form,
            auth=(self.credentials.client_id, self.credentials.client_secret),
        )
        if answer.status_code != 200:
            raise Unexpected(f"The token endpoint answered {answer.status_code}: {answer.text[:300]}")
        granted: dict[str, Any] = answer.json()
        return granted

    def own_token(self, scope: str) -> str:
        """Return a token of the client's own (client credentials)."""
        return str(self.grant(grant_type="client_credentials", scope=scope)["access_token"])

    def call(
        self, method: str, path: str, body: Any = None, *, token: str, key: str | None = None, **options: Any
    ) -> httpx.Response:
        """Call the API with a token, and an Idempotency-Key for what creates or moves something."""
        headers = {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.http.request(method, self.public_url + path, json=body, headers=headers, **options)

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()


def expect(answer: httpx.Response, *statuses: int) -> Any:
    """Return the answer's JSON; raises Unexpected unless it has one of the statuses."""
    if answer.status_code not in statuses:
        raise Unexpected(
            f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}"
        )
    return answer.json() if answer.content else None


@dataclass(frozen=True, kw_only=True)
class Person:
    """A synthetic citizen, as the population register simulator knows them."""

    name: str
    document_number: str
    phone: str


class Citizen:
    """A person with a phone and a browser."""

    def __init__(self, public_url: str, outside: dict[str, str], person: Person) -> None:
        self.person = person
        self._public_url = public_url
        self._outside = outside
        self._browser = httpx.Client(timeout=10.0, trust_env=False, follow_redirects=False)

    def enrol(self, key: str) -> None:
        """Enrol (实名认证): name, number and phone, then the code from the text message."""
        seen = self._messages()
        body = {
            "document_number": self.person.document_number,
            "name": self.person.name,
            "phone": self.person.phone,
        }
        url = f"{self._public_url}/v1/enrolments"
        enrolment = expect(self._browser.post(url, json=body, headers={"Idempotency-Key": key}), 202)["enrolment_id"]
        answer = self._browser.post(f"{url}/{enrolment}/completion", json={"code": self._new_code(seen)})
        expect(answer, 200)

    def sign_in(self, client: ApiClient, redirect_uri: str, scope: str, *, acr: str = REAL_NAME) -> dict[str, Any]:
        """Sign in at a client with the authorization code grant and PKCE; returns the token endpoint's answer."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": client.credentials.client_id,
            "redirect_uri": redirect_uri,
            "scope": scope,
            "state": state,
            "nonce": secrets.token_urlsafe(16),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "acr_values": acr,
        }
        seen = self._messages()
        answer = self._browser.get(f"{self._public_url}/oauth/authorize", params=asked)
        came_back = self._follow(answer, redirect_uri, seen)
        if came_back.get("state") != [state] or "code" not in came_back:
            raise Unexpected(f"The sign-in came back without a code: {came_back}")
        return client.grant(
            grant_type="authorization_code",
            code=came_back["code"][0],
            redirect_uri=redirect_uri,
            code_verifier=verifier,
        )

    def close(self) -> None:
        """Close the browser."""
        self._browser.close()

    def _follow(self, answer: httpx.Response, redirect_uri: str, seen: set[str]) -> dict[str, list[str]]:
        """Go where the pages lead, filling in what they ask for, until they lead back to the client."""
        for _ in range(_HOPS_MAX):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(redirect_uri):
                    return parse_qs(urlsplit(target).query)
                answer = self._browser.get(target)
                continue
            answer = self._fill_in(answer, read_page(answer.text), seen)
        raise Unexpected(f"The sign-in did not end after {_HOPS_MAX} pages.")

    def _fill_in(self, answer: httpx.Response, page: Page, seen: set[str]) -> httpx.Response:
        if form := page.form_with("document_number"):
            return self._send(answer, form.action, form.fields | {"document_number": self.person.document_number})
        if form := page.form_with("code"):
            return self._send(answer, form.action, form.fields | {"code": self._new_code(seen)})
        if form := page.form_with("look", "self"):
            return self._send(answer, form.action, form.fields | {"look": "self"})
        for link in page.links:
            if link.startswith(self._outside["face"]) or "/face/" in link:
                return self._browser.get(link)
        raise Unexpected(f"A page of the sign-in asks for something unknown: {page.text[:200]}")

    def _send(self, answer: httpx.Response, action: str, fields: dict[str, str]) -> httpx.Response:
        return self._browser.post(urljoin(str(answer.url), action), data=fields)

    def _messages(self) -> set[str]:
        return {message["message_id"] for message in self._inbox()}

    def _inbox(self) -> list[dict[str, Any]]:
        url = f"{self._outside['sms']}/inbox/{self.person.phone}"
        messages: list[dict[str, Any]] = expect(self._browser.get(url, headers={"Accept": "application/json"}), 200)[
            "messages"
        ]
        return messages

    def _new_code(self, seen: set[str]) -> str:
        """Wait for a text message that was not there before and return its code."""

        def look() -> str | None:
            for message in self._inbox():
                if message["message_id"] not in seen and (found := _SIX_DIGITS.search(message["text"])):
                    seen.add(message["message_id"])
                    return found[1]
            return None

        return wait_for(look, what="The text message with the code")
