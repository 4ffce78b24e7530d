"""A loss that scenario-svc cannot take in: that card is unknown at the gate, other cards go on, and a retry heals it.

Both services as they are, over a real NATS; the fault is planted in scenario-svc's handler for one card alone.
"""

import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from card_svc.app import create_app as create_card_app
from card_svc.lifecycle.consumers import know_holders
from card_svc.lifecycle.domain import Step
from card_svc.lifecycle.use_cases import move_card
from card_svc.settings import Settings as CardSettings
from chassis.journal.received import Received
from chassis.testing.databases import Databases
from chassis.testing.keys import write_private, write_secret, write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, Api, caller, running
from chassis.testing.waiting import until
from chassis.work import Work
from contracts.events.envelope import encode
from contracts.events.identity import ClientRegistered, PersonEnrolled
from onecard_local.nats import NatsServer
from scenario_svc import app as scenario_module
from scenario_svc.settings import Settings as ScenarioSettings
from scenario_svc.uses.consumers import know_cards
from scenario_svc.venues.consumers import know_clients

OPERATOR = caller(client="operator", kind="operator", scopes="venues.manage journal.read journal.manage")
GATE = caller(client="gate-1", kind="terminal", scopes="terminal")


class PlantedFault(RuntimeError):
    """scenario-svc's handler fails for one card."""


@dataclass
class TwoServices:
    """card-svc and scenario-svc, and the keys of cards for which the handler fails."""

    card: Api
    scenario: Api
    poisoned: set[str]

    async def active_card(self) -> tuple[UUID, str]:
        """Bring a card to life through card-svc's own use cases; returns citizen and sign number."""
        citizen = uuid4()
        by = caller(citizen=citizen, scopes="card card.code card.loss", acr="urn:onecard:acr:real-person")
        await self._told("identity", PersonEnrolled(citizen=citizen, birth_month="1990-05", area="330400", version=1))
        sign = (await self.card.call("POST", "/v1/cards", {}, by=by, key="apply")).json()["card"]
        workshop = self.card.app.state.runtime.workshop
        async with workshop.begin() as work:
            card = await work.session.scalar(text("SELECT card FROM sign_number WHERE sign = :sign"), {"sign": sign})
            for step in (Step.PRODUCE, Step.DISPATCH, Step.HAND_OVER, Step.ENABLE):
                await move_card(work, card, step)
        return citizen, str(sign)

    async def card_id(self, sign: str) -> str:
        async with self.card.app.state.runtime.workshop.begin() as work:
            found = await work.session.scalar(text("SELECT card FROM sign_number WHERE sign = :sign"), {"sign": sign})
            return str(found)

    async def lose(self, citizen: UUID, sign: str) -> None:
        by = caller(citizen=citizen, scopes="card.loss")
        answer = await self.card.call("POST", f"/v1/cards/{sign}/loss-report", {}, by=by, key="lost")
        assert answer.status_code == 200, answer.text

    async def at_the_gate(self, citizen: UUID, sign: str, code: str | None = None) -> tuple[int, str]:
        """Show a code, a fresh one unless given; returns status and state or code of refusal."""
        code = code or await self.code(citizen, sign)
        body = {"code": code, "scenario": "library-entry"}
        answer = await self.scenario.call("POST", "/v1/uses", body, by=GATE, key=str(uuid4()))
        said = answer.json()
        return answer.status_code, said.get("code") or said["state"]

    async def code(self, citizen: UUID, sign: str) -> str:
        by = caller(citizen=citizen, scopes="card.code")
        return str((await self.card.call("POST", f"/v1/cards/{sign}/codes", by=by)).json()["code"])

    async def _told(self, source: str, event: PersonEnrolled) -> None:
        runtime = self.card.app.state.runtime
        body = encode(event, event_id=uuid4(), source=f"/cells/{CELL}/{source}-svc", time=runtime.clock())
        async with runtime.workshop.begin() as work:
            await know_holders(work, [Received(source, 1, event.topic, event.key, body)])


def shared_keys(folder: Path) -> tuple[Path, Path]:
    """Write two key folders that fit together: edges, journals, card codes."""
    card = write_service_keys(folder / "card", "card", calls=["identity"], follows=["identity"])
    scenario = write_service_keys(
        folder / "scenario", "scenario", calls=["payment", "card"], follows=["card", "identity", "payment"]
    )
    write_private(card, "card-code/own", "card-code/public", kid="330000-test")
    write_secret(card, "handle", kid="330000-h")
    for kind in ("card-code/public", "handle", "journal/public/card"):
        shutil.copytree(card / kind, scenario / kind, dirs_exist_ok=True)
    shutil.copytree(scenario / "edges/scenario-card", card / "edges/scenario-card", dirs_exist_ok=True)
    return card, scenario


