"""A service run inside a test: its real app on a real database, called as the gateway calls it.

Only the transport is short-circuited; the guard, the refusals and the commit are those of production.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from starlette.routing import compile_path

from chassis.internal_tokens import HEADER, Caller, encode
from chassis.runtime import Runtime
from chassis.web.app import operations_of

CELL = "330000"
PUBLIC_URL = "http://localhost:8080"
REAL_NAME = "urn:onecard:acr:real-name"
REAL_PERSON = "urn:onecard:acr:real-person"


def caller(
    *,
    citizen: UUID | None = None,
    client: str = "ecard",
    kind: str = "channel",
    scopes: str = "",
    acr: str = REAL_NAME,
    service: str = "gateway",
    acting: UUID | None = None,
) -> Caller:
    """Return a caller as the gateway would vouch for one."""
    return Caller(
        service=service,
        cell=CELL,
        citizen=citizen,
        acting=acting,
        client=client,
        kind=kind,
        scopes=frozenset(scopes.split()),
        acr=acr,
        jti="",
    )


NOBODY = caller(client="", kind="", acr="")
"""The caller of a public route."""


class Api:
    """Calls the operations of one service."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self._runtime: Runtime[Any] = app.state.runtime

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: Caller = NOBODY,
        key: str | None = None,
        operation: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send one request with an internal token for its operation, `key` being the Idempotency-Key."""
        sent = {HEADER: self.token(by, operation or self.operation_of(method, path)), **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            options["content"] = json.dumps(body, default=str)
            sent.setdefault("Content-Type", "application/json")
        return await self.client.request(method, path, headers=sent, **options)

    def token(self, by: Caller, operation: str) -> str:
        """Make the internal token of `by` for one operation."""
        kid, secret = next(iter(self._runtime.edge_secrets[by.service].items()))
        now_ms = int(self._runtime.clock().timestamp() * 1000)
        return encode(by, callee=self._runtime.service, operation=operation, kid=kid, secret=secret, now_ms=now_ms)

    def operation_of(self, method: str, path: str) -> str:
        """Find the operation that a request would reach."""
        plain = path.split("?")[0]
        for operation in operations_of(self.app):
            if method in operation.methods and compile_path(operation.path)[0].match(plain):
                return operation.id
        raise LookupError(f"no operation for {method} {path}")


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[Api]:
    """Start `app` with its lifespan and hand out its Api."""
    async with app.router.lifespan_context(app):
        # A defect must show as the test's failure, not as an answer of 500.
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield Api(app, client)
