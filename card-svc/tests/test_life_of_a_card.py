"""A card's life through its real routes: what the table of steps allows happens, everything else is refused."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from card_svc.lifecycle.domain import STEPS, Card, CardNotInState, State, Step, apply_for_card, take
from chassis.testing.clock import FixedClock
from chassis.testing.service import REAL_PERSON, caller
from chassis.testing.waiting import until

NUMBER = "33040019900501001X"


def citizen_caller(citizen: UUID, client: str = "ecard") -> Any:
    return caller(citizen=citizen, client=client, scopes="card card.code card.loss", acr=REAL_PERSON)


OPERATOR = caller(client="operator", kind="operator", scopes="cards.produce cards.handover")


async def bring_to_life(service: Any, citizen: UUID) -> str:
    """Take a card from application to its holder's hand, enabled."""
    by = citizen_caller(citizen)
    await service.know(citizen, NUMBER)
    card = (await service.api.call("POST", "/v1/cards", {}, by=by, key="apply")).json()["card"]
    assert (await service.api.call("POST", "/v1/production-batches", {}, by=OPERATOR, key="batch")).status_code == 202

    async def dispatched() -> bool:
        service.clock.move(seconds=5)
        return bool((await service.api.call("GET", f"/v1/cards/{card}", by=by)).json()["state"] == "dispatched")

    await until(dispatched, what="the card's dispatch")
    handed = await service.api.call("POST", "/v1/counter/handovers", {"document_number": NUMBER}, by=OPERATOR, key="h")
    assert handed.json()["state"] == "dormant"
    enabled = await service.api.call("POST", f"/v1/cards/{card}/enabling", by=by, key="enable")
    assert enabled.json()["state"] == "active", enabled.text
    return str(card)


async def test_a_card_is_applied_for_made_handed_over_enabled_lost_and_found(start_card_service: Any) -> None:
    citizen = uuid4()
    async with start_card_service() as service:
        card = await bring_to_life(service, citizen)
        by = citizen_caller(citizen)
        lost = await service.api.call("POST", f"/v1/cards/{card}/loss-report", {}, by=by, key="lost")
        assert lost.json()["state"] == "temporarily_lost"
        refused = await service.api.call("POST", f"/v1/cards/{card}/codes", by=by)
        assert (refused.status_code, refused.json()["code"]) == (409, "card-not-active")
        found = await service.api.call("POST", f"/v1/cards/{card}/recovery", by=by, key="found")
        assert found.json()["state"] == "active"
        assert (await service.api.call("POST", f"/v1/cards/{card}/codes", by=by)).status_code == 201


