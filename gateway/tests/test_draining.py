"""SIGTERM under load: every request that was taken is answered, whole, and the process ends in time."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from gateway.testing import Answer, Door, eventually, read_reply


async def client(door: Door, token: str, answered: list[int], failed: list[str]) -> None:
    """Ask again and again on one kept connection, and on a new one when told to close."""
    request = f"GET /v1/cards/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        except OSError:
            return  # no longer accepting: nothing was asked, so nothing failed
        first = True
        with suppress(OSError):
            while True:
                try:
                    writer.write(request)
                    reply = await read_reply(reader)
                except (OSError, asyncio.IncompleteReadError) as error:
                    failed.append(f"broke off: {error!r}")
                    break
                if reply.status == 0:
                    if not first:
                        failed.append("closed without an answer on a connection that was said to stay")
                    break
                answered.append(reply.status)
                first = False
                if reply.headers.get("connection") == "close":
                    break
        writer.close()


async def test_sigterm_under_load_fails_no_request(tmp_path: Path) -> None:
    async with Door(tmp_path) as door:
        door.services.script = lambda _seen: Answer(delay_s=0.02)
        answered: list[int] = []
        failed: list[str] = []
        tokens = [door.issuer.token(citizen=uuid4()) for _ in range(20)]
        clients = [asyncio.create_task(client(door, token, answered, failed)) for token in tokens]
        async with asyncio.timeout(10):
            await eventually(lambda: len(answered) >= 200)
            door.process.terminate()
            await asyncio.gather(*clients)
            await door.process.wait()

    assert failed == []
    assert set(answered) == {200}
    assert door.process.returncode == 0


async def test_a_long_answer_under_way_is_finished_and_an_idle_client_does_not_hold_the_process(tmp_path: Path) -> None:
    async with Door(tmp_path) as door:
        door.services.script = lambda _seen: Answer(delay_s=1.0)
        _, idle = await asyncio.open_connection("127.0.0.1", door.port)
        asking = asyncio.create_task(door.get("/v1/cards/c1", door.issuer.token(citizen=uuid4())))
        async with asyncio.timeout(10):
            await eventually(lambda: bool(door.services.seen))
            began = time.monotonic()
            door.process.terminate()
            reply = await asking
            await door.process.wait()
        idle.close()

    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert time.monotonic() - began < 5


async def test_a_request_that_crosses_the_stop_on_a_kept_connection_is_still_answered(tmp_path: Path) -> None:
    async with Door(tmp_path, ONECARD_LIMIT_DRAIN_WAIT_S="2") as door:
        token = door.issuer.token(citizen=uuid4())
        request = f"GET /v1/cards/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(request)
        assert (await read_reply(reader)).status == 200

        door.process.terminate()
        async with asyncio.timeout(3):
            while (await door.get("/")).status:  # until nobody new is let in
                pass
        writer.write(request)
        reply = await read_reply(reader)
        writer.close()
        await door.process.wait()

    assert (reply.status, reply.headers["connection"]) == (200, "close")


async def test_readiness_goes_first(tmp_path: Path) -> None:
    async with Door(tmp_path) as door:
        door.services.script = lambda _seen: Answer(delay_s=1.0)
        asking = asyncio.create_task(door.get("/v1/cards/c1", door.issuer.token(citizen=uuid4())))
        async with asyncio.timeout(10):
            await eventually(lambda: bool(door.services.seen))
            door.process.terminate()
            while (reply := await door.health("/readyz")).status == 200:
                pass
            assert reply.body == b"stopping\n"
            assert (await asking).status == 200
