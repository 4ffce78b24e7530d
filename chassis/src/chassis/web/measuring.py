"""The outermost layer of a service's app: trace context, metrics, a bound on what is under way. Pure ASGI, one pass.

(`BaseHTTPMiddleware` runs the app in another task, and a cancelled one leaks database connections.)
"""

import time
from typing import Any

from starlette.responses import JSONResponse

from chassis import tracing
from chassis.metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS
from chassis.problems import CONTENT_TYPE, problem_document

MAX_IN_FLIGHT = 512
"""Past it a request is refused at once: the server's own limit would answer in plain text."""


class Measuring:
    """Wraps an ASGI app."""

    def __init__(self, app: Any, *, public_url: str) -> None:
        self.app = app
        self._under_way = 0
        _, self._overloaded = problem_document("overloaded", public_url=public_url)

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
        self._under_way += 1
        try:
            app = self.app if self._under_way <= MAX_IN_FLIGHT else self._refuse
            await app(scope, receive, noting_send)
        finally:
            self._under_way -= 1
            IN_FLIGHT.dec()
            operation = getattr(scope.get("route"), "operation_id", None) or "none"
            REQUESTS.labels(operation, status).inc()
            REQUEST_SECONDS.labels(operation).observe(time.perf_counter() - started)

    async def _refuse(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {"Retry-After": "1"}
        answer = JSONResponse(self._overloaded, status_code=503, media_type=CONTENT_TYPE, headers=headers)
        await answer(scope, receive, send)
