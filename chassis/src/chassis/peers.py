"""Calls from one service to another, along an edge of `contracts.edges` and nowhere else.

The deadline is the edge's; the internal token says for whom and for which operation.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from chassis.crypto.secret_key import newest_first
from chassis.egress import Answer, Outside
from chassis.internal_tokens import HEADER, Caller, encode
from chassis.runtime import Runtime
from contracts.edges import EDGES


class Peer:
    """One other service, as this one may call it."""

    def __init__(
        self, runtime: Runtime[Any], callee: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._caller = runtime.service
        self._callee = callee
        self._cell = runtime.settings.cell
        self._key = newest_first(runtime.keys.secrets(f"edges/{runtime.service}-{callee}"))[0]
        self._clock = runtime.clock
        edges = [edge for edge in EDGES if (edge.caller, edge.callee) == (runtime.service, callee)]
        self._deadlines = {operation: edge.deadline_s for edge in edges for operation in edge.operations}
        self._outside = Outside(
            callee, runtime.settings.peers[callee], deadline_s=max(self._deadlines.values()), transport=transport
        )

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        caller: Caller | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
    ) -> Answer:
        """Ask for `operation`; KeyError when the table of edges does not know it, OutsideDown when no answer came.

        `caller` is who is behind this call; None when the service asks for itself.
        """
        deadline_s = self._deadlines[operation]
        behind = replace(caller, service=self._caller) if caller else self._ourselves()
        now_ms = int(self._clock().timestamp() * 1000)
        token = encode(
            behind, callee=self._callee, operation=operation, kid=self._key.kid, secret=self._key.value, now_ms=now_ms
        )
        return await self._outside.call(
            method,
            path,
            body=body,
            headers={HEADER: token, **(headers or {})},
            repeatable=repeatable,
            deadline_s=deadline_s,
        )

    def _ourselves(self) -> Caller:
        return Caller(
            service=self._caller,
            cell=self._cell,
            citizen=None,
            acting=None,
            client="",
            kind="service",
            scopes=frozenset(),
            acr="",
            jti="",
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._outside.close()
