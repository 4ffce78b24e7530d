"""The table of raw requests, sent over sockets to a real gateway with a recording upstream behind it.

What is checked after each: at most one answer, the connection is closed, and the service has seen no more heads of
requests than the row allows, no whole request where one was refused, and never the second request that was hidden.
"""

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.testing import Door

ROWS: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("requests.toml").read_text())["request"]
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3})[^\r]*\r\n")
SILENCE_S = 0.4


@pytest_asyncio.fixture(scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    bounds = {
        "ONECARD_LIMIT_HEAD_TIMEOUT_S": str(SILENCE_S),
        "ONECARD_LIMIT_BODY_TIMEOUT_S": str(SILENCE_S),
        "ONECARD_LIMIT_KEEP_ALIVE_S": "1",
    }
    async with Door(tmp_path_factory.mktemp("conformance"), **bounds) as opened:
        yield opened


def raw(row: dict[str, Any], door: Door, token: str) -> bytes:
    auth = f"Host: 127.0.0.1:{door.port}\r\nAuthorization: Bearer {token}\r\n"
    one = f"GET /v1/cards/c1 HTTP/1.1\r\n{auth}\r\n"
    text = (
        row["send"]
        .replace("{auth}", auth)
        .replace("{token}", token)
        .replace("{fill}", "a" * row.get("fill", 0))
        .replace("{headers}", "".join(f"X-{number}: b\r\n" for number in range(row.get("headers", 0))))
        .replace("{pipelined}", one * row.get("pipelined", 0))
    )
    return str(text).encode("latin-1")


async def everything(port: int, request: bytes) -> bytes:
    """Send, and read until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    with suppress(ConnectionError):
        writer.write(request)
        async with asyncio.timeout(5):
            while piece := await reader.read(65_536):
                received += piece
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return bytes(received)


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
async def test_an_odd_request_is_answered_once_and_hides_no_second_one(row: dict[str, Any], door: Door) -> None:
    door.services.seen.clear()
    door.services.broken.clear()

    received = await everything(door.port, raw(row, door, door.issuer.token(citizen=uuid4())))

    statuses = [int(status) for status in STATUS_LINE.findall(received)] or [0]
    if row["answers"] == [100, 200]:
        assert statuses == [100, 200]
    elif "pipelined" not in row:
        assert len(statuses) == 1
        assert statuses[0] in row["answers"], received[:300]
    seen = door.services.seen
    assert len(seen) <= row.get("reaches", 0), seen
    assert not any("smug" in request.target for request in seen)
    assert not door.services.broken
    if 200 not in row["answers"]:
        assert not any(request.whole for request in seen)
    for request in seen:
        assert [name for name, _ in request.headers].count("onecard-token") == 1


async def test_the_door_still_works_after_all_that(door: Door) -> None:
    reply = await door.get("/v1/cards/c1", door.issuer.token(citizen=uuid4()))

    assert reply.status == 200


def test_the_table_holds_no_name_twice() -> None:
    names = [row["name"] for row in ROWS]

    assert len(set(names)) == len(names)
