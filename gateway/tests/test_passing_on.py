"""What passes through the gateway, in both directions, and what does not."""

import asyncio
import json
import os
import re
from uuid import UUID

import pytest

from gateway.testing import Answer, Door, Seen, Upstream, eventually, read_reply

CITIZEN = UUID("01890000-0000-7000-8000-000000000001")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def token(door: Door) -> str:
    return door.issuer.token(citizen=CITIZEN)


async def test_path_query_and_ordinary_headers_arrive_as_they_were_sent(door: Door, token: str) -> None:
    await door.get(
        "/v1/cards/c1?at=2026-01-01T00%3A00%3A00Z", token, Accept_Language="zh", X_A="b", Idempotency_Key="k"
    )

    seen = door.services.seen[0]
    assert (seen.method, seen.target) == ("GET", "/v1/cards/c1?at=2026-01-01T00%3A00%3A00Z")
    assert (seen.header("accept-language"), seen.header("x-a"), seen.header("idempotency-key")) == ("zh", "b", "k")
    assert seen.header("host") == door.public_url.removeprefix("http://")


@pytest.mark.parametrize(
    "header",
    [
        "Onecard-Token: evil",
        "ONECARD-TOKEN: evil",
        "Onecard-Network: 10.0.0.1",
        "Onecard-Anything: x",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "Keep-Alive: timeout=100",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: Onecard-Token",
        "Cookie: a=b",
        "Connection: X-Hop, close\r\nX-Hop: 1",
    ],
)
async def test_what_is_for_this_hop_or_not_the_callers_to_say_does_not_pass(
    door: Door, token: str, header: str
) -> None:
    request = f"GET /v1/cards/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{header}\r\n\r\n"

    assert (await door.raw(request.encode())).status == 200

    seen = door.services.seen[0]
    names = {name for name, _ in seen.headers}
    assert names == {"host", "onecard-token", "traceparent", "x-request-id"}
    assert seen.header("onecard-token") != "evil"


async def test_the_access_token_stays_at_the_door(door: Door, token: str) -> None:
    await door.get("/v1/cards/c1", token)

    assert not any(token in value for _, value in door.services.seen[0].headers)


async def test_public_routes_get_credentials_cookies_and_the_callers_address(door: Door) -> None:
    await door.send("POST", "/oauth/token", None, b"a=b", Authorization="Basic eDp5", Cookie="s=1")

    seen = door.services.seen[0]
    assert (seen.header("authorization"), seen.header("cookie")) == ("Basic eDp5", "s=1")
    assert seen.header("onecard-network") == "127.0.0.1"
    assert bytes(seen.body) == b"a=b"


async def test_a_trace_goes_on_and_a_broken_one_begins_anew(door: Door, token: str) -> None:
    await door.get("/v1/cards/c1", token, traceparent=TRACE, X_Request_ID="req-0001")
    await door.get("/v1/cards/c1", token, traceparent="junk", X_Request_ID='x"y')

    first, second = door.services.seen
    assert (first.header("traceparent") or "")[:36] == TRACE[:36]
    assert first.header("traceparent") != TRACE
    assert first.header("x-request-id") == "req-0001"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", second.header("traceparent") or "")
    assert re.fullmatch(r"[0-9a-f]{16}", second.header("x-request-id") or "")


