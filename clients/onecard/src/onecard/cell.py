"""The public API of one cell, asked as any registered client asks it.

Invariant: the client's secret goes only to the token endpoint of a server that names itself as it was addressed; a
call has a deadline over all its attempts, and a POST repeats its Idempotency-Key.
"""

import json
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote_plus
from uuid import uuid4

import httpx

from onecard.failures import Failure, Garbage, Misused, NotLetIn, Refused, Unreachable
from onecard.settings import Credentials
from onecard.shapes import Said, plain

ATTEMPTS = 3
PAUSE_S = 0.25
CALL_WITHIN_S = 15.0
ATTEMPT_WITHIN_S = 6.0
STREAM_WITHIN_S = 60.0
ANSWER_MAX_BYTES = 2_000_000
LINE_MAX_BYTES = 1_000_000
TOKEN_SPARE_S = 30.0
WORTH_ANOTHER_TRY = frozenset({429, 502, 503, 504})

DISCOVERY = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True, kw_only=True)
class World:
    """What a test puts in the place of network and time."""

    transport: httpx.BaseTransport | None = None
    now_s: Callable[[], float] = time.time
    wait: Callable[[float], object] = field(default_factory=lambda: threading.Event().wait)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One whole answer."""

    where: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    def said(self) -> Said:
        """Read the body as a JSON object."""
        return Said.parse(self.where, self.body)


class Cell:
    """One cell, and who asks it; one thread or several."""

    def __init__(self, url: str, credentials: Credentials | None, world: World) -> None:
        self.url = url
        self.credentials = credentials
        self.world = world
        self._tokens: dict[str, tuple[str, float]] = {}  # scope -> token, until when (monotonic)
        self._token_endpoint: str | None = None
        self._lock = threading.RLock()
        self._client = httpx.Client(
            base_url=url,
            transport=world.transport,
            # The machine's own list of authorities, and SSL_CERT_FILE.
            verify=ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "onecard", "Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def look(self, path: str) -> Answer:
        """GET a public page; any answer below 500 is one."""
        return self._attempts("GET", path)

    def get(self, path: str, *, scope: str = "", params: Mapping[str, int] | None = None) -> Said:
        """GET as this client; no scope means that no token is sent."""
        return self._authorized("GET", path, scope, params=params)

    def post(self, path: str, *, scope: str, body: Mapping[str, str]) -> Said:
        """POST as this client, once however often it is sent."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        return self._authorized("POST", path, scope, headers=headers, content=json.dumps(body).encode())

    def lines(self, path: str, *, scope: str, params: Mapping[str, int]) -> Iterator[bytes]:
        """GET lines as they come, in one attempt; Unreachable when they break off before the end."""
        for last in (False, True):
            request = self._client.build_request("GET", path, params=dict(params), headers=self._bearer(scope))
            with self._sent(request, STREAM_WITHIN_S) as (response, deadline_s):
                if response.status_code == HTTPStatus.UNAUTHORIZED and not last:
                    self._forget(scope)
                    continue
                if response.status_code != HTTPStatus.OK:
                    raise failure_of(self._whole(response, deadline_s, 0.0))
                yield from self._split(response, deadline_s)
                return

    def token(self, scope: str) -> str:
        """Return an access token for `scope`, a new one when the old one is about to end."""
        with self._lock:
            token, until_s = self._tokens.get(scope, ("", -math.inf))
            if time.monotonic() < until_s:
                return token
            token, lives_s = self._new_token(scope)
            self._tokens[scope] = token, time.monotonic() + lives_s - TOKEN_SPARE_S
            return token

    def token_endpoint(self) -> str:
        """Return where tokens are issued; Misused when the server goes by another name than it was addressed by."""
        if self._token_endpoint is None:
            said = self.get(DISCOVERY)
            issuer, endpoint = said.text("issuer"), said.text("token_endpoint")
            if issuer != self.url:
                raise Misused(f"{self.url} calls itself {issuer}; use that address (--url or ONECARD_PUBLIC_URL).")
            if not endpoint.startswith(f"{self.url}/"):
                raise Garbage(f"{self.url} names a token endpoint at another place, {endpoint}.")
            self._token_endpoint = endpoint
        return self._token_endpoint

    def _new_token(self, scope: str) -> tuple[str, float]:
        if self.credentials is None:
            raise Misused("No credentials: give --client-file, or set ONECARD_OPERATOR to a client file.")
        pair = (quote_plus(self.credentials.client_id), quote_plus(self.credentials.client_secret))
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = self._attempts("POST", self.token_endpoint(), data=form, auth=httpx.BasicAuth(*pair))
        if answer.status != HTTPStatus.OK:
            raise _token_failure(answer, self.credentials.client_id, scope)
        said = answer.said()
        return said.secret("access_token"), said.number("expires_in")

    def _bearer(self, scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(scope)}"} if scope else {}

    def _forget(self, scope: str) -> None:
        with self._lock:
            self._tokens.pop(scope, None)

    def _authorized(
        self, method: str, path: str, scope: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> Said:
        answer = self._attempts(method, path, headers={**(headers or {}), **self._bearer(scope)}, **request)
        if scope and answer.status == HTTPStatus.UNAUTHORIZED:  # revoked or expired meanwhile: one new token
            self._forget(scope)
            answer = self._attempts(method, path, headers={**(headers or {}), **self._bearer(scope)}, **request)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED):
            raise failure_of(answer)
        return answer.said()

    def _attempts(self, method: str, path: str, *, auth: httpx.Auth | None = None, **request: Any) -> Answer:
        """Send until there is an answer that another try would not better, within one deadline."""
        deadline_s = time.monotonic() + CALL_WITHIN_S
        for attempt in range(1, ATTEMPTS + 1):
            failure: Failure
            retry_after_s = 0.0
            try:
                answer = self._attempt(method, path, auth, deadline_s, request)
                if answer.status not in WORTH_ANOTHER_TRY:
                    return answer
                failure, retry_after_s = failure_of(answer), _seconds(answer.headers.get("retry-after"))
            except Unreachable as unreachable:
                failure = unreachable
            pause_s = max(PAUSE_S * attempt, retry_after_s)
            # A last try that is cut short would say less than the answer that is here.
            if attempt == ATTEMPTS or time.monotonic() + pause_s + ATTEMPT_WITHIN_S > deadline_s:
                break
            self.world.wait(pause_s)
        raise failure

    def _attempt(
        self, method: str, path: str, auth: httpx.Auth | None, deadline_s: float, request: Mapping[str, Any]
    ) -> Answer:
        began_s = time.monotonic()
        built = self._client.build_request(method, path, **request)
        with self._sent(built, min(ATTEMPT_WITHIN_S, deadline_s - began_s), auth) as (response, ends_s):
            return self._whole(response, ends_s, began_s)

    @contextmanager
    def _sent(
        self, request: httpx.Request, within_s: float, auth: httpx.Auth | None = None
    ) -> Iterator[tuple[httpx.Response, float]]:
        """Send, and hand out the answer's beginning with the moment by which all of it must be here."""
        deadline_s = time.monotonic() + within_s
        limit = httpx.Timeout(min(within_s, ATTEMPT_WITHIN_S), connect=min(within_s, 3.0)).as_dict()
        request.extensions = {**request.extensions, "timeout": limit}
        try:
            with closing(self._client.send(request, auth=auth, stream=True)) as response:
                yield response, deadline_s
        except httpx.TimeoutException:
            raise Unreachable(f"{self.url} did not answer in time.") from None
        except httpx.ConnectError:
            raise Unreachable(f"{self.url} cannot be reached.") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.url} broke off ({type(error).__name__}).") from None

    def _whole(self, response: httpx.Response, deadline_s: float, began_s: float) -> Answer:
        body = b"".join(self._bounded(response, deadline_s, ANSWER_MAX_BYTES))
        return Answer(
            where=f"{self.url}{response.request.url.path}",
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            took_s=time.monotonic() - began_s,
        )

    def _bounded(self, response: httpx.Response, deadline_s: float, max_bytes: float) -> Iterator[bytes]:
        size = 0
        for part in response.iter_bytes():
            size += len(part)
            if size > max_bytes:
                raise Garbage(f"{self.url} answered with more than {max_bytes} bytes.")
            if time.monotonic() > deadline_s:
                raise Unreachable(f"{self.url} did not answer in time.")
            yield part

    def _split(self, response: httpx.Response, deadline_s: float) -> Iterator[bytes]:
        rest = b""
        for part in self._bounded(response, deadline_s, math.inf):
            *whole, rest = (rest + part).split(b"\n")
            if len(rest) > LINE_MAX_BYTES:
                raise Garbage(f"{self.url} answered with a line of more than {LINE_MAX_BYTES} bytes.")
            yield from (line + b"\n" for line in whole)
        if rest:
            raise Unreachable(f"{self.url} broke off in the middle of a line.")


def failure_of(answer: Answer) -> Failure:
    """Read a refusal (RFC 9457) as the failure of a command."""
    kind = (
        NotLetIn
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        else Unreachable
        if answer.status >= 500 or answer.status == HTTPStatus.TOO_MANY_REQUESTS
        else Refused
    )
    try:
        said = answer.said()
        return kind(f"{said.text('detail')} ({said.text('code')}, HTTP {answer.status})")
    except Garbage:
        return Garbage(f"{answer.where} answered {answer.status} with something that is not One Card's.")


def _token_failure(answer: Answer, client_id: str, scope: str) -> Failure:
    """Read a refusal of the token endpoint (RFC 6749 section 5.2)."""
    if answer.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
        return failure_of(answer)
    said = answer.said()
    error = said.text("error")
    if error == "invalid_client":
        return NotLetIn(f"The credentials of client {plain(client_id)} are refused.")
    if error == "invalid_scope":
        return NotLetIn(f"Client {plain(client_id)} may not have the scope {scope}.")
    words = said.text_or_none("error_description") or error
    return NotLetIn(f"Client {plain(client_id)} got no token: {words}")


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isascii() and header.isdigit() else 0.0
