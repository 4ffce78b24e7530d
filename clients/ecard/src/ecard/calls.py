"""Calls to One Card through the gateway's public address, and what it means when one is refused.

Every call has a deadline; a refusal carries the words to show to the citizen.
"""

import re
from typing import Any, Final

import httpx

DEADLINE_S: Final = 8.0
BUSY: Final = {"zh": "系统繁忙，请稍后再试。", "en": "The service is busy. Please try again in a moment."}
_CHALLENGED_ACR: Final = re.compile(r'\bacr_values="(urn:onecard:acr:[a-z-]{1,40})"', re.ASCII)


class Refused(Exception):
    """The API said no; `show` says it to the citizen."""

    def __init__(self, code: str, show: dict[str, str]) -> None:
        super().__init__(code)
        self.code = code
        self.show = show


class SignInAgain(Exception):
    """Nobody is signed in here, or the token is no longer good."""


class StrongerSignInNeeded(Exception):
    """The person has to be verified more strongly first (RFC 9470); `acr` says how strongly."""

    def __init__(self, acr: str) -> None:
        super().__init__(acr)
        self.acr = acr


class Calls:
    """The one HTTP client of this page."""

    def __init__(self, public_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=public_url, timeout=DEADLINE_S, transport=transport, trust_env=False, follow_redirects=False
        )

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Call a path, or an address that discovery names; raises Refused when no answer comes in time."""
        try:
            return await self._client.request(method, url, **options)
        except httpx.HTTPError as wrong:
            raise Refused("unavailable", BUSY) from wrong

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()


def what_refused(answer: httpx.Response) -> Exception:
    """Turn a refusal of the API into what this page does about it."""
    if answer.status_code == 401:
        return SignInAgain()
    challenge = _CHALLENGED_ACR.search(answer.headers.get("www-authenticate", ""))
    if answer.status_code == 403 and challenge:
        return StrongerSignInNeeded(challenge[1])
    try:
        problem = answer.json()
        return Refused(str(problem["code"]), {name: str(problem["show"][name]) for name in ("zh", "en")})
    except (ValueError, KeyError, TypeError):
        return Refused("unavailable", BUSY)