async def test_an_answer_comes_back_without_what_is_internal(door: Door, token: str) -> None:
    headers = (
        ("content-type", "application/json"),
        ("Onecard-Token", "inner"),
        ("Server", "uvicorn"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("ETag", '"1"'),
    )
    door.services.script = lambda _seen: Answer(201, b'{"a":1}', headers)

    reply = await door.get("/v1/cards/c1", token)

    assert (reply.status, reply.json()) == (201, {"a": 1})
    assert set(reply.headers) == {"date", "content-type", "content-length", "etag", "x-request-id", "cache-control"}
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_pass(door: Door, token: str, status: int) -> None:
    door.services.script = lambda _seen: Answer(raw=f"HTTP/1.1 {status} X\r\netag: x\r\n\r\n".encode())

    for _ in range(3):
        assert (await door.get("/v1/cards/c1", token)).status == status


async def test_an_answer_that_ends_with_its_connection_is_whole(door: Door, token: str) -> None:
    door.services.script = lambda _seen: Answer(raw=b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True)

    assert (await door.get("/v1/cards/c1", token)).body == b"until the end"


async def test_an_interim_answer_is_not_the_answer(door: Door, token: str) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    door.services.script = lambda _seen: Answer(raw=raw)

    reply = await door.get("/v1/cards/c1", token)

    assert (reply.status, reply.body, "link" in reply.headers) == (200, b"ok", False)


async def test_an_answer_that_nobody_asked_for_poisons_no_later_request(door: Door, token: str) -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
    door.services.script = lambda _seen: Answer(raw=one + b"one" + one + b"two")
    assert (await door.get("/v1/cards/c1", token)).body == b"one"
    door.services.script = lambda _seen: Answer(raw=one + b"new")

    assert (await door.get("/v1/cards/c1", token)).body == b"new"


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000,
    ],
)
async def test_a_broken_answer_is_503_for_a_read_and_504_for_a_write(door: Door, token: str, raw: bytes) -> None:
    door.services.script = lambda _seen: Answer(raw=raw)

    assert (await door.get("/v1/cards/c1", token)).status == 503
    assert (await door.send("POST", "/v1/cards", token, b"{}")).status == 504


