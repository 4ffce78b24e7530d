"""Refusals -> answers: `application/problem+json` from the catalogue in `contracts`, with the headers each one owes.

Invariant: an answer never repeats what was sent; a 401 says how to authenticate, a 429 or 503 when to come back.
"""

import json
from typing import Final

from chassis.errors import Refusal, TooMany, Unauthenticated, Unavailable
from chassis.problems import CONTENT_TYPE, problem_document
from gateway.refusals import AssuranceTooWeak, NoToken, ScopeMissing

Headers = list[tuple[bytes, bytes]]

_FIXED: Final[Headers] = [
    (b"content-type", CONTENT_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


def problem_answer(refusal: Refusal, *, public_url: str, request_id: str) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of the answer to a refused request."""
    status, document = problem_document(
        refusal.code,
        public_url=public_url,
        detail=refusal.detail,
        field=refusal.field,
        instance=f"urn:onecard:request:{request_id}",
    )
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    headers = [*_FIXED, (b"content-length", b"%d" % len(body)), *_owed(refusal, status)]
    return status, headers, body


def _owed(refusal: Refusal, status: int) -> Headers:
    if isinstance(refusal, TooMany | Unavailable):
        return [(b"retry-after", b"%d" % refusal.retry_after_s)]
    if isinstance(refusal, NoToken):
        return [(b"www-authenticate", b'Bearer realm="onecard"')]  # RFC 6750 section 3.1: no error without a token
    if isinstance(refusal, Unauthenticated):
        return [(b"www-authenticate", b'Bearer realm="onecard", error="invalid_token"')]
    if isinstance(refusal, ScopeMissing):
        scopes = " ".join(sorted(refusal.scopes)).encode()
        return [(b"www-authenticate", b'Bearer realm="onecard", error="insufficient_scope", scope="' + scopes + b'"')]
    if isinstance(refusal, AssuranceTooWeak):
        challenge = b'Bearer realm="onecard", error="insufficient_user_authentication", acr_values="%b"'
        return [(b"www-authenticate", challenge % refusal.acr.encode())]
    return [(b"connection", b"close")] if status == 413 else []
