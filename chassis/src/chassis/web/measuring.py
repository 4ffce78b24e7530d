"""The outermost layer of a service's app: trace context, body limit, metrics. Pure ASGI, one pass.

(`BaseHTTPMiddleware` runs the app in another task, and a cancelled one leaks database connections.)
"""

import time
from typing import Any

from chassis import tracing
from chassis.metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS

BODY_LIMIT = 1_000_000


class BodyTooLarge(Exception):
    """More bytes arrived than a service reads."""


class Measuring:
    """Wraps an ASGI app."""

    def __init__(self, app: Any, body_limit: int = BODY_LIMIT) -> None:
        self.app = app
        self.body_limit = body_limit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        tracing.enter(headers.get(b"traceparent", b"").decode("latin-1"))
        started, status, read = time.perf_counter(), 500, 0

        async def counting_receive() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.body_limit:
                raise BodyTooLarge
            return message

        async def noting_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self.app(scope, counting_receive, noting_send)
        except BodyTooLarge:
            status = 413
            await send({"type": "http.response.start", "status": 413, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": b""})
        finally:
            IN_FLIGHT.dec()
            operation = getattr(scope.get("route"), "operation_id", None) or "none"
            REQUESTS.labels(operation, status).inc()
            REQUEST_SECONDS.labels(operation).observe(time.perf_counter() - started)
