"""card-svc in a test: its real app on a database of its own, identity-svc and the card maker behind transports."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from card_svc.app import create_app
from card_svc.lifecycle.consumers import know_holders
from card_svc.settings import Settings
from chassis.journal.received import Received
from chassis.testing.clock import FixedClock
from chassis.testing.databases import Databases
from chassis.testing.keys import write_private, write_secret, write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, Api, running
from contracts.events.envelope import encode
from contracts.events.identity import PersonEnrolled


@dataclass
class World:
    """What stands outside card-svc: people at identity-svc, batches at the card maker."""

    document_numbers: dict[str, UUID] = field(default_factory=dict)
    batches: dict[str, Any] = field(default_factory=dict)
    card_maker_is_up: bool = True
    dispatched: bool = True

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer as identity-svc or the card maker would over the wire."""
        body = json.loads(request.content or b"null")
        match request.method, request.url.path:
            case "POST", "/internal/citizens/lookup":
                citizen = self.document_numbers.get(body["document_number"])
                return httpx.Response(200, json={"citizen": str(citizen)}) if citizen else httpx.Response(404, json={})
            case "POST", "/internal/citizens/identity":
                names = {str(citizen): number for number, citizen in self.document_numbers.items()}
                people = [{"citizen": c, "name": "甲", "document_number": names[c]} for c in body["citizens"]]
                return httpx.Response(200, json=people)
            case "POST", "/card-maker/batches" if self.card_maker_is_up:
                self.batches[body["batch"]] = body["plates"]
                return httpx.Response(202, json={"batch": body["batch"], "state": "in_production"})
            case "GET", path if self.card_maker_is_up and path.startswith("/card-maker/batches/"):
                state = "dispatched" if self.dispatched else "in_production"
                return httpx.Response(200, json={"state": state})
        return httpx.Response(503)


@dataclass
class CardService:
    """The running service and the world around it."""

    api: Api
    world: World
    clock: FixedClock

    async def know(self, citizen: UUID, document_number: str = "") -> None:
        """Let identity-svc's journal tell of a person, through the real handler."""
        told = PersonEnrolled(citizen=citizen, birth_month="1990-05", area="330400", version=1)
        body = encode(told, event_id=uuid4(), source=f"/cells/{CELL}/identity-svc", time=self.clock())
        if document_number:
            self.world.document_numbers[document_number] = citizen
        async with self.api.app.state.runtime.workshop.begin() as work:
            await know_holders(work, [Received("identity", 1, told.topic, told.key, body)])


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def start_card_service(databases: Databases, tmp_path: Path, clock: FixedClock) -> Any:
    """`async with start_card_service() as service:`"""

    @asynccontextmanager
    async def start() -> AsyncIterator[CardService]:
        keys = write_service_keys(tmp_path / "keys", "card", calls=["identity"], follows=["identity"])
        write_private(keys, "card-code/own", "card-code/public", kid="330000-test")
        write_secret(keys, "handle", kid="330000-test")
        async with databases.fresh("card") as database:
            settings = Settings(
                cell=CELL,
                public_url=PUBLIC_URL,
                port=1,
                health_port=1,
                keys=keys,
                database_url=database.app_url,
                nats_url="nats://127.0.0.1:9",
                peers={"identity": "http://identity"},
                outside={"card_maker": "http://outside/card-maker"},
            )
            world = World()
            transport = httpx.MockTransport(world.answer)
            app = create_app(settings, clock=clock, peers=transport, outside=transport)
            async with running(app) as api:
                yield CardService(api, world, clock)

    return start
