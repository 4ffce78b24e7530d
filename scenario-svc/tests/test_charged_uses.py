"""A use that costs something: confirmed, refused, open and closed later, given up, refunded."""

import asyncio
from typing import Any

from chassis.testing.service import caller
from chassis.testing.waiting import until

MEAL = {"scenario": "canteen-meal", "amount_fen": 1200}


async def test_a_meal_is_accepted_when_the_charge_is_confirmed(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        used = await service.use(service.code_of(await service.card()), **MEAL)
        assert (used.json()["state"], used.json()["amount_fen"]) == ("accepted", 1200)
        assert list(service.near.charges) == [used.json()["use"]]


async def test_a_refused_charge_refuses_the_use_with_the_banks_reason(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        service.near.pay = "insufficient-funds"
        used = (await service.use(service.code_of(await service.card()), **MEAL)).json()
        assert (used["state"], used["refusal"]["code"]) == ("refused", "insufficient-funds")
        assert used["show"] == used["refusal"]["show"]


async def test_a_charge_without_an_answer_leaves_the_use_open_until_its_event(
    start_scenario_service: Any,
) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        service.near.pay = "silent"
        used = (await service.use(service.code_of(card), **MEAL)).json()
        assert (used["state"], used["show"]["en"][:7]) == ("open", "Being s")
        topic = "payment.payment.confirmed.v1"
        await service.payment_tells(topic, used["use"], citizen=card.citizen, amount_fen=1200, state="confirmed")
        read = await service.api.call("GET", f"/v1/uses/{used['use']}", by=terminal_of(service))
        assert read.json()["state"] == "accepted"
        late = "payment.payment.refused.v1"
        await service.payment_tells(late, used["use"], citizen=card.citizen, amount_fen=1200, state="refused")
        read = await service.api.call("GET", f"/v1/uses/{used['use']}", by=terminal_of(service))
        assert read.json()["state"] == "accepted"


async def test_an_open_use_is_charged_again_and_at_last_given_up(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        service.near.pay = "silent"
        used = (await service.use(service.code_of(await service.card()), **MEAL)).json()["use"]
        service.clock.move(seconds=61)
        service.near.pay = "held"

        async def cancelled() -> bool:
            service.clock.move(seconds=6)
            read = await service.api.call("GET", f"/v1/uses/{used}", by=terminal_of(service))
            return bool(read.json()["state"] == "cancelled")

        await until(cancelled, what="the use's end")
        assert service.near.voided == [f"/internal/charges/{used}/void"]


async def test_an_open_use_that_cannot_be_pursued_holds_up_no_other(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        service.near.pay = "silent"
        card = await service.card()
        first, second = [(await service.use(service.code_of(card), **MEAL)).json()["use"] for _ in range(2)]
        service.near.broken = {first}
        service.near.pay = "confirmed"
        service.clock.move(seconds=6)

        async def accepted() -> bool:
            read = await service.api.call("GET", f"/v1/uses/{second}", by=terminal_of(service))
            return bool(read.json()["state"] == "accepted")

        await until(accepted, what="the second use's end")
        read = await service.api.call("GET", f"/v1/uses/{first}", by=terminal_of(service))
        assert read.json()["state"] == "open"


async def test_fifty_refunds_at_once_give_back_no_more_than_was_paid(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        used = (await service.use(service.code_of(await service.card()), **MEAL)).json()["use"]
        tries = [
            service.api.call(
                "POST", f"/v1/uses/{used}/refunds", {"amount_fen": 100}, by=terminal_of(service), key=f"r{n}"
            )
            for n in range(50)
        ]
        answers = [answer.json().get("code", answer.json().get("state")) for answer in await asyncio.gather(*tries)]
        assert answers.count("confirmed") == 12, answers
        assert set(answers) == {"confirmed", "refund-too-high"}


async def test_amounts_must_fit_the_scenario(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        for body, code in (
            ({"scenario": "canteen-meal"}, "amount-needed"),
            ({"scenario": "canteen-meal", "amount_fen": 20001}, "amount-too-high"),
            ({"scenario": "library-entry", "amount_fen": 1}, "amount-not-allowed"),
            ({"scenario": "canteen-meal", "amount_fen": 12.5}, "invalid-field"),
            ({"scenario": "canteen-meal", "amount_fen": "1200"}, "invalid-field"),
            ({"scenario": "canteen-meal", "amount_fen": -1}, "invalid-field"),
        ):
            refused = await service.use(service.code_of(card), **body)
            assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (422, code, "amount_fen")


def terminal_of(service: Any, gate: str = "gate-1") -> Any:
    return caller(client=gate, kind="terminal", scopes="terminal")
