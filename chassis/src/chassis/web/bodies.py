"""What a body must be before anybody reads meaning into it: not too large, JSON that every reader takes the same way.

Invariant: no two programs on a request's way can understand its body differently (names that stand twice, other
encodings, numbers that JSON does not have), and no more of it is kept than the limit.
"""

import json
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from chassis.errors import BadRequest
from chassis.problems import CONTENT_TYPE, problem_document

BODY_LIMIT_BYTES = 1_048_576
"""The gateway's own default, so that what it lets in is not refused behind it."""


async def plain_json(request: Request) -> None:
    """Refuse a body that FastAPI would take and another reader would take for something else; the app depends on it."""
    if getattr(request.scope["route"], "body_field", None) is None:
        return
    body = await request.body()
    if not body:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415)
    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as wrong:
        raise BadRequest("The body is not well-formed JSON in UTF-8 with each name once.") from wrong


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class BodyLimit:
    """Wraps an ASGI app. Starlette's own limit answers in plain text, whatever the app has to say."""

    def __init__(self, app: Any, *, public_url: str, limit_bytes: int = BODY_LIMIT_BYTES) -> None:
        self.app = app
        self._limit_bytes = limit_bytes
        _, self._too_large = problem_document("too-large", public_url=public_url)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if int(length) > self._limit_bytes:  # the server has checked that it is a number
            headers = {"Connection": "close"}  # nobody reads what is left of it
            answer = JSONResponse(self._too_large, status_code=413, media_type=CONTENT_TYPE, headers=headers)
            await answer(scope, receive, send)
            return
        came = 0

        async def counting_receive() -> Any:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._limit_bytes:
                raise HTTPException(413)
            return message

        await self.app(scope, counting_receive, send)
