"""scenario-svc in a test: its real app on a database of its own, payment-svc and card-svc behind a transport."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from chassis.journal.received import Received
from chassis.testing.clock import FixedClock
from chassis.testing.databases import Databases
from chassis.testing.keys import write_private, write_secret, write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, Api, caller, running
from contracts.card_code import CodeMaker
from contracts.events.card import CardEnabled, CardEvent, CardReportedLost
from contracts.events.envelope import Event, encode
from contracts.events.identity import ClientRegistered
from contracts.events.payment import PAYMENT_EVENTS
from scenario_svc.app import create_app
from scenario_svc.settings import Settings
from scenario_svc.uses.consumers import close_uses, know_cards
from scenario_svc.venues.consumers import know_clients

OPERATOR = caller(client="operator", kind="operator", scopes="venues.manage")
FOLLOWS = ["card", "identity", "payment"]


def terminal(name: str) -> Any:
    """The caller that a terminal is."""
    return caller(client=name, kind="terminal", scopes="terminal")


@dataclass
class Neighbours:
    """payment-svc and card-svc as the wire shows them; `pay` scripts the next answers to a charge."""

    charges: dict[str, Any] = field(default_factory=dict)
    pay: str = "confirmed"  # a payment's state, a refusal's code, or "silent"
    card_now: dict[str, Any] | None = None
    voided: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # charges that are answered with something that is no answer

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer over the wire."""
        path, body = request.url.path, json.loads(request.content or b"null")
        if path.endswith("/state"):
            return httpx.Response(200, json=self.card_now) if self.card_now else httpx.Response(503)
        if self.broken & {(body or {}).get("charge_id")}:
            return httpx.Response(409, json=None)
        if self.pay == "silent":
            await asyncio.sleep(0)
            raise httpx.ReadTimeout("silent", request=request)
        if path.endswith("/void"):
            self.voided.append(path)
            return httpx.Response(200, json={"payment_id": str(uuid4()), "state": "voided"})
        if path.endswith("/refunds"):
            return httpx.Response(200, json={"state": "confirmed"})
        self.charges[body["charge_id"]] = body
        states = ("held", "instructed", "confirmed", "unknown")
        state = self.pay if self.pay in states else "refused"
        refusal = None if self.pay in states else self.pay
        return httpx.Response(200, json={"payment_id": str(uuid4()), "state": state, "refusal": refusal})


@dataclass
class ScenarioService:
    """The running service, the keys to make codes with, and the news it is told."""

    api: Api
    near: Neighbours
    clock: FixedClock
    maker: CodeMaker
    database_url: str

    async def tell(self, *events: Event) -> None:
        """Let a source's journal tell something, through the real handlers."""
        for event in events:
            source = event.topic.split(".")[0]
            handler = {"card": know_cards, "identity": know_clients, "payment": close_uses}[source]
            body = encode(event, event_id=uuid4(), source=f"/cells/{CELL}/{source}-svc", time=self.clock())
            async with self.api.app.state.runtime.workshop.begin() as work:
                await handler(work, [Received(source, 1, event.topic, event.key, body)])

    async def hear_from_card_svc(self, *, ago_s: float = 0.0) -> None:
        """Let the cursor say that all of card-svc's journal until `ago_s` seconds ago has been applied."""
        async with self.api.app.state.runtime.workshop.begin() as work:
            await work.session.execute(
                text(
                    "INSERT INTO journal_cursor (source, as_of) VALUES ('card', :as_of)"
                    " ON CONFLICT (source) DO UPDATE SET as_of = excluded.as_of"
                ),
                {"as_of": await self._database_us(work) - int(ago_s * 1_000_000)},
            )

    async def _database_us(self, work: Any) -> int:
        now = await work.session.scalar(text("SELECT extract(epoch FROM clock_timestamp()) * 1000000"))
        return int(now)

    async def open_venue(
        self,
        name: str = "library",
        scenarios: tuple[str, ...] = ("library-entry", "canteen-meal"),
        gate: str = "gate-1",
    ) -> str:
        """Open a venue with one terminal in it."""
        await self.tell(ClientRegistered(client_id=gate, kind="terminal", status="active", version=1))
        body = {"name": {"zh": "图书馆", "en": "Library"}, "area": "330400", "scenarios": list(scenarios)}
        venue = (await self.api.call("POST", "/v1/venues", body, by=OPERATOR, key=f"venue-{gate}")).json()["venue"]
        placed = await self.api.call(
            "POST", f"/v1/venues/{venue}/terminals", {"client_id": gate}, by=OPERATOR, key=f"place-{gate}"
        )
        assert placed.status_code == 201, placed.text
        return str(venue)

    async def card(self, *, level: int = 2, shape: type[CardEvent] = CardEnabled, state: str = "active") -> CardEvent:
        """Let card-svc tell of an active card, just now."""
        told = shape(card=uuid4(), handle=uuid4(), citizen=uuid4(), state=state, level=level, area="330400", version=5)
        await self.tell(told)
        await self.hear_from_card_svc()
        return told

    async def lose(self, card: CardEvent) -> None:
        """Let card-svc tell that a card was reported lost."""
        state = card.model_dump() | {"state": "temporarily_lost", "version": card.version + 1}
        await self.tell(CardReportedLost(**state))

    async def payment_tells(self, topic: str, use: str, *, citizen: UUID, amount_fen: int, **more: Any) -> None:
        """Let payment-svc tell of the payment behind a use."""
        shape = PAYMENT_EVENTS[topic]
        fields = {"refunded_fen": 0, "version": 3} | more
        await self.tell(shape(payment=uuid4(), charge=UUID(use), citizen=citizen, amount_fen=amount_fen, **fields))

    def code_of(self, card: CardEvent) -> str:
        """Make a fresh code of a card."""
        return self.maker.make(card.handle, self.clock()).text

    async def use(self, code: str, *, gate: str = "gate-1", key: str | None = None, **body: Any) -> httpx.Response:
        """Show a code at a gate."""
        asked = {"code": code, "scenario": "library-entry"} | body
        return await self.api.call("POST", "/v1/uses", asked, by=terminal(gate), key=key or str(uuid4()))


@pytest.fixture
def start_scenario_service(databases: Databases, tmp_path: Path) -> Any:
    """`async with start_scenario_service() as service:`"""

    @asynccontextmanager
    async def start() -> AsyncIterator[ScenarioService]:
        keys = write_service_keys(tmp_path / "keys", "scenario", calls=["payment", "card"], follows=FOLLOWS)
        signing = write_private(keys, "card-code/unused", "card-code/public", kid="330000-test")
        handle = write_secret(keys, "handle", kid="330000-h")
        clock = FixedClock()
        near = Neighbours()
        async with databases.fresh("scenario") as database:
            settings = Settings(
                cell=CELL,
                public_url=PUBLIC_URL,
                port=1,
                health_port=1,
                keys=keys,
                database_url=database.app_url,
                nats_url="nats://127.0.0.1:9",
                peers={"payment": "http://payment", "card": "http://card"},
            )
            app = create_app(settings, clock=clock, peers=httpx.MockTransport(near.answer))
            maker = CodeMaker(
                kid=signing.kid, signing_key=signing.native, handle_kid=handle.kid, handle_key=handle.value
            )
            async with running(app) as api:
                yield ScenarioService(api, near, clock, maker, database.owner_url)

    return start
