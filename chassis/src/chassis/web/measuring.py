"""The outermost layer of a service's app: trace context and metrics. Pure ASGI, one pass.

(`BaseHTTPMiddleware` runs the app in another task, and a cancelled one leaks database connections.)
"""

import time
from typing import Any

from chassis import tracing
from chassis.metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS


class Measuring:
    """Wraps an ASGI app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        tracing.enter(headers.get(b"traceparent", b"").decode("latin-1"))
        started, status = time.perf_counter(), 500

        async def noting_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self.app(scope, receive, noting_send)
        finally:
            IN_FLIGHT.dec()
            operation = getattr(scope.get("route"), "operation_id", None) or "none"
            REQUESTS.labels(operation, status).inc()
            REQUEST_SECONDS.labels(operation).observe(time.perf_counter() - started)
