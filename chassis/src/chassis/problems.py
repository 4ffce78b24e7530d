"""Refusals -> `application/problem+json` (RFC 9457), in one place for every service.

Invariant: an answer names the field and the code, and never repeats what was sent or how we work inside.
"""

from http import HTTPStatus
from typing import Any

from contracts.problems.catalogue import CATALOGUE
from contracts.problems.problem import Problem

CONTENT_TYPE = "application/problem+json"


def problem_document(
    code: str, *, public_url: str, detail: str | None = None, field: str | None = None, instance: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Return status and body for a code of the catalogue; an unknown code is a defect and raises KeyError."""
    problem: Problem = CATALOGUE[code]
    document: dict[str, Any] = {
        "type": f"{public_url}/docs/problems#{code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": code,
        "detail": detail or problem.cause,
        "show": {"zh": problem.show_zh, "en": problem.show_en},
        "who_acts": problem.who_acts,
        "safe_to_retry": problem.safe_to_retry,
    }
    if field:
        document["field"] = field
    if instance:
        document["instance"] = instance
    return problem.status, document
