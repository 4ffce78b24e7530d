"""A card at a gate: who is let in, who is refused and told why, and a code that is redeemed once."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from chassis.testing.service import caller
from contracts.card_code import CodeMaker
from contracts.problems.catalogue import CATALOGUE


async def test_an_active_card_opens_the_library_and_its_holder_sees_the_use(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        used = await service.use(service.code_of(card))
        assert (used.status_code, used.json()["state"]) == (201, "accepted"), used.text
        holder = caller(citizen=card.citizen, scopes="use")
        listed = await service.api.call("GET", "/v1/uses", by=holder)
        assert [use["use"] for use in listed.json()["items"]] == [used.json()["use"]]
        assert (await service.api.call("GET", f"/v1/uses/{used.json()['use']}", by=holder)).status_code == 200
        for stranger in (caller(citizen=uuid4(), scopes="use"), caller(client="gate-9", kind="terminal")):
            answer = await service.api.call("GET", f"/v1/uses/{used.json()['use']}", by=stranger)
            assert (answer.status_code, answer.json()["code"]) == (404, "use-not-found")


async def test_two_terminals_with_one_code_two_hundred_times_give_one_winner_each(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue(gate="gate-1")
        await service.open_venue(gate="gate-2")
        card = await service.card()
        for _ in range(200):
            code = service.code_of(card)
            await service.hear_from_card_svc()
            both = await asyncio.gather(service.use(code, gate="gate-1"), service.use(code, gate="gate-2"))
            answers = sorted((answer.status_code, answer.json().get("code")) for answer in both)
            assert answers == [(201, None), (409, "code-already-used")]


async def test_a_use_sent_again_with_its_key_is_the_same_use(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        code = service.code_of(await service.card())
        first, again = await service.use(code, key="k"), await service.use(code, key="k")
        assert first.json() == again.json()


async def test_a_use_sent_again_is_the_same_use_also_when_its_code_has_expired(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        code = service.code_of(await service.card())
        first = await service.use(code, key="k")
        service.clock.move(seconds=120)
        again = await service.use(code, key="k")
        assert (again.status_code, again.json()) == (201, first.json())
        assert (await service.use(code, key="other")).json()["code"] == "code-expired"


async def test_a_lost_card_is_refused_with_words_that_say_what_helps(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        code = service.code_of(card)
        await service.lose(card)
        refused = await service.use(code)
        assert (refused.status_code, refused.json()["code"]) == (403, "card-reported-lost")
        assert "挂失" in refused.json()["show"]["zh"]
        assert "recover" in refused.json()["show"]["en"]


async def test_a_card_whose_news_is_set_aside_is_unknown_and_others_go_on(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card, other = await service.card(), await service.card()
        async with service.api.app.state.runtime.workshop.begin() as work:
            await work.session.execute(
                text(
                    "INSERT INTO journal_set_aside (source, position, topic, key, body, error)"
                    " VALUES ('card', 7, 'card.card.reported_lost.v1', :key, '', 'planted')"
                ),
                {"key": str(card.card)},
            )
        service.near.card_now = {"card": str(card.card), "citizen": str(card.citizen), "state": "active"}
        refused = await service.use(service.code_of(card))
        assert (refused.status_code, refused.json()["code"]) == (503, "card-state-unknown")
        assert refused.headers["Retry-After"]
        assert (await service.use(service.code_of(other))).status_code == 201


async def test_old_knowledge_is_not_relied_on_and_card_svc_is_asked(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        await service.hear_from_card_svc(ago_s=10)
        refused = await service.use(service.code_of(card))
        assert (refused.status_code, refused.json()["code"]) == (503, "card-state-unknown")
        now = {"card": str(card.card), "citizen": str(card.citizen), "level": 2, "version": 6}
        service.near.card_now = now | {"state": "temporarily_lost"}
        assert (await service.use(service.code_of(card))).json()["code"] == "card-reported-lost"
        service.near.card_now = now | {"state": "active"}
        assert (await service.use(service.code_of(card))).status_code == 201


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("applied", "card-not-enabled"),
        ("dormant", "card-not-enabled"),
        ("lost", "card-reported-lost"),
        ("locked", "card-ended"),
        ("expired", "card-ended"),
        ("cancelled", "card-ended"),
    ],
)
async def test_a_card_that_is_not_active_is_refused(start_scenario_service: Any, state: str, code: str) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card(state=state)
        refused = await service.use(service.code_of(card))
        assert (refused.status_code, refused.json()["code"]) == (403, code)


async def test_codes_that_are_old_forged_foreign_or_nothing_are_refused(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        good = service.code_of(card)
        forger = CodeMaker(
            kid="330000-test", signing_key=ec.generate_private_key(ec.SECP256R1()), handle_kid="h", handle_key=bytes(32)
        )
        foreign = CodeMaker(
            kid="320000-k", signing_key=ec.generate_private_key(ec.SECP256R1()), handle_kid="h", handle_key=bytes(32)
        )
        for shown, status, code in (
            (forger.make(card.handle, service.clock()).text, 403, "code-forged"),
            (foreign.make(card.handle, service.clock()).text, 403, "code-of-another-cell"),
            ("OC1:not a code", 422, "code-malformed"),
        ):
            refused = await service.use(shown)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
            assert shown not in refused.text
        service.clock.move(seconds=66)
        await service.hear_from_card_svc()
        refused = await service.use(good)
        assert (refused.status_code, refused.json()["code"]) == (410, "code-expired")


async def test_a_terminal_may_do_only_what_its_venue_is_licensed_for(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue(scenarios=("library-entry",))
        code = service.code_of(await service.card())
        meal = await service.use(code, scenario="canteen-meal", amount_fen=1200)
        assert (meal.status_code, meal.json()["code"]) == (403, "scenario-not-licensed")
        nowhere = await service.use(code, gate="gate-77")
        assert (nowhere.status_code, nowhere.json()["code"]) == (403, "terminal-not-placed")
        unheard = await service.use(code, scenario="moon-landing")
        assert (unheard.status_code, unheard.json()["code"]) == (422, "scenario-unknown")
        assert (await service.use(code)).status_code == 201  # nothing of the above used the code up


async def test_every_refusal_is_written_into_the_journal(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        await service.open_venue()
        card = await service.card()
        await service.lose(card)
        await service.use(service.code_of(card))
        async with service.api.app.state.runtime.workshop.begin() as work:
            bodies = await work.session.scalars(
                text("SELECT convert_from(body, 'UTF8') FROM journal_row WHERE kind = 'd'")
            )
            assert any("card-reported-lost" in body for body in bodies)


async def test_only_a_client_that_is_a_terminal_can_be_placed(start_scenario_service: Any) -> None:
    async with start_scenario_service() as service:
        venue = await service.open_venue()
        operator = caller(client="operator", kind="operator", scopes="venues.manage")
        body = {"client_id": "ecard"}
        refused = await service.api.call("POST", f"/v1/venues/{venue}/terminals", body, by=operator, key="p")
        assert (refused.status_code, refused.json()["field"]) == (409, "client_id")
        assert CATALOGUE[refused.json()["code"]].who_acts == "operator"
