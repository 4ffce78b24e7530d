"""Every route of the API, taken from its OpenAPI, is sent what is broken: a clear 4xx, nothing leaked, nothing written.

A new route is covered by being in the OpenAPI; only who may call it comes from the route file.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.routes import DEFAULT_FILE, read_routes
from onecard_local.callers import REAL_PERSON, ApiClient, Citizen
from onecard_local.sandbox import CARD_SCOPES, person_of, read_credentials, read_sandbox
from tests.demo.cell import RunningCell

DOCUMENT = json.loads((Path(__file__).parents[2] / "contracts/openapi/onecard.json").read_text("utf-8"))
LEAKS = re.compile(r"Traceback|site-packages|sqlalchemy|asyncpg|SELECT |INSERT |pydantic|127\.0\.0\.1:2[0-9]{4}", re.I)
OPERATOR_SCOPES = (
    "clients.manage policies.manage venues.manage cards.produce cards.handover journal.read journal.manage ledger.read"
)
# OAuth answers errors in its own form (RFC 6749), and the sign-in in pages.
OWN_FORM = ("/oauth/",)


@dataclass(frozen=True)
class Operation:
    """One operation of the API as it is promised."""

    id: str
    method: str
    path: str
    public: bool
    body: str | None  # the content type of its body
    fields: tuple[str, ...]

    def url(self, value: str) -> str:
        """The path with every parameter set to `value`."""
        return re.sub(r"\{[^}]+\}", value, self.path)


def operations() -> Iterator[Operation]:
    """Every operation of the merged OpenAPI that answers in JSON."""
    for path, methods in DOCUMENT["paths"].items():
        for method, promised in methods.items():
            if path.startswith(OWN_FORM):
                continue
            content = (promised.get("requestBody") or {}).get("content", {})
            kind = next(iter(content), None)
            schema = content.get(kind, {}).get("schema", {}) if kind else {}
            named = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
            yield Operation(
                id=promised["operationId"],
                method=method.upper(),
                path=path,
                public=not promised.get("security"),
                body=kind,
                fields=tuple(named.get("properties", ())),
            )


ODD_QUERIES = (
    *("limit=0", "limit=-1", "limit=1e9", "limit=99999999999999999999"),
    *("cursor=%00", "cursor=e30", "after=-1", "at=yesterday"),
)
ALL = list(operations())
WITH_BODY = [operation for operation in ALL if operation.body]
WITH_PARAMETER = [operation for operation in ALL if "{" in operation.path]
GUARDED = [operation for operation in ALL if not operation.public]


def named(operation: Operation) -> str:
    return operation.id


class Callers:
    """A token of each kind of caller, and the one that an operation is for."""

    def __init__(self, cell: RunningCell) -> None:
        self.http = httpx.Client(base_url=cell.public_url, timeout=10.0, trust_env=False)
        people = {entry["key"]: entry for entry in read_sandbox()["person"]}
        worker = Citizen(cell.public_url, cell.outside, person_of(people["worker"]))
        ecard = self._client(cell, "clients/ecard")
        granted = worker.sign_in(ecard, f"{cell.ecard_url}/callback", CARD_SCOPES, acr=REAL_PERSON)
        self.tokens = {
            "citizen": str(granted["access_token"]),
            "terminal": self._client(cell, "clients/library-gate").own_token("terminal"),
            "operator": self._client(cell, "operator").own_token(OPERATOR_SCOPES),
        }
        worker.close()
        self._scopes = {route.operation: set(route.scopes) for route in read_routes(DEFAULT_FILE).routes}

    def _client(self, cell: RunningCell, name: str) -> ApiClient:
        return ApiClient(cell.public_url, read_credentials(cell.home / f"{name}.json"), self.http)

    def kinds_for(self, operation: Operation) -> list[str]:
        """Who may call an operation."""
        own = {"citizen": CARD_SCOPES.split(), "terminal": ["terminal"], "operator": OPERATOR_SCOPES.split()}
        return [kind for kind, scopes in own.items() if self._scopes[operation.id] & set(scopes)]

    def send(
        self, operation: Operation, *, token: str | None = None, value: str = "", **options: Any
    ) -> httpx.Response:
        """Send one request as whoever may, unless another token is given."""
        headers = {"Idempotency-Key": str(uuid4())} | options.pop("headers", {})
        if not operation.public or token is not None:
            headers.setdefault("Authorization", f"Bearer {token or self.tokens[self.kinds_for(operation)[0]]}")
        return self.http.request(operation.method, operation.url(value or str(uuid4())), headers=headers, **options)


@pytest.fixture(scope="module")
def callers(running_cell: RunningCell) -> Iterator[Callers]:
    made = Callers(running_cell)
    yield made
    made.http.close()


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """A problem of the catalogue with words for the citizen, and not a word too many."""
    assert answer.status_code in (statuses or range(400, 500)), (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:200]
    problem: dict[str, Any] = answer.json()
    assert problem["code"]
    assert problem["show"]["zh"]
    assert problem["show"]["en"]
    assert not LEAKS.search(answer.text), answer.text
    return problem


@pytest.mark.parametrize("operation", GUARDED, ids=named)
def test_without_a_good_token_nothing_opens(callers: Callers, operation: Operation) -> None:
    for token in ("", "garbage", "a.b.c", callers.tokens["citizen"][:-3] + "AAA"):
        headers = {"Authorization": f"Bearer {token}"} if token else {"Authorization": ""}
        assert refused(callers.send(operation, headers=headers), 401)["code"] == "unauthenticated"


@pytest.mark.parametrize("operation", GUARDED, ids=named)
def test_another_kind_of_caller_is_refused(callers: Callers, operation: Operation) -> None:
    allowed = callers.kinds_for(operation)
    assert allowed
    for kind, token in callers.tokens.items():
        if kind not in allowed:
            problem = refused(callers.send(operation, token=token), 403)
            assert problem["code"] in ("insufficient-scope", "insufficient-assurance")


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_a_broken_body_is_refused_before_anything_happens(callers: Callers, operation: Operation) -> None:
    typed = {"headers": {"Content-Type": "application/json"}}
    for content in (b"{", b'{"a": }', b"\xff\xfe{}", b'{"a":' + b"[" * 5_000, b"null", b"[]", b'"text"', b"7"):
        refused(callers.send(operation, content=content, **typed), 400, 422)
    refused(callers.send(operation, content=b'{"a": 1}', headers={"Content-Type": "text/plain"}), 400, 415, 422)
    refused(callers.send(operation, content=b"x" * 1_200_000, **typed), 400, 413)


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_an_unknown_field_is_named_and_so_is_each_of_the_wrong_kind(callers: Callers, operation: Operation) -> None:
    problem = refused(callers.send(operation, json={"surprise": 1}), 400, 422)
    assert problem["code"] in ("invalid-field", "malformed-request")
    for field in operation.fields:
        for wrong in ({"deep": {"er": []}}, [[[]]], -1.5, "\u0000", "x" * 5_000, 10**30):
            answer = callers.send(operation, json={field: wrong})
            problem = refused(answer)
            assert "x" * 100 not in answer.text
            if problem["code"] == "invalid-field":
                assert problem["field"], problem


@pytest.mark.parametrize("operation", WITH_PARAMETER, ids=named)
def test_an_id_of_nobody_and_an_id_that_is_none_are_refused(callers: Callers, operation: Operation) -> None:
    for value in (str(uuid4()), "0", "not-an-id", "%00", "%F0%9F%92%A9", "a" * 300, "1%27%20OR%20%271"):
        refused(callers.send(operation, value=value, json={} if operation.body else None))


@pytest.mark.parametrize("operation", [o for o in ALL if o.method == "GET"], ids=named)
def test_odd_query_parameters_are_refused_or_ignored(callers: Callers, operation: Operation) -> None:
    for query in ODD_QUERIES:
        answer = callers.send(operation, params=httpx.QueryParams(query))
        assert answer.status_code < 500, (query, answer.text[:300])
        assert not LEAKS.search(answer.text)


@pytest.mark.parametrize("key", ["", "x" * 201, "schlüssel", "a\tb"])
def test_a_key_that_is_no_key_is_refused_wherever_one_is_needed(callers: Callers, key: str) -> None:
    for operation in WITH_BODY:
        promised = DOCUMENT["paths"][operation.path][operation.method.lower()]
        if any(parameter["name"] == "Idempotency-Key" for parameter in promised.get("parameters", ())):
            answer = callers.send(operation, json={}, headers={"Idempotency-Key": key.encode("latin-1")})
            refused(answer, 400, 422)


def test_every_operation_of_the_api_is_covered_here() -> None:
    promised = {o["operationId"] for methods in DOCUMENT["paths"].values() for o in methods.values()}
    own_form = {
        o["operationId"] for path, ms in DOCUMENT["paths"].items() if path.startswith(OWN_FORM) for o in ms.values()
    }
    assert {operation.id for operation in ALL} == promised - own_form
    assert len(ALL) > 40