async def test_the_state_at_a_past_moment_is_answered(start_card_service: Any, clock: FixedClock) -> None:
    citizen = uuid4()
    async with start_card_service() as service:
        before = clock()
        clock.move(seconds=1)
        card = await bring_to_life(service, citizen)
        by, enabled_at = citizen_caller(citizen), clock()
        clock.move(minutes=10)
        await service.api.call("POST", f"/v1/cards/{card}/loss-report", {}, by=by, key="lost")
        then = await service.api.call("GET", f"/v1/cards/{card}", by=by, params={"at": enabled_at.isoformat()})
        assert then.json()["state"] == "active"
        never = await service.api.call("GET", f"/v1/cards/{card}", by=by, params={"at": before.isoformat()})
        assert (never.status_code, never.json()["code"]) == (404, "card-no-state-then")
        vague = await service.api.call("GET", f"/v1/cards/{card}", by=by, params={"at": "2026-03-02T09:30:00"})
        assert (vague.status_code, vague.json()["field"]) == (422, "at")
        future = (clock() + timedelta(seconds=1)).isoformat()
        for never_was in (future, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
            refused = await service.api.call("GET", f"/v1/cards/{card}", by=by, params={"at": never_was})
            assert (refused.status_code, refused.json()["field"]) == (422, "at")


async def test_a_step_sent_twice_with_one_key_is_one_step(start_card_service: Any) -> None:
    citizen = uuid4()
    async with start_card_service() as service:
        card = await bring_to_life(service, citizen)
        by = citizen_caller(citizen)
        for _ in range(2):
            lost = await service.api.call("POST", f"/v1/cards/{card}/loss-report", {}, by=by, key="lost")
            assert lost.json()["version"] == 6
        other = await service.api.call("POST", f"/v1/cards/{card}/loss-report", {"reason": "x"}, by=by, key="lost")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
        without = await service.api.call("POST", f"/v1/cards/{card}/loss-report", {}, by=by)
        assert (without.status_code, without.json()["code"]) == (400, "idempotency-key-missing")
        again = await service.api.call("POST", f"/v1/cards/{card}/loss-report", {}, by=by, key="another")
        assert (again.status_code, again.json()["code"]) == (409, "card-not-in-state")


async def test_fifty_applications_at_once_give_one_card(start_card_service: Any) -> None:
    citizen = uuid4()
    async with start_card_service() as service:
        await service.know(citizen)
        by = citizen_caller(citizen)
        tries = [service.api.call("POST", "/v1/cards", {}, by=by, key=f"k{n}") for n in range(50)]
        answers = [(answer.status_code, answer.json().get("code")) for answer in await asyncio.gather(*tries)]
        assert answers.count((201, None)) == 1, answers
        assert set(answers) <= {(201, None), (409, "card-exists")}
        assert len((await service.api.call("GET", "/v1/cards", by=by)).json()["items"]) == 1


async def test_somebody_elses_card_and_another_channels_number_are_not_found(start_card_service: Any) -> None:
    citizen = uuid4()
    async with start_card_service() as service:
        await service.know(citizen)
        by = citizen_caller(citizen)
        card = (await service.api.call("POST", "/v1/cards", {}, by=by, key="k")).json()["card"]
        for stranger in (citizen_caller(uuid4()), citizen_caller(citizen, client="bank-app")):
            for method, path in (("GET", ""), ("POST", "/loss-report"), ("POST", "/enabling"), ("POST", "/codes")):
                body = {} if path == "/loss-report" else None
                answer = await service.api.call(method, f"/v1/cards/{card}{path}", body, by=stranger, key="s")
                assert (answer.status_code, answer.json()["code"]) == (404, "card-not-found")
        theirs = await service.api.call("GET", "/v1/cards", by=citizen_caller(citizen, client="bank-app"))
        assert theirs.json()["items"][0]["card"] != card


async def test_a_person_who_is_not_known_yet_is_asked_to_try_again(start_card_service: Any) -> None:
    async with start_card_service() as service:
        answer = await service.api.call("POST", "/v1/cards", {}, by=citizen_caller(uuid4()), key="k")
        assert (answer.status_code, answer.json()["code"]) == (409, "holder-not-known-yet")
        assert answer.json()["safe_to_retry"] is True


async def test_a_batch_waits_for_a_card_maker_that_is_down_and_is_made_once(start_card_service: Any) -> None:
    citizen = uuid4()
    async with start_card_service() as service:
        service.world.card_maker_is_up = False
        await service.know(citizen, NUMBER)
        await service.api.call("POST", "/v1/cards", {}, by=citizen_caller(citizen), key="k")
        batch = (await service.api.call("POST", "/v1/production-batches", {}, by=OPERATOR, key="b")).json()["batch"]
        nothing = await service.api.call("POST", "/v1/production-batches", {}, by=OPERATOR, key="b2")
        assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing-to-produce")

        async def state_is(wanted: str) -> bool:
            service.clock.move(minutes=6)
            read = await service.api.call("GET", f"/v1/production-batches/{batch}", by=OPERATOR)
            return bool(read.json()["state"] == wanted)

        assert await state_is("waiting")
        service.world.card_maker_is_up = True
        await until(lambda: state_is("done"), within_s=10)
        assert len(service.world.batches[batch]) == 1


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("state", list(State))
def test_a_step_is_taken_from_the_states_of_the_table_and_refused_from_every_other(
    step: Step, state: State, clock: FixedClock
) -> None:
    card = apply_for_card(uuid4(), handle=uuid4(), citizen=uuid4(), level=2, area="330400", now=clock())
    card = Card(**{**vars(card), "state": state})
    allowed, leads_to = STEPS[step]
    if state in allowed:
        moved = take(step, card, clock())
        assert (moved.state, moved.version) == (leads_to, 2)
    else:
        with pytest.raises(CardNotInState, match=state.value):
            take(step, card, clock())
