"""Services that are down or slow: clear answers within the time of the route."""

import asyncio
import time
from uuid import uuid4

import pytest

from gateway.forwarding import Forwarder
from gateway.heads import Head
from gateway.refusals import ServiceDown, ServiceTooLate
from gateway.routes import Route
from gateway.testing import Answer, Issuer, Seen, Services, free_port
from gateway.upstream import Pool


def route(method: str = "GET", timeout_s: float = 0.2) -> Route:
    return Route(
        path="/v1/x",
        methods=(method,),
        service="card",
        operation="card.x",
        scopes=frozenset(("card",)),
        assurance=1,
        sensitive=False,
        body_limit=100,
        timeout_s=timeout_s,
        public=False,
    )


def head(method: str = "GET") -> Head:
    return Head(
        method=method,
        path="/v1/x",
        target=b"/v1/x",
        passed=[],
        authorization=None,
        cookie=None,
        length=None,
        chunked=False,
        traceparent="",
        request_id="r",
        network="",
    )


async def never() -> dict[str, object]:
    await asyncio.Event().wait()
    return {}


def forwarder(port: int) -> Forwarder:
    pool = Pool("127.0.0.1", port, asyncio.get_running_loop(), time.monotonic)
    return Forwarder({"card": pool}, public_host="x", body_timeout_s=1.0)


class Sent(list[dict[str, object]]):
    async def __call__(self, message: dict[str, object]) -> None:
        self.append(message)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_service_that_is_not_there_is_503_and_nothing_happened(method: str) -> None:
    with pytest.raises(ServiceDown):
        await forwarder(free_port()).forward(head(method), route(method), "t", never, Sent())


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_service_that_is_too_slow_is_504_in_the_time_of_the_route(method: str) -> None:
    services = Services(Issuer("http://x"))
    services.script = lambda _seen: None
    await services.start()
    began = time.monotonic()
    try:
        with pytest.raises(ServiceTooLate):
            await forwarder(services.port).forward(head(method), route(method), "t", never, Sent())
    finally:
        await services.stop()

    assert 0.19 < time.monotonic() - began < 1.0
    assert len(services.seen) == 1, "what may have happened is not sent again"


async def test_a_connection_that_waited_too_long_is_not_used_for_a_write() -> None:
    services = Services(Issuer("http://x"))
    await services.start()
    now_s = 0.0
    pool = Pool("127.0.0.1", services.port, asyncio.get_running_loop(), lambda: now_s)
    door = Forwarder({"card": pool}, public_host="x", body_timeout_s=1.0)
    try:
        await door.forward(head(), route(timeout_s=2), "t", never, Sent())
        first = set(services.connections)
        await door.forward(head(), route(timeout_s=2), "t", never, Sent())
        assert set(services.connections) == first
        now_s = 4.5
        await door.forward(head("POST"), route("POST", timeout_s=2), "t", never, Sent())
        assert not first & services.connections
    finally:
        pool.close()
        await services.stop()


async def test_connections_are_kept_and_used_again_also_under_load() -> None:
    services = Services(Issuer("http://x"))
    await services.start()
    door = forwarder(services.port)

    def answer(seen: Seen) -> Answer:
        return Answer(body=(seen.header("x-request-id") or "").encode())

    services.script = answer
    try:
        for _ in range(5):
            sent = [Sent() for _ in range(20)]
            heads = [head() for _ in sent]
            for one in heads:
                one.request_id = uuid4().hex
            await asyncio.gather(
                *(door.forward(one, route(timeout_s=5), "t", never, out) for one, out in zip(heads, sent, strict=True))
            )
            for one, out in zip(heads, sent, strict=True):
                assert out[1]["body"] == one.request_id.encode()
        assert len(services.connections) <= 20
        assert len(services.seen) == 100
    finally:
        await services.stop()
