"""Looking at what a service could not apply, and having it tried again: on a real follower."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from chassis.journal.received import Received
from chassis.journal.set_aside import put
from chassis.testing.waiting import until
from contracts.events.card import CardEnabled
from contracts.events.envelope import encode


@pytest.fixture
async def failed(cell: Any) -> AsyncIterator[str]:
    """An event of card that payment-svc has set aside, waiting for a person; its key."""
    told = CardEnabled(card=uuid4(), handle=uuid4(), citizen=uuid4(), state="active", level=2, area="330400", version=5)
    runtime = cell.services["payment"].app.state.runtime
    body = encode(told, event_id=uuid4(), source="/cells/330000/card-svc", time=runtime.clock())
    async with runtime.workshop.begin() as work:
        event = Received("card", 1, told.topic, told.key, body)
        await put(await work.asyncpg(), "card", [event], "KeyError: \x1b[31m[bold]planted", due=False)
    yield told.key
    async with runtime.workshop.begin() as work:
        await (await work.asyncpg()).execute("DELETE FROM journal_set_aside")


async def test_nothing_set_aside_is_well(cell: Any) -> None:
    result = await cell.onecard("set-aside", "list")
    assert (result.exit_code, result.stdout) == (0, "Nothing is set aside.\n")
    result = await cell.onecard("set-aside", "list", "card", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"well": True, "events": []})


async def test_what_is_set_aside_is_listed_without_its_body_and_steers_no_terminal(cell: Any, failed: str) -> None:
    result = await cell.onecard("set-aside", "list", "--json")
    assert result.exit_code == 1
    [event] = json.loads(result.stdout)["events"]
    assert event == {
        "service": "payment",
        "source": "card",
        "position": 1,
        "topic": "card.card.enabled.v1",
        "key": failed,
        "error": "KeyError: [31m[bold]planted",
        "tries": 0,
        "due": None,
    }
    human = await cell.onecard("set-aside", "list", "payment")
    assert "\x1b" not in human.stdout
    assert "[bold]planted" in human.stdout  # shown as it is, not taken as markup
    assert "waits" in human.stdout


async def test_status_and_doctor_count_it(cell: Any, failed: str) -> None:
    status = await cell.onecard("status")
    assert status.exit_code == 1
    assert "payment-svc has 1 event set aside." in status.stdout
    doctor = await cell.onecard("doctor")
    assert doctor.exit_code == 1
    assert "`onecard set-aside list payment` says why" in doctor.stdout


async def test_a_retry_has_the_follower_apply_it(cell: Any, failed: str) -> None:
    result = await cell.onecard("set-aside", "retry", "payment", "card", failed)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"payment-svc tries the events of card/{failed} again within about a second.\n"

    async def is_applied() -> bool:
        return (await cell.onecard("set-aside", "list", "payment")).exit_code == 0

    await until(is_applied, what="the retry")


async def test_a_retry_whose_answer_is_lost_is_sent_again_under_the_same_key(cell: Any, failed: str) -> None:
    path, lost = "/v1/services/payment/set-aside/retry", []

    def lose_the_first(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == path and not lost:
            lost.append(request)
            raise httpx.ReadTimeout("lost")
        return None

    cell.door.planned = lose_the_first
    result = await cell.onecard("set-aside", "retry", "payment", "card", failed, "--json")
    assert json.loads(result.stdout) == {"service": "payment", "source": "card", "key": failed, "asked": True}
    keys = [request.headers["idempotency-key"] for request in cell.door.seen if request.url.path == path]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert UUID(keys[0])


async def test_a_key_with_nothing_set_aside_is_refused_in_one_sentence(cell: Any) -> None:
    result = await cell.onecard("set-aside", "retry", "payment", "card", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "onecard: Nothing of this key is set aside. (nothing-set-aside, HTTP 404)\n"


async def test_a_service_that_does_not_exist_is_refused_before_anyone_is_asked(cell: Any) -> None:
    result = await cell.onecard("set-aside", "list", "cards")
    assert result.exit_code == 2
    assert "the services are identity, card, payment" in result.stderr
    assert cell.door.seen == []
