"""The one HTTP client for calls that leave a service: fixed origins, deadlines, caps, no redirects.

Invariant: an address comes from configuration, never from a request; in production it is https. A call has one
deadline over all its attempts, and only calls that are safe to repeat are repeated.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from chassis import tracing
from chassis.breaker import CircuitBreaker
from chassis.errors import Unavailable
from chassis.metrics import OUTSIDE_CALLS

ANSWER_LIMIT = 1_000_000
_RETRY_PAUSES_S = (0.05, 0.2)


class OutsideDown(Unavailable):
    """A system outside does not answer in time."""


@dataclass(frozen=True)
class Answer:
    """What came back: any status below 500, and a JSON body."""

    status: int
    body: Any


class Outside:
    """One system at one origin."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        deadline_s: float,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self.name = name
        self._deadline_s = deadline_s
        self._breaker = breaker or CircuitBreaker()
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers=dict(headers or {}),
            timeout=httpx.Timeout(deadline_s, connect=min(1.0, deadline_s)),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
        deadline_s: float | None = None,
    ) -> Answer:
        """Make one call; raises OutsideDown when no answer below 500 came within the deadline.

        `repeatable` says that sending it twice has one effect; only then is a failed attempt tried again.
        """
        if not self._breaker.lets_through():
            OUTSIDE_CALLS.labels(self.name, "open").inc()
            raise OutsideDown(f"{self.name} is not answering.")
        try:
            async with asyncio.timeout(deadline_s or self._deadline_s):
                answer = await self._attempts(method, path, body, headers or {}, repeatable)
        except (TimeoutError, httpx.HTTPError, OutsideDown) as wrong:
            self._breaker.failed()
            OUTSIDE_CALLS.labels(self.name, "failed").inc()
            raise OutsideDown(f"{self.name} did not answer in time.") from wrong
        self._breaker.succeeded()
        OUTSIDE_CALLS.labels(self.name, "answered").inc()
        return answer

    async def _attempts(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], repeatable: bool
    ) -> Answer:
        for pause_s in _RETRY_PAUSES_S if repeatable else ():
            try:
                return await self._attempt(method, path, body, headers)
            except (httpx.HTTPError, OutsideDown):
                await asyncio.sleep(pause_s)
        return await self._attempt(method, path, body, headers)

    async def _attempt(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        ours = {"traceparent": tracing.current() or tracing.new_traceparent(), **headers}
        async with self._client.stream(method, path, json=body, headers=ours) as response:
            if response.status_code >= 500:
                raise OutsideDown(f"{self.name} answered {response.status_code}.")
            raw = b""
            async for part in response.aiter_bytes():
                raw += part
                if len(raw) > ANSWER_LIMIT:
                    raise OutsideDown(f"{self.name} answered with more than {ANSWER_LIMIT} bytes.")
            try:
                return Answer(response.status_code, json.loads(raw) if raw else None)
            except ValueError as wrong:
                raise OutsideDown(f"{self.name} answered with something that is not JSON.") from wrong

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
