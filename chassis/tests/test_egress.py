"""Calls that leave a service: a deadline over all attempts, retries only where safe, and a breaker that opens."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from chassis.breaker import CircuitBreaker
from chassis.egress import ANSWER_LIMIT, Outside, OutsideDown

Answering = Callable[[httpx.Request], Awaitable[httpx.Response]]


def outside(answer: Answering, *, deadline_s: float = 1.0, breaker: CircuitBreaker | None = None) -> Outside:
    transport = httpx.MockTransport(answer)
    return Outside("bank", "http://bank/api", deadline_s=deadline_s, transport=transport, breaker=breaker)


async def test_an_answer_below_500_comes_back_as_it_is() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["traceparent"]
        return httpx.Response(409, json={"code": "no"})

    got = await outside(answer).call("POST", "/x", body={}, repeatable=False)
    assert (got.status, got.body) == (409, {"code": "no"})


@pytest.mark.parametrize(("repeatable", "calls"), [(True, 3), (False, 1)])
async def test_only_what_is_safe_to_repeat_is_tried_again(repeatable: bool, calls: int) -> None:
    seen = 0

    async def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        return httpx.Response(503)

    with pytest.raises(OutsideDown):
        await outside(answer).call("POST", "/x", repeatable=repeatable)
    assert seen == calls


async def test_the_deadline_is_over_all_attempts_together() -> None:
    async def answer(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(5)
        return httpx.Response(200)

    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(OutsideDown):
        await outside(answer, deadline_s=0.2).call("GET", "/x", repeatable=True)
    assert loop.time() - begun < 2


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b"x" * (ANSWER_LIMIT + 1)),
        httpx.Response(200, content=b"<html>"),
    ],
    ids=["too much", "not JSON"],
)
async def test_an_answer_that_is_too_much_or_no_json_is_no_answer(response: httpx.Response) -> None:
    async def answer(_request: httpx.Request) -> httpx.Response:
        return response

    with pytest.raises(OutsideDown):
        await outside(answer).call("GET", "/x", repeatable=False)


async def test_a_redirect_is_not_followed() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "bank"
        return httpx.Response(302, headers={"location": "http://elsewhere/"})

    assert (await outside(answer).call("GET", "/x", repeatable=False)).status == 302


async def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_trial_through_after_its_pause() -> None:
    now, seen, healthy = 0.0, 0, False

    async def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        return httpx.Response(200 if healthy else 503)

    bank = outside(answer, breaker=CircuitBreaker(failures=2, pause_s=5, monotonic=lambda: now))

    async def fails() -> None:
        with pytest.raises(OutsideDown):
            await bank.call("GET", "/x", repeatable=False)

    await fails()
    await fails()
    await fails()
    assert seen == 2
    now = 6.0
    await fails()
    await fails()
    assert seen == 3
    now, healthy = 12.0, True
    await bank.call("GET", "/x", repeatable=False)
    await bank.call("GET", "/x", repeatable=False)
    assert seen == 5
