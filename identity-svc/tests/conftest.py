"""identity-svc in a test: its real app on a database of its own, the simulators as they are behind a transport."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import text

from chassis.testing.clock import FixedClock
from chassis.testing.databases import Databases, TestDatabase
from chassis.testing.keys import write_private, write_secret, write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, Api, running
from chassis.testing.waiting import until
from contracts.document_number import DocumentNumber, check_character
from identity_svc.app import create_app
from identity_svc.settings import Settings
from simulators.face import face_routes
from simulators.people import People, Person, by_rule
from simulators.register import register_routes
from simulators.sms import sms_routes

# Without this a defect is drawn with all its variables, which takes minutes when fifty requests meet one at once.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.stdlib.LoggerFactory(),
)

StartIdentity = Callable[..., AbstractAsyncContextManager["IdentityService"]]


def somebody(sequence: int, *, area: str = "330099", born: str = "19900305") -> Person:
    """Return a synthetic person whom the register simulator knows by rule; other areas than 330099 have a fault."""
    digits = f"{area}{born}{sequence:03}"
    return by_rule(DocumentNumber(digits + check_character(digits)))


def claim_of(person: Person, **other: str) -> dict[str, str]:
    """Return the body of an enrolment, with `other` in place of what is right."""
    return {"document_number": person.document_number, "name": person.name, "phone": person.phone} | other


def outside_world(clock: FixedClock) -> FastAPI:
    """Return the simulators that identity-svc talks to; nobody but the people by rule lives there."""
    world = FastAPI()
    world.include_router(register_routes(People({}, date(2026, 3, 2))))
    world.include_router(sms_routes(clock))
    world.include_router(face_routes(clock))
    return world


@dataclass
class IdentityService:
    """The running service and the world around it."""

    api: Api
    world: httpx.AsyncClient
    clock: FixedClock
    settings: Settings
    database: TestDatabase

    async def enrol(self, person: Person, *, key: str | None = None, **other: str) -> httpx.Response:
        """Begin an enrolment as a stranger would."""
        return await self.api.call("POST", "/v1/enrolments", claim_of(person, **other), key=key or uuid4().hex)

    async def complete(self, enrolment_id: str, code: str) -> httpx.Response:
        """Send the code that came by text message."""
        return await self.api.call("POST", f"/v1/enrolments/{enrolment_id}/completion", {"code": code})

    async def inbox(self, phone: str) -> list[str]:
        """Return the texts that a phone has received, newest first."""
        answer = await self.world.get(f"/sms/inbox/{phone}", headers={"Accept": "application/json"})
        return [message["text"] for message in answer.json()["messages"]]

    async def codes(self, phone: str, *, at_least: int = 1) -> list[str]:
        """Wait for text messages and return their codes, newest first."""

        async def arrived() -> list[str]:
            texts = await self.inbox(phone)
            return texts if len(texts) >= at_least else []

        texts = await until(arrived, what="the text message")
        return [found[0] for words in texts if (found := re.search(r"[0-9]{6}", words))]

    async def outbox_is_empty(self) -> bool:
        """Whether the sender has dealt with every message."""
        return await self.count("sms_outbox") == 0

    async def enrolled(self, person: Person) -> UUID:
        """Enrol a person to the end and return the citizen."""
        begun = await self.enrol(person)
        code = (await self.codes(person.phone))[0]
        assert (await self.complete(begun.json()["enrolment_id"], code)).status_code == 200
        newest = (await self.said("identity.person.enrolled.v1"))[-1]
        return UUID(newest["data"]["citizen"])

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """Ask the database directly."""
        async with self.api.app.state.runtime.engine.connect() as connection:
            return list((await connection.execute(text(statement), values)).all())

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int((await self.rows(f"SELECT count(*) FROM {table}"))[0][0])

    async def said(self, topic: str) -> list[dict[str, Any]]:
        """Return what stands in the journal under a topic, oldest first."""
        rows = await self.rows("SELECT body FROM journal_row WHERE topic = :topic ORDER BY id", topic=topic)
        return [json.loads(row.body) for row in rows]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def identity_keys(tmp_path: Path) -> Path:
    """A key folder of identity-svc."""
    keys = write_service_keys(tmp_path / "keys", "identity")
    for kind in ("field", "hash", "cid"):
        write_secret(keys, kind)
    write_private(keys, "tokens")
    return keys


@pytest.fixture
def start_identity(databases: Databases, identity_keys: Path, clock: FixedClock) -> StartIdentity:
    """`async with start_identity(enrolments_per_person_an_hour=50) as identity:`"""

    @asynccontextmanager
    async def start(**other_settings: Any) -> AsyncIterator[IdentityService]:
        async with databases.fresh("identity") as database:
            settings = Settings(
                **{
                    "cell": CELL,
                    "public_url": PUBLIC_URL,
                    "port": 1,
                    "health_port": 1,
                    "keys": identity_keys,
                    "database_url": database.app_url,
                    "nats_url": "nats://127.0.0.1:9",
                    "outside": {name: f"http://outside/{name}" for name in ("register", "sms", "face")},
                    "register_deadline_s": 0.5,
                    "sms_every_s": 0.02,
                }
                | other_settings
            )
            transport = httpx.ASGITransport(app=outside_world(clock))
            async with httpx.AsyncClient(transport=transport, base_url="http://outside") as world:
                app = create_app(settings, clock=clock, outside=transport)
                async with running(app) as api:
                    yield IdentityService(api, world, clock, settings, database)

    return start


@pytest.fixture
async def identity(start_identity: StartIdentity) -> AsyncIterator[IdentityService]:
    async with start_identity() as running_service:
        yield running_service
