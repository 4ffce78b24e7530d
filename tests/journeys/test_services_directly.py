"""Every route of every service, at its own port and past the gateway, is sent what is broken: a clear 4xx that names
the field and repeats nothing of what was sent; and at the end not one row has changed.

It is all generated from the services' OpenAPI: a new route is covered by being there.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from chassis.internal_tokens import HEADER
from tests.demo.cell import RunningCell
from tests.journeys.inside import Inside
from tests.journeys.operations import OWN_FORM, SOME_ID, Operation, Schema, every_operation

MARKER = "kqzmarker"  # in everything that is sent, in nothing that comes back
LEAKS = re.compile(
    r"Traceback|site-packages|sqlalchemy|asyncpg|SELECT|INSERT|pydantic|File \"|127\.0\.0\.1|:2[0-9]{4}/"
)
PUBLIC_URL = re.compile(r"http://localhost:[0-9]+/docs/problems#[a-z-]+")
OTHER_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "", "a/b;")
ODD_IDS = ("%00", f"{MARKER}%0A", "%FF%FE", "%F0%9F%92%A9", MARKER * 30, "1%27%20OR%201=1", "..%2f..", "%ED%A0%80")
ALL = [operation for operation in every_operation() if not operation.path.startswith(OWN_FORM)]
WITH_BODY = [operation for operation in ALL if operation.body is not None]
WITH_PARAMETER = [operation for operation in ALL if "{" in operation.path]
KEYED = [operation for operation in ALL if operation.keyed]


def named(operation: Operation) -> str:
    return operation.id


@pytest.fixture(scope="module")
async def inside(running_cell: RunningCell) -> AsyncIterator[Inside]:
    """The cell from inside; whatever these tests send, its rows are afterwards what they were."""
    inside = Inside.of(running_cell)
    before = await inside.rows()
    assert sum(count for count, _ in before.values()) > 50  # the sandbox: the look itself sees something
    yield inside
    after = await inside.rows()
    inside.http.close()
    assert {table: after[table] for table in after if after[table] != before.get(table)} == {}


@dataclass(frozen=True)
class Broken:
    """One broken body."""

    what: str
    content: bytes
    field: str | None = None  # that must be named
    statuses: tuple[int, ...] = (400,)


def refused(answer: httpx.Response, what: str, *statuses: int) -> dict[str, Any]:
    """A problem of the catalogue that says what may be said."""
    said = f"{what}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, said
    assert answer.headers["content-type"] == "application/problem+json", said
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code, said
    assert problem["code"], said
    assert problem["detail"], said
    assert problem["show"]["zh"], said
    assert problem["show"]["en"], said
    told = PUBLIC_URL.sub("", answer.text)
    assert not LEAKS.search(told), said
    assert MARKER not in told, said
    assert SOME_ID not in told, said
    return problem


def broken_as_a_whole(operation: Operation) -> Iterator[Broken]:
    """Bodies that are wrong before any field is looked at."""
    good = json.dumps(operation.sample()).encode()
    first = next(iter(operation.fields), "a").encode()
    yield Broken("cut off", good[:-1] + b' , "%b"' % MARKER.encode())
    yield Broken("no UTF-8", b'{"%b": "\xff\xfe%b"}' % (first, MARKER.encode()))
    yield Broken("UTF-16", json.dumps(operation.sample()).encode("utf-16"))
    yield Broken("a byte order mark", b"\xef\xbb\xbf" + good)
    yield Broken("a name twice", b'{"%b": 1, "%b": 1}' % (first, first))
    if operation.fields:
        twice = json.dumps(operation.sample()[first.decode()]).encode()
        yield Broken("a right name twice", good[:-1] + b', "%b": %b}' % (first, twice))
    yield Broken("NaN", b'{"%b": NaN}' % first)
    yield Broken("Infinity", b'{"%b": -Infinity}' % first)
    yield Broken("nested deeply", b'{"a":' * 20_000)
    yield Broken("nested deeply and closed", b"[" * 20_000 + b"]" * 20_000, None, (400, 422))
    yield Broken("a number of 5,000 digits", b'{"%b": %b}' % (first, b"9" * 5_000))
    for value in (b"null", b"[]", b'"%b"' % MARKER.encode(), b"7", b"true", b""):
        yield Broken(f"no object: {value!r}", value, None, (422,))


def broken_in_a_field(operation: Operation) -> Iterator[Broken]:
    """Bodies that are right but for one field."""
    sample = operation.sample()
    yield _json("an unknown field", sample | {"surprise": MARKER}, "surprise")
    yield _json("a field that nobody would name", sample | {f"{MARKER}\n<b>": 1}, None)
    yield _json("a name that is no text", sample | {"\ud800": 1}, None)
    yield _json("a name without end", sample | {MARKER * 500: 1}, None)
    for name in (operation.body or {}).get("required", ()):
        yield _json(f"{name} missing", {n: v for n, v in sample.items() if n != name}, name)
    for name, schema in operation.fields.items():
        for value in wrong_values(schema):
            yield _json(f"{name} = {str(value)[:40]!r}", sample | {name: value}, name)


def wrong_values(schema: Schema) -> Iterator[Any]:
    """Values that a field never takes."""
    kinds = {choice.get("type") for choice in schema.get("anyOf", [schema])}
    yield from ({"deep": {"er": [MARKER]}}, [[[MARKER]]], True, 1.5)
    if "null" not in kinds:
        yield None
    if "integer" in kinds:
        yield from (0, -1, 2**31 * 1000, 2**63, 10**400, "1", MARKER, 1e300)
    if "string" in kinds:
        for text in ("\0", "\x1b[31m", "\n", "\x7f", "\ud800", "\udfff\ud800"):
            yield MARKER + text
        yield from (MARKER * 2_000, 7)
    if "array" in kinds:
        yield from ([None], [MARKER + "\0"], ["\ud800"], MARKER, [str(n) for n in range(10_000)])


def _json(what: str, body: Any, field: str | None) -> Broken:
    return Broken(what, json.dumps(body).encode(), field, (422,))


@pytest.mark.parametrize("operation", ALL, ids=named)
def test_no_port_opens_without_an_internal_token(inside: Inside, operation: Operation) -> None:
    good = json.dumps(operation.sample()).encode() if operation.body is not None else None
    for token in ("", "x.y", MARKER, "A" * 5_000, "e30.e30", "ébène.é"):
        headers = {HEADER: token.encode("latin-1")}
        problem = refused(inside.send(operation, headers=headers, content=good), token, 401)
        assert problem["code"] == "unauthenticated"
    forged = {"Onecard-Network": "10.0.0.1", "X-User": "root", "Authorization": f"Bearer {MARKER}"}
    url = inside.cell.service_url(operation.service) + operation.url()
    refused(inside.http.request(operation.method, url, headers=forged), "no token", 401)


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_a_broken_body_is_refused(inside: Inside, operation: Operation) -> None:
    for broken in broken_as_a_whole(operation):
        refused(inside.send(operation, content=broken.content), broken.what, *broken.statuses)
    good = json.dumps(operation.sample()).encode()
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "",
        "a/b;",
    ):
        problem = refused(inside.send(operation, content=good, headers={"Content-Type": kind}), kind, 415)
        assert problem["code"] == "unsupported-media-type"
    problem = refused(inside.send(operation, content=b"x" * 1_100_000), "too large", 413)
    assert problem["code"] == "too-large"


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_a_wrong_field_is_refused_and_named(inside: Inside, operation: Operation) -> None:
    for broken in broken_in_a_field(operation):
        problem = refused(inside.send(operation, content=broken.content), broken.what, *broken.statuses)
        assert problem["code"] == "invalid-field", (broken.what, problem)
        field = str(problem.get("field", ""))
        assert field.partition(".")[0] == (broken.field or ""), (broken.what, problem)


@pytest.mark.parametrize("operation", WITH_PARAMETER, ids=named)
def test_an_id_that_is_none_is_refused(inside: Inside, operation: Operation) -> None:
    content = json.dumps(operation.sample()).encode() if operation.body is not None else None
    for value in (
        "%00",
        f"{MARKER}%0A",
        "%FF%FE",
        "%F0%9F%92%A9",
        MARKER * 30,
        "1%27%20OR%201=1",
        "..%2f..",
        "%ED%A0%80",
    ):
        refused(inside.send(operation, path=operation.url(value), content=content), value, 404, 422)


@pytest.mark.parametrize("operation", KEYED, ids=named)
def test_a_key_that_is_no_key_is_refused(inside: Inside, operation: Operation) -> None:
    content = json.dumps(operation.sample()).encode() if operation.body is not None else None
    for key in ("", "x" * 201, f"{MARKER} b", "schlüssel", "a\tb"):
        answer = inside.send(operation, content=content, headers={"Idempotency-Key": key.encode("latin-1")})
        problem = refused(answer, repr(key), 400)
        assert problem["field"] == "Idempotency-Key"


def test_every_operation_is_in_the_tables_above() -> None:
    covered = {operation.id for operation in ALL}
    assert covered == {o.id for o in every_operation() if not o.path.startswith(OWN_FORM)}
    assert len(covered) > 45
    assert len(WITH_BODY) > 15
    assert {operation.service for operation in WITH_BODY} == {"identity", "card", "payment", "scenario", "interop"}
