"""Whatever goes wrong in a request -> problem+json; refusals that are evidence -> the journal.

The recording is a second, small Work after the rollback of the first, because a refusal changes nothing.
"""

import re
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from chassis import tracing
from chassis.errors import IdempotencyKeyMissing, Refusal, TooMany, Unavailable
from chassis.journal.transient import is_transient
from chassis.problems import CONTENT_TYPE, problem_document
from chassis.web.guard import operation_of, runtime_of
from chassis.work import Fact

_log = structlog.get_logger(__name__)

_DATABASE_FAILURES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError, TimeoutError)
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODES = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 415: "unsupported-media-type"}


def problem_answer(
    request: Request,
    code: str,
    *,
    detail: str | None = None,
    field: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Answer this request with a problem of the catalogue."""
    status, document = problem_document(
        code,
        public_url=runtime_of(request).settings.public_url,
        detail=detail,
        field=field,
        instance=f"urn:onecard:request:{_request_id(request)}",
    )
    return JSONResponse(document, status_code=status, media_type=CONTENT_TYPE, headers=headers)


def _request_id(request: Request) -> str:
    """The id that the gateway gave this request and answers with, else that of our own span: never what was sent."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else (tracing.current() or "")[36:52]


async def _on_refusal(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    if refusal.recorded:
        try:
            await _record(request, refusal)
        except _DATABASE_FAILURES as failure:  # what cannot be written down is not said either
            return await _on_database(request, failure)
    headers = {}
    if isinstance(refusal, TooMany | Unavailable):
        headers["Retry-After"] = str(refusal.retry_after_s)
    return problem_answer(request, refusal.code, detail=refusal.detail, field=refusal.field, headers=headers)


async def _record(request: Request, refusal: Refusal) -> None:
    runtime = runtime_of(request)
    caller = getattr(request.state, "caller", None)
    about = str(caller.citizen or caller.client) if caller else ""
    fact = Fact(
        topic=f"{runtime.service}.request.refused.v1",
        key=about or "anonymous",
        details={"operation": operation_of(request), "code": refusal.code},
        denial=True,
    )
    async with runtime.workshop.begin(caller) as work:
        work.record(fact)


async def _on_invalid(request: Request, invalid: Exception) -> JSONResponse:
    assert isinstance(invalid, RequestValidationError)
    first = invalid.errors()[0]
    if first["type"] == "json_invalid":
        return problem_answer(request, "malformed-request", detail="The body is not well-formed JSON.")
    # The first part says where: body, query, path, header. A name that we did not declare is the caller's own text.
    where = [str(part) for part in first["loc"][1:] if _NAME.fullmatch(str(part))]
    if first["loc"] == ("header", "Idempotency-Key"):
        refusal = IdempotencyKeyMissing()
        return problem_answer(request, refusal.code, detail=refusal.detail, field="Idempotency-Key")
    return problem_answer(request, "invalid-field", detail=_sentence(first), field=".".join(where) or None)


def _sentence(error: dict[str, Any]) -> str:
    """Pydantic's sentence, without what a parser says in it of the very characters that were sent."""
    if error["type"] in ("value_error", "assertion_error"):
        return "The value is not allowed."
    if "error" in error.get("ctx", {}):
        return str(error["msg"]).partition(",")[0] + "."
    return str(error["msg"]) + "."


async def _on_http(request: Request, exception: Exception) -> JSONResponse:
    assert isinstance(exception, HTTPException)
    code = _CODES.get(exception.status_code, "malformed-request")
    headers = {name: value for name, value in (exception.headers or {}).items() if name.lower() == "allow"}
    return problem_answer(request, code, headers=headers)


async def _on_database(request: Request, failure: Exception) -> JSONResponse:
    """A database that is away, full or busy is "not now", whatever it was asked; anything else is a defect."""
    if not is_transient(failure):
        return await _on_defect(request, failure)
    _log.warning("the database did not serve a request", why=type(failure).__name__)
    return problem_answer(request, "unavailable", headers={"Retry-After": "2"})


async def _on_defect(request: Request, defect: Exception) -> JSONResponse:
    _log.error("defect", operation=getattr(request.scope.get("route"), "operation_id", None), exc_info=defect)
    # The exception goes on to the server, which then drops the connection: nobody may send the next request on it.
    return problem_answer(request, "internal-error", headers={"Connection": "close"})


def install(app: FastAPI) -> None:
    """Make `app` answer every refusal and defect as problem+json."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for failure in _DATABASE_FAILURES:
        app.add_exception_handler(failure, _on_database)
    app.add_exception_handler(Exception, _on_defect)
