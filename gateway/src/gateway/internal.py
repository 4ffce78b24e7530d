"""Internal tokens that the gateway makes: one for each request it passes on, and for its own questions to identity-svc.

Invariant: what a service is told about a caller comes from a verified token, or says that nobody is known.
"""

from collections.abc import Callable

from chassis.crypto.secret_key import SecretKey
from chassis.internal_tokens import Caller, encode
from chassis.keys import KeyFolder
from contracts.edges import SERVICES
from gateway.routes import Route
from gateway.tokens import Verified


class InternalTokens:
    """Speaks for the gateway on each of its edges, with the newest key of each."""

    def __init__(self, keys: KeyFolder, *, cell: str, now_s: Callable[[], float]) -> None:
        self._keys: dict[str, SecretKey] = {}
        for service in SERVICES:
            self._keys[service] = list(keys.secrets(f"edges/gateway-{service}").values())[-1]
        self._cell = cell
        self._now_s = now_s
        self._nobody = self._caller()

    def for_request(self, route: Route, token: Verified | None) -> str:
        """Make the token for one request; `token` is None on public routes."""
        if token is None:
            return self._encode(self._nobody, route.service, route.operation)
        if token.caller is None:
            token.caller = self._caller(token)
        return self._encode(token.caller, route.service, route.operation)

    def for_own(self, service: str, operation: str) -> str:
        """Make the token for a question of the gateway itself."""
        return self._encode(self._nobody, service, operation)

    def _caller(self, token: Verified | None = None) -> Caller:
        return Caller(
            service="gateway",
            cell=self._cell,
            citizen=token.citizen if token else None,
            acting=token.acting if token else None,
            client=token.client if token else "",
            kind=token.kind if token else "",
            scopes=token.scopes if token else frozenset(),
            acr=token.acr if token else "",
            jti=token.jti if token else "",
        )

    def _encode(self, caller: Caller, service: str, operation: str) -> str:
        key = self._keys[service]
        return encode(
            caller,
            callee=service,
            operation=operation,
            kid=key.kid,
            secret=key.value,
            now_ms=int(self._now_s() * 1000),
        )
