"""Quotas and room: refused with a time to come back, and never for the price of unbounded memory."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.limits import Buckets, Doorkeeper, retry_after_s
from gateway.refusals import Overloaded
from gateway.testing import Answer, Door

BOUNDS = {
    "ONECARD_LIMIT_PERSON_RATE": "1",
    "ONECARD_LIMIT_PERSON_BURST": "3",
    "ONECARD_LIMIT_CLIENT_RATE": "1",
    "ONECARD_LIMIT_CLIENT_BURST": "6",
    "ONECARD_LIMIT_NETWORK_RATE": "1",
    "ONECARD_LIMIT_NETWORK_BURST": "4",
    "ONECARD_LIMIT_REFUSED_RATE": "1",
    "ONECARD_LIMIT_REFUSED_BURST": "5",
    "ONECARD_LIMIT_IN_FLIGHT": "3",
    "ONECARD_LIMIT_IN_FLIGHT_SERVICE": "2",
}


@pytest_asyncio.fixture
async def tight(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    async with Door(tmp_path_factory.mktemp("tight"), **BOUNDS) as opened:
        yield opened


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    buckets = Buckets(rate=2, burst=3, remembered=10)

    assert [buckets.take("a", 100.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", 100.0) == pytest.approx(0.5)
    assert buckets.take("b", 100.0) == 0.0
    assert buckets.take("a", 100.5) == 0.0
    assert buckets.take("a", 100.5) > 0.0
    assert [buckets.take("a", 200.0) for _ in range(3)] == [0.0] * 3


def test_turning_the_generations_refills_nobody_early() -> None:
    buckets = Buckets(rate=1, burst=2, remembered=10)
    assert [buckets.take("a", 10.0), buckets.take("a", 10.0), buckets.take("a", 11.9)] == [0.0] * 3

    assert buckets.take("a", 12.05) == 0.0  # the generations have turned in between
    assert buckets.take("a", 12.05) == pytest.approx(0.95)


def test_what_is_remembered_is_bounded() -> None:
    buckets = Buckets(rate=0.001, burst=10, remembered=1_000)

    for number in range(50_000):
        buckets.take(str(number), 1.0)

    assert len(buckets) <= 1_001


def test_retry_after_is_whole_seconds_and_never_zero() -> None:
    assert [retry_after_s(wait) for wait in (0.01, 1.0, 1.2)] == [1, 1, 2]


def test_a_slow_service_leaves_room_for_the_others() -> None:
    doorkeeper = Doorkeeper(bound=3, bound_service=2)
    doorkeeper.enter("card")
    doorkeeper.enter("card")
    with pytest.raises(Overloaded):
        doorkeeper.enter("card")
    doorkeeper.enter("payment")
    with pytest.raises(Overloaded):
        doorkeeper.enter("scenario")
    doorkeeper.leave("card")
    doorkeeper.enter("scenario")

    assert doorkeeper.in_flight == 3


async def test_a_person_has_a_quota_of_their_own(tight: Door) -> None:
    token = tight.issuer.token(citizen=uuid4())
    statuses = [(await tight.get("/v1/cards/c1", token)).status for _ in range(3)]
    reply = await tight.get("/v1/cards/c1", token)

    assert statuses == [200] * 3
    assert (reply.status, reply.json()["code"]) == (429, "too-many-requests")
    assert reply.headers["retry-after"] == "1"
    assert len(tight.services.seen) == 3
    assert (await tight.get("/v1/cards/c1", tight.issuer.token(citizen=uuid4()))).status == 200


async def test_a_client_has_a_quota_whoever_its_persons_are(tight: Door) -> None:
    async def ask(client: str) -> int:
        return (await tight.get("/v1/cards/c1", tight.issuer.token(citizen=uuid4(), client_id=client))).status

    assert [await ask("channel-a") for _ in range(7)] == [200] * 6 + [429]
    assert await ask("channel-b") == 200


async def test_public_routes_and_pages_have_a_quota_by_address(tight: Door) -> None:
    statuses = [(await tight.get(path)).status for path in ("/v1/trust-list", "/", "/v1/cells", "/", "/", "/v1/cells")]

    assert statuses == [200] * 4 + [429] * 2


async def test_whoever_sends_many_bad_tokens_waits_before_the_next_is_looked_at(tight: Door) -> None:
    good = tight.issuer.token(citizen=uuid4())
    assert (await tight.get("/v1/cards/c1", good)).status == 200

    statuses = [(await tight.get("/v1/cards/c1", "forged")).status for _ in range(7)]

    assert statuses == [401] * 5 + [429] * 2
    assert (await tight.get("/v1/cards/c1", good)).status == 200, "a token that is known costs nothing to look at"


async def test_more_than_there_is_room_for_is_shed_at_once(tight: Door) -> None:
    tight.services.script = lambda _seen: Answer(delay_s=0.5)
    tokens = [tight.issuer.token(citizen=uuid4(), client_id=f"c{number}") for number in range(4)]

    replies = await asyncio.gather(*(tight.get("/v1/cards/c1", token) for token in tokens))

    assert sorted(reply.status for reply in replies) == [200, 200, 503, 503]
    shed = next(reply for reply in replies if reply.status == 503)
    assert (shed.json()["code"], shed.headers["retry-after"]) == ("overloaded", "1")
    assert len(tight.services.seen) == 2
    metrics = (await tight.health("/metrics")).body.decode()
    assert 'onecard_gateway_refusals_total{code="overloaded"} 2.0' in metrics
    tight.services.script = lambda _seen: Answer()
    assert (await tight.get("/v1/cards/c1", tokens[0])).status == 200