async def test_an_answer_that_breaks_off_does_not_look_whole(door: Door, token: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
    door.services.script = lambda _seen: Answer(raw=raw, close=True)

    with pytest.raises(asyncio.IncompleteReadError):
        await door.get("/v1/cards/c1", token)


async def test_a_read_is_sent_again_when_the_pooled_connection_was_stale(door: Door, token: str) -> None:
    await door.get("/v1/cards/c1", token)
    dropped: list[Seen] = []

    def drop_once(seen: Seen, upstream: Upstream) -> None:
        if not dropped:
            dropped.append(seen)
            upstream.transport.abort()

    door.services.on_head = drop_once
    reply = await door.get("/v1/cards/c1", token)

    assert reply.status == 200
    assert len(door.services.seen) == 3


@pytest.mark.parametrize(("path", "body"), [("/v1/cards", b"{}"), ("/v1/cards/c1/enabling", None)])
async def test_a_write_is_never_sent_again(door: Door, token: str, path: str, body: bytes | None) -> None:
    await door.get("/v1/cards/c1", token)
    door.services.on_head = lambda _seen, upstream: upstream.transport.abort()

    reply = await door.send("POST", path, token, body)

    assert (reply.status, reply.json()["code"]) == (504, "timeout")
    assert reply.json()["safe_to_retry"]
    assert len(door.services.seen) == 2


async def test_a_read_that_breaks_inside_its_answer_is_not_sent_again(door: Door, token: str) -> None:
    await door.get("/v1/cards/c1", token)
    door.services.script = lambda _seen: Answer(raw=b"HTTP/1.1 2", close=True)

    assert (await door.get("/v1/cards/c1", token)).status == 503
    assert len(door.services.seen) == 2


async def test_a_body_streams_in_while_it_is_still_being_sent(door: Door, token: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST /v1/cards HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + b"3\r\nabc\r\n")
    async with asyncio.timeout(3):
        await eventually(lambda: [bytes(seen.body) for seen in door.services.seen] == [b"abc"])
    assert not door.services.seen[0].whole

    writer.write(b"2\r\nde\r\n0\r\n\r\n")
    reply = await read_reply(reader)
    writer.close()

    assert reply.status == 200
    assert bytes(door.services.seen[0].body) == b"abcde"


async def test_a_body_that_breaks_off_never_looks_whole_to_the_service(door: Door, token: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST /v1/cards HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\nabc"
    writer.write(head.encode())
    async with asyncio.timeout(3):
        await eventually(lambda: bool(door.services.seen))
        writer.close()
        await eventually(lambda: all(one.current is not door.services.seen[0] for one in door.services.connections))

    assert not door.services.seen[0].whole


async def test_a_large_body_arrives_whole_in_both_directions(door: Door, token: str) -> None:
    sent = os.urandom(1_000_000)
    answered = os.urandom(3_000_000)
    door.services.script = lambda _seen: Answer(body=answered)

    reply = await door.send("POST", "/v1/cards", token, sent)

    assert bytes(door.services.seen[0].body) == sent
    assert reply.body == answered


async def test_an_answer_streams_out_while_it_is_still_being_made(door: Door, token: str) -> None:
    upstreams: list[Upstream] = []
    door.services.script = lambda _seen: None
    door.services.on_head = lambda _seen, upstream: upstreams.append(upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"GET /v1/cards/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    async with asyncio.timeout(3):
        await eventually(lambda: bool(upstreams))
        transport = upstreams[0].transport
        transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        transport.write(b"3\r\nabc\r\n")
        assert await reader.readuntil(b"abc\r\n") == b"3\r\nabc\r\n"
        transport.write(b"0\r\n\r\n")
        assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
    writer.close()


async def test_a_client_that_does_not_read_holds_the_service_back(door: Door, token: str) -> None:
    paused = asyncio.Event()
    upstreams: list[Upstream] = []
    door.services.script = lambda _seen: None

    def begin(_seen: Seen, upstream: Upstream) -> None:
        upstreams.append(upstream)
        upstream.pause_writing = paused.set  # type: ignore[method-assign]  # to see the pressure arrive

    door.services.on_head = begin
    _, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1_024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a client that does not read
    writer.write(f"GET /v1/cards/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    piece = b"x" * 65_536
    async with asyncio.timeout(5):
        await eventually(lambda: bool(upstreams))
        upstreams[0].transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        sent = 0
        while not paused.is_set():
            upstreams[0].transport.write(piece)
            sent += len(piece)
            await asyncio.sleep(0)
            assert sent < 64_000_000, "the gateway takes everything"
    writer.transport.abort()


async def test_a_client_that_goes_away_ends_the_exchange_with_the_service(door: Door, token: str) -> None:
    upstreams: list[Upstream] = []
    door.services.script = lambda _seen: None
    door.services.on_head = lambda _seen, upstream: upstreams.append(upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"GET /v1/cards/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    async with asyncio.timeout(3):
        await eventually(lambda: bool(upstreams))
        upstreams[0].transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
        await reader.readuntil(b"abc")
        writer.close()
        await eventually(lambda: upstreams[0] not in door.services.connections)


async def test_an_early_answer_to_an_upload_is_passed_back(door: Door, token: str) -> None:
    def refuse(_seen: Seen, upstream: Upstream) -> None:
        upstream.send(Answer(422, b'{"code":"invalid-field"}'))

    door.services.on_head = refuse
    door.services.script = lambda _seen: None
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST /v1/cards HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 900000\r\n\r\n"
    writer.write(head.encode() + b"a" * 1000)
    reply = await asyncio.wait_for(read_reply(reader), 3)
    writer.close()

    assert (reply.status, reply.headers["connection"]) == (422, "close")


async def test_an_address_that_does_not_exist_is_a_problem_with_a_way_out(door: Door) -> None:
    reply = await door.get("/v2/cards")

    problem = reply.json()
    assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")
    assert problem["type"] == f"{door.public_url}/docs/problems#not-found"
    assert problem["show"].keys() == {"zh", "en"}
    assert problem["instance"] == f"urn:onecard:request:{reply.headers['x-request-id']}"


async def test_logs_and_metrics_name_operations_and_no_person(door: Door, token: str) -> None:
    await door.get("/v1/cards/1234567890", token, X_Request_ID="find-this-one")
    async with asyncio.timeout(3):
        await eventually(lambda: "find-this-one" in door.log())

    line = json.loads(next(line for line in door.log().splitlines() if "find-this-one" in line))
    assert (line["operation"], line["status"], line["client"]) == ("card.read", 200, "channel-1")
    assert str(CITIZEN) not in door.log()
    assert "1234567890" not in door.log()
    assert token not in door.log()
    metrics = (await door.health("/metrics")).body.decode()
    assert 'onecard_gateway_requests_total{method="GET",operation="card.read",status="200"}' in metrics
    assert 'onecard_gateway_request_seconds_bucket{le="0.005",operation="card.read"}' in metrics
    assert "onecard_gateway_revocation_age_seconds" in metrics
    assert "1234567890" not in metrics
