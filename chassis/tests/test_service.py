"""What every service is given: the guard, the commit before the answer, refusals that leak nothing.

Tried on interop-svc's shell with a route of the test's own, on a real database.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, Query
from prometheus_client import REGISTRY
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.crypto.encoding import to_base64url
from chassis.errors import Conflict, Unavailable
from chassis.idempotency import once
from chassis.internal_tokens import HEADER
from chassis.journaled import journaled
from chassis.runtime import open_runtime
from chassis.settings import ServiceSettings
from chassis.testing.databases import Databases
from chassis.testing.keys import write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, Api, caller, running
from chassis.testing.waiting import until
from chassis.web.app import describe_app, service_app
from chassis.web.guard import Keyed
from chassis.web.models import RequestModel
from chassis.web.work import TheWork
from chassis.work import Fact

BY = caller(client="ecard", citizen=UUID(int=9))


class Noted(Conflict):
    """Refused, and written down."""

    code = "changed-meanwhile"
    recorded = True


JSON = {"Content-Type": "application/json"}


class Body(RequestModel):
    """A body with a field."""

    amount_fen: int = Field(strict=True, ge=1)
    note: str = ""


def router() -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/things", operation_id="interop.make")
    async def make(body: Body, work: TheWork, request: Keyed, wait_s: float = 0.0) -> dict[str, str]:
        async def create() -> tuple[UUID, str]:
            await asyncio.sleep(wait_s)
            made = work.new_id()
            work.record(Fact(topic="interop.thing.made.v1", key=str(made), details={"fen": body.amount_fen}))
            return made, str(made)

        async def read(made: UUID) -> str:
            return str(made)

        return {"made": await once(work, request, create, read)}

    @routes.get("/v1/things/{how}", operation_id="interop.look")
    async def look(how: str, work: TheWork, page: Annotated[int, Query(ge=1)] = 1) -> dict[str, int]:
        work.record(Fact(topic="interop.thing.seen.v1", key="x", details={}))
        match how:
            case "refused":
                raise Noted
            case "busy":
                raise Unavailable(retry_after_s=7)
            case "defect":
                raise RuntimeError("the secret of the house is 42")
        return {"page": page}

    return routes


@pytest.fixture
async def api(databases: Databases, tmp_path: Path) -> AsyncIterator[Api]:
    async with databases.fresh("interop") as database:
        settings = ServiceSettings(
            cell=CELL,
            public_url=PUBLIC_URL,
            port=1,
            health_port=1,
            keys=write_service_keys(tmp_path / "keys", "interop"),
            database_url=database.app_url,
            nats_url="nats://127.0.0.1:9",
        )
        runtime, bus, journal = journaled(open_runtime("interop", settings), follows={})
        app = service_app(describe_app("interop", "A test.", [router()]), runtime, parts=[bus, journal])
        async with running(app) as api:
            yield api


async def journal_topics(api: Api) -> list[tuple[str, str]]:
    async with api.app.state.runtime.workshop.begin() as work:
        rows = await work.session.execute(text("SELECT kind::text, topic FROM journal_row ORDER BY id"))
        return [(kind, topic) for kind, topic in rows]


async def test_nobody_gets_in_without_an_internal_token_for_this_very_operation(api: Api) -> None:
    for headers in (
        {},
        {HEADER: "x.y"},
        {HEADER: to_base64url(b"[" * 3000) + ".AA"},
        {HEADER: api.token(BY, "interop.make")},
        {"X-User": "root", "Authorization": "Bearer abc"},
    ):
        answer = await api.client.get("/v1/things/fine", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    twice = [(HEADER, api.token(BY, "interop.look")), (HEADER, api.token(BY, "interop.look"))]
    assert (await api.client.get("/v1/things/fine", headers=twice)).status_code == 401
    assert (await api.call("GET", "/v1/things/fine", by=BY)).status_code == 200
    assert await journal_topics(api) == [("a", "interop.thing.seen.v1")]


async def test_the_transaction_is_committed_before_the_answer_goes_out(api: Api) -> None:
    for n in range(20):
        await api.call("GET", "/v1/things/fine", by=BY)
        assert len(await journal_topics(api)) == n + 1


async def test_a_refusal_rolls_back_and_is_itself_written_down(api: Api) -> None:
    answer = await api.call("GET", "/v1/things/refused", by=BY)
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert await journal_topics(api) == [("d", "interop.request.refused.v1")]


async def test_a_service_that_is_busy_says_when_to_come_back(api: Api) -> None:
    answer = await api.call("GET", "/v1/things/busy", by=BY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_a_database_that_lets_nobody_in_is_not_now_and_not_a_defect(api: Api) -> None:
    engine = api.app.state.runtime.engine
    held = [await engine.connect() for _ in range(8)]  # every connection of the pool
    try:
        answer = await api.call("GET", "/v1/things/fine", by=BY)
    finally:
        for connection in held:
            await connection.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert (await api.call("GET", "/v1/things/fine", by=BY)).status_code == 200


async def test_more_than_can_be_under_way_is_refused_at_once_as_a_problem(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.web.measuring.MAX_IN_FLIGHT", 1)
    slow = {"path": "/v1/things?wait_s=0.5", "operation": "interop.make"}
    first = asyncio.create_task(api.call("POST", slow["path"], {"amount_fen": 5}, by=BY, key="k"))
    await until(lambda: asyncio.sleep(0, REGISTRY.get_sample_value("onecard_requests_in_flight")), what="the first")
    answer = await api.call("GET", "/v1/things/fine", by=BY)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await first).status_code == 200
    assert (await api.call("GET", "/v1/things/fine", by=BY)).status_code == 200


async def test_a_defect_is_answered_without_a_word_of_its_cause(api: Api) -> None:
    api.client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]  # the transport is httpx's own
    answer = await api.call("GET", "/v1/things/defect", by=BY)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "42" not in answer.text
    # The server drops the connection after a defect; whoever called must know before the next request is on it.
    assert answer.headers["Connection"] == "close"


async def test_whoever_finds_no_free_connection_is_told_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = api.app.state.runtime.engine
    monkeypatch.setattr(engine.sync_engine.pool, "_timeout", 0.05)
    async with AsyncExitStack() as stack:
        for _ in range(engine.sync_engine.pool.size()):
            await stack.enter_async_context(engine.connect())
        for path in ("/v1/things/fine", "/v1/things/refused"):
            answer = await api.call("GET", path, by=BY)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_what_was_bound_to_a_statement_that_fails_is_not_in_its_error(api: Api) -> None:
    async with api.app.state.runtime.workshop.begin() as work:
        with pytest.raises(DBAPIError) as wrong:
            await work.session.execute(text("SELECT CAST(:secret AS int) / 0"), {"secret": 42})
        assert "SELECT" in str(wrong.value)
        assert "42" not in str(wrong.value)
        await work.session.rollback()


@pytest.mark.parametrize(
    ("content", "status", "code", "field"),
    [
        (b'{"amount_fen": 5', 400, "malformed-request", None),
        (b"[]", 422, "invalid-field", None),
        (b'{"amount_fen": "5"}', 422, "invalid-field", "amount_fen"),
        (b'{"amount_fen": 0}', 422, "invalid-field", "amount_fen"),
        (b'{"amount_fen": 5, "evil": 1}', 422, "invalid-field", "evil"),
        (b'{"amount_fen": 5, "note": "a\\u0000b"}', 422, "invalid-field", "note"),
        (b'{"amount_fen": 5, "note": "a\\nb"}', 422, "invalid-field", "note"),
        (b'{"amount_fen": 5, "note": "\\ud800"}', 422, "invalid-field", "note"),
        (b'{"amount_fen": 5, "<script>\\ud800": 1}', 422, "invalid-field", None),
        (b'{"amount_fen": 5, "note": "a", "note": "b"}', 400, "malformed-request", None),
        (b'{"amount_fen": NaN}', 400, "malformed-request", None),
        (b'\xef\xbb\xbf{"amount_fen": 5}', 400, "malformed-request", None),
        ('{"amount_fen": 5}'.encode("utf-16"), 400, "malformed-request", None),
        (b"[" * 100_000, 400, "malformed-request", None),
        (b"{}", 422, "invalid-field", "amount_fen"),
    ],
)
async def test_a_bad_body_is_refused_and_the_field_named(
    api: Api, content: bytes, status: int, code: str, field: str | None
) -> None:
    headers = {HEADER: api.token(BY, "interop.make"), "Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await api.client.post("/v1/things", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field)


async def test_another_content_type_and_too_large_a_body_are_refused_as_problems(api: Api) -> None:
    headers = {HEADER: api.token(BY, "interop.make"), "Idempotency-Key": "k"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await api.client.post(
            "/v1/things", content=b'{"amount_fen": 5}', headers=headers | {"Content-Type": kind}
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100_000

    for content in (b"x" * 1_100_000, pieces()):  # with a length, and without
        answer = await api.client.post("/v1/things", content=content, headers=headers | JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert await journal_topics(api) == []


async def test_a_refusal_repeats_nothing_of_what_was_sent(api: Api) -> None:
    headers = {"X-Request-Id": "0123456789abcdef"}
    answer = await api.call("GET", "/v1/things/marker?page=marker", by=BY, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "page")
    assert "marker" not in answer.text
    assert answer.json()["instance"] == "urn:onecard:request:0123456789abcdef"
    answer = await api.call("GET", "/v1/nothing/marker", by=BY, operation="interop.look")
    assert answer.status_code == 404
    assert "marker" not in answer.text


async def test_unknown_paths_and_methods_are_refused_as_problems(api: Api) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("DELETE", "/v1/things", 405)):
        answer = await api.client.request(method, path, headers={HEADER: api.token(BY, "interop.make")})
        assert answer.status_code == status
        assert answer.json()["show"]["zh"]


async def test_one_key_is_one_effect_however_often_it_comes(api: Api) -> None:
    answers = [await api.call("POST", "/v1/things", {"amount_fen": 5}, by=BY, key="k") for _ in range(3)]
    assert len({answer.json()["made"] for answer in answers}) == 1
    assert len(await journal_topics(api)) == 1
    other_body = await api.call("POST", "/v1/things", {"amount_fen": 6}, by=BY, key="k")
    assert (other_body.status_code, other_body.json()["code"]) == (422, "idempotency-key-reused")
    stranger = caller(client="ecard", citizen=uuid4())
    assert (await api.call("POST", "/v1/things", {"amount_fen": 6}, by=stranger, key="k")).status_code == 200


async def test_a_key_whose_first_request_is_still_running_is_told_so_at_once(api: Api) -> None:
    slow = {"path": "/v1/things?wait_s=1", "operation": "interop.make"}
    first = asyncio.create_task(api.call("POST", slow["path"], {"amount_fen": 5}, by=BY, key="k"))
    answer = None
    async with asyncio.timeout(5):
        while answer is None or answer.status_code == 200:
            assert not first.done()
            await asyncio.sleep(0.05)
            answer = await api.call("POST", slow["path"], {"amount_fen": 5}, by=BY, key="k")
    assert (answer.status_code, answer.json()["code"]) == (409, "still-running")
    assert (await first).status_code == 200


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "schlüssel".encode("latin-1").decode("latin-1")])
async def test_a_key_that_is_no_key_is_refused(api: Api, key: str) -> None:
    headers: dict[str, Any] = {HEADER: api.token(BY, "interop.make"), "Content-Type": "application/json"}
    raw = [
        *((name.encode(), value.encode()) for name, value in headers.items()),
        (b"Idempotency-Key", key.encode("latin-1")),
    ]
    answer = await api.client.post("/v1/things", content=b'{"amount_fen": 5}', headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")
