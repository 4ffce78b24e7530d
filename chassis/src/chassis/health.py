"""The second port: `/livez`, `/readyz` and `/metrics`, away from the callers' port.

Live means that the process runs its loop; ready means that it can serve now. NATS is no reason not to be ready:
without it projections grow old, and say so.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from chassis.metrics import exposition

Ready = Callable[[], Awaitable[str | None]]
"""Returns None when ready, else one sentence that says what is missing."""


def health_app(ready: Ready) -> Any:
    """Return the small ASGI app of the second port."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, body, content_type = await _answer(scope["path"], ready)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _answer(path: str, ready: Ready) -> tuple[int, bytes, str]:
    match path:
        case "/livez":
            return 200, b"live\n", "text/plain"
        case "/readyz":
            missing = await ready()
            return (200, b"ready\n", "text/plain") if missing is None else (503, f"{missing}\n".encode(), "text/plain")
        case "/metrics":
            body, content_type = exposition()
            return 200, body, content_type
        case _:
            return 404, b"not found\n", "text/plain"