@pytest.fixture
async def services(
    databases: Databases,
    tmp_path: Path,
    nats_server: Callable[[str], NatsServer],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[TwoServices]:
    poisoned: set[str] = set()

    async def know_cards_unless_poisoned(work: Work, events: Sequence[Received]) -> None:
        if poisoned & {event.key for event in events}:
            raise PlantedFault("planted")
        await know_cards(work, events)

    monkeypatch.setattr(scenario_module, "know_cards", know_cards_unless_poisoned)
    card_keys, scenario_keys = shared_keys(tmp_path)
    nats_url = nats_server("").url
    async with AsyncExitStack() as stack:
        common = {"cell": CELL, "public_url": PUBLIC_URL, "port": 1, "health_port": 1, "nats_url": nats_url}
        card_database = await stack.enter_async_context(databases.fresh("card"))
        card_app = create_card_app(
            CardSettings(
                keys=card_keys,
                database_url=card_database.app_url,
                peers={"identity": "http://identity"},
                outside={"card_maker": "http://outside"},
                **common,
            )
        )
        card = await stack.enter_async_context(running(card_app))
        scenario_database = await stack.enter_async_context(databases.fresh("scenario"))
        scenario_app = scenario_module.create_app(
            ScenarioSettings(
                keys=scenario_keys,
                database_url=scenario_database.app_url,
                peers={"payment": "http://payment", "card": "http://card"},
                **common,
            ),
            peers=httpx.ASGITransport(app=card_app),
        )
        scenario = await stack.enter_async_context(running(scenario_app))
        await open_library(scenario)
        yield TwoServices(card, scenario, poisoned)


async def open_library(scenario: Api) -> None:
    """A venue with one gate, whose terminal scenario-svc has heard of."""
    told = ClientRegistered(client_id="gate-1", kind="terminal", status="active", version=1)
    body = encode(told, event_id=uuid4(), source=f"/cells/{CELL}/identity-svc", time=scenario.app.state.runtime.clock())
    async with scenario.app.state.runtime.workshop.begin() as work:
        await know_clients(work, [Received("identity", 1, told.topic, told.key, body)])
    venue = {"name": {"zh": "图书馆", "en": "Library"}, "area": "330400", "scenarios": ["library-entry"]}
    opened = (await scenario.call("POST", "/v1/venues", venue, by=OPERATOR, key="v")).json()["venue"]
    terminal = {"client_id": "gate-1"}
    assert (await scenario.call("POST", f"/v1/venues/{opened}/terminals", terminal, by=OPERATOR, key="t")).is_success


async def test_a_card_whose_loss_cannot_be_taken_in_is_unknown_until_a_retry_succeeds(services: TwoServices) -> None:
    lost, other = await services.active_card(), await services.active_card()
    for citizen, sign in (lost, other):
        await until(lambda c=citizen, s=sign: _accepted(services, c, s), what="the first use")
    shown = await services.code(*lost)
    key = await services.card_id(lost[1])
    services.poisoned.add(key)
    await services.lose(*lost)
    await until(lambda: _set_aside(services), within_s=5, what="the loss being set aside")
    assert await services.at_the_gate(*lost, code=shown) == (503, "card-state-unknown")
    assert await services.at_the_gate(*other) == (201, "accepted")
    services.poisoned.clear()
    body = {"source": "card", "key": key}
    retried = await services.scenario.call(
        "POST", "/v1/services/scenario/set-aside/retry", body, by=OPERATOR, key="retry"
    )
    assert retried.status_code == 202
    await until(lambda: _refused_as_lost(services, lost, shown), what="the loss, applied after all")
    assert not await _set_aside(services)


async def _accepted(services: TwoServices, citizen: UUID, sign: str) -> bool:
    return await services.at_the_gate(citizen, sign) == (201, "accepted")


async def _set_aside(services: TwoServices) -> bool:
    listed = await services.scenario.call("GET", "/v1/services/scenario/set-aside", by=OPERATOR)
    return bool(listed.json()["items"])


async def _refused_as_lost(services: TwoServices, lost: tuple[UUID, str], shown: str) -> bool:
    return await services.at_the_gate(*lost, code=shown) == (403, "card-reported-lost")
