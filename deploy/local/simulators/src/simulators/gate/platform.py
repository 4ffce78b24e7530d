"""What a gate asks of the platform, through the public API alone: a token, the trust list, and to use a card.

Invariant: one press of the button is one use: a call is sent again only with the same Idempotency-Key.
"""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from contracts.card_code import TrustUnusable, Verifier, keys_from_trust_list
from simulators.gate.terminals import Credentials

TRUST_LIFE_S = 60.0
CALL_TIMEOUT_S = 8.0


class PlatformSilent(Exception):
    """The platform does not answer, or not with what it promises."""


@dataclass(frozen=True)
class Answer:
    """A status and a JSON object."""

    status: int
    body: dict[str, Any]


class Platform:
    """One cell's public API as a terminal uses it."""

    def __init__(self, public_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=public_url, timeout=CALL_TIMEOUT_S, transport=transport, trust_env=False, follow_redirects=False
        )
        self._tokens: dict[str, tuple[str, float]] = {}
        self._verifier: Verifier | None = None
        self._verifier_until_s = 0.0

    async def verifier(self, *, fresh: bool = False) -> Verifier | None:
        """Return a verifier with the cell's public keys; an old one when no new list is to be had, None without any."""
        if fresh or time.monotonic() >= self._verifier_until_s:
            try:
                answer = await self._call("GET", "/v1/trust-list")
                self._verifier = Verifier(keys_from_trust_list(answer.body))
                self._verifier_until_s = time.monotonic() + TRUST_LIFE_S
            except (PlatformSilent, TrustUnusable):
                pass
        return self._verifier

    async def use(self, who: Credentials, key: str, code: str, scenario: str, amount_fen: int | None) -> Answer:
        """Use a card: `POST /v1/uses`."""
        body: dict[str, Any] = {"code": code, "scenario": scenario}
        if amount_fen is not None:
            body["amount_fen"] = amount_fen
        return await self._as_terminal(who, "POST", "/v1/uses", json=body, headers={"Idempotency-Key": key})

    async def read_use(self, who: Credentials, use_id: str) -> Answer:
        """Ask what became of a use."""
        return await self._as_terminal(who, "GET", f"/v1/uses/{use_id}")

    async def close(self) -> None:
        await self._http.aclose()

    async def _as_terminal(
        self, who: Credentials, method: str, path: str, *, json: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        for last in (False, True):
            token = await self._token(who)
            answer = await self._call(
                method, path, json=json, headers={**(headers or {}), "Authorization": f"Bearer {token}"}
            )
            if answer.status != 401 or last:
                return answer
            # The token was revoked or the platform's keys are new: sign in once more.
            self._tokens.pop(who.client_id, None)
        raise PlatformSilent

    async def _token(self, who: Credentials) -> str:
        kept, until_s = self._tokens.get(who.client_id, ("", 0.0))
        if time.monotonic() < until_s:
            return kept
        form = {"grant_type": "client_credentials", "scope": "terminal"}
        answer = await self._call("POST", "/oauth/token", data=form, auth=(who.client_id, who.client_secret))
        token, life_s = answer.body.get("access_token"), answer.body.get("expires_in")
        if answer.status != 200 or not isinstance(token, str) or not isinstance(life_s, int):
            raise PlatformSilent("The platform gave this terminal no token.")
        self._tokens[who.client_id] = token, time.monotonic() + life_s - 30
        return token

    async def _call(self, method: str, path: str, **content: Any) -> Answer:
        """Call once, and once more after a broken connection: everything sent here may arrive twice."""
        for last in (False, True):
            try:
                response = await self._http.request(method, path, **content)
                body = response.json()
            except httpx.TransportError as broken:
                if last:
                    raise PlatformSilent("The platform does not answer.") from broken
            except ValueError as odd:
                raise PlatformSilent("The platform did not answer in JSON.") from odd
            else:
                if isinstance(body, dict):
                    return Answer(response.status_code, body)
                raise PlatformSilent("The platform answered with something else.")
        raise PlatformSilent
