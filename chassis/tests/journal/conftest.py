"""Two services on a real PostgreSQL and a real NATS: card tells, payment follows.

A card here is a row with a version; every event says the key and the version, so that order is visible.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis.bus import Bus
from chassis.crypto.signing import PrivateKey
from chassis.database import create_engine
from chassis.journal.export import export_journal
from chassis.journal.follower import Received
from chassis.journal.journal import Journal
from chassis.journal.keys import JournalKeys
from chassis.journal.leader import Pace
from chassis.journal.tables import create_journal
from chassis.journal.verify import Verdict, verify_export
from chassis.journal.writing import Row, insert_rows
from chassis.testing.nats_users import NatsUsers, new_users
from chassis.time import system_clock
from chassis.work import Work, Workshop
from contracts.edges import FOLLOWS

CELL = "330000"
TABLES = """
CREATE TABLE card (key text PRIMARY KEY, version integer NOT NULL);
CREATE TABLE idempotency (key text PRIMARY KEY);
CREATE TABLE applied (n bigint GENERATED ALWAYS AS IDENTITY, position bigint PRIMARY KEY, key text, version integer);
CREATE TABLE poison (key text PRIMARY KEY);
GRANT SELECT, INSERT, UPDATE, DELETE ON card, idempotency, applied, poison TO journal_app;
"""


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str = "the condition", within_s: float = 10.0
) -> None:
    """Wait for a condition with a bound."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come about in {within_s} s"
        await asyncio.sleep(0.01)


def event(key: str, version: int, topic: str = "card.card.enabled.v1", kind: str = "e") -> Row:
    body = json.dumps({"key": key, "version": version, "name": "卡"}, ensure_ascii=False).encode()
    return Row(kind=kind, topic=topic, key=key, body=body)


class Poisoned(ValueError):
    """The planted fault of the test's handler."""


async def apply(work: Work, events: Sequence[Received]) -> None:
    """Write down what comes; fail for a key that stands in `poison`."""
    connection = await work.asyncpg()
    keys = [e.key for e in events]
    if await connection.fetchval("SELECT EXISTS (SELECT FROM poison WHERE key = ANY ($1::text[]))", keys):
        raise Poisoned("this key is planted to fail")
    await connection.executemany(
        "INSERT INTO applied (position, key, version) VALUES ($1, $2, $3)",
        [(e.position, e.key, json.loads(e.body)["version"]) for e in events],
    )


@dataclass(kw_only=True)
class Store:
    """One service's database."""

    owner_url: str
    app_url: str
    engine: AsyncEngine

    @asynccontextmanager
    async def app(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.app_url)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def fetch(self, query: str, *args: object) -> list[Any]:
        async with self.app() as connection:
            return await connection.fetch(query, *args)

    async def value(self, query: str, *args: object) -> Any:
        async with self.app() as connection:
            return await connection.fetchval(query, *args)

    async def change(self, query: str, *args: object) -> None:
        """As the owner, or an insider with the owner's rights."""
        async with self.owner() as connection:
            await connection.execute(query, *args)

    async def say(self, *rows: Row) -> None:
        async with self.app() as connection, connection.transaction():
            await insert_rows(connection, rows)

    async def versions(self) -> list[tuple[str, int]]:
        return [(r["key"], r["version"]) for r in await self.fetch("SELECT key, version FROM applied ORDER BY n")]


class Wire(Bus):
    """A bus whose wire a test can disturb: what comes in, and what is answered."""

    def arriving(self, subject: str, data: bytes) -> Sequence[bytes]:
        """What arrives when `data` was sent; overridden on the instance."""
        return [data]

    def answered(self, data: bytes | None) -> bytes | None:
        """What is answered when the source answers `data`; overridden on the instance."""
        return data

    async def subscribe(self, subject: str, receive: Any, *, queue: str = "") -> Any:
        async def disturbed(message: Any) -> None:
            for data in [message.data] if message.reply else self.arriving(subject, message.data):
                await receive(replace(message, data=data))

        return await super().subscribe(subject, disturbed, queue=queue)

    async def request(self, subject: str, message: bytes, *, timeout_s: float) -> bytes | None:
        return self.answered(await super().request(subject, message, timeout_s=timeout_s))


@dataclass(kw_only=True)
class Rig:
    """The two services, their keys and their processes, all of which end with the test."""

    cards: Store
    payments: Store
    nats_url: str
    users: NatsUsers
    keys: dict[str, dict[str, PrivateKey]] = field(
        default_factory=lambda: {name: {"2026-1": PrivateKey.generate("2026-1")} for name in ("card", "payment")}
    )
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    event = staticmethod(event)
    apply = staticmethod(apply)
    until = staticmethod(until)

    def journal_keys(self, service: str, follows: Sequence[str] = ()) -> JournalKeys:
        publics = {
            source: {kid: key.public for kid, key in self.keys[source].items()} for source in (*follows, service)
        }
        return JournalKeys(own=self.keys[service], publics=publics)

    def bus(self, service: str) -> Wire:
        return Wire(self.nats_url, name=service, seed=self.users.seeds[service])

    async def start(self, journal: Journal, bus: Bus) -> Journal:
        """Start a process; it stops with the test unless stopped before."""
        await bus.start()
        self.stack.push_async_callback(bus.stop)
        await journal.start()
        self.stack.push_async_callback(journal.stop)
        return journal

    async def tell(self, pace: Pace | None = None) -> Journal:
        """Start card-svc's journal."""
        return await self.run("card", self.cards, {}, self.bus("card"), pace)

    async def follow(self, handler: Any = apply, bus: Bus | None = None) -> Journal:
        """Start payment-svc's journal, which follows card."""
        return await self.run("payment", self.payments, {"card": handler}, bus or self.bus("payment"))

    async def run(self, service: str, store: Store, follows: Any, bus: Bus, pace: Pace | None = None) -> Journal:
        workshop = Workshop(engine=store.engine, clock=system_clock(), cell=CELL, service=service)
        journal = Journal(
            service=service,
            cell=CELL,
            direct_url=store.app_url,
            workshop=workshop,
            bus=bus,
            keys=self.journal_keys(service, list(follows)),
            follows=follows,
            pace=pace,
        )
        return await self.start(journal, bus)

    async def settled(self, within_s: float = 15.0) -> None:
        """Wait until every row of card is sealed and payment's cursor stands at card's newest block."""

        async def done() -> bool:
            open_rows = await self.cards.value(
                "SELECT count(*) FROM journal_row WHERE id > (SELECT coalesce(max(to_id), 0) FROM journal_block)"
            )
            newest = await self.cards.value("SELECT coalesce(max(n), 0) FROM journal_block")
            return bool(open_rows == 0 and await self.payments.value("SELECT max(block) FROM journal_cursor") == newest)

        await until(done, "everything being sealed and applied", within_s)

    async def restart_source(self, journal: Journal, change: str) -> Journal:
        """Stop card's leader, change its database as an insider or a restore would, start it again."""
        await journal.stop()
        await self.cards.change(change)
        return await self.tell()

    async def sealed(self) -> None:
        """Wait until every row of card is sealed."""
        await until(
            lambda: self._all_sealed(),
            "everything being sealed",
        )

    async def _all_sealed(self) -> bool:
        rows = await self.cards.value("SELECT coalesce(max(id), 0) FROM journal_row")
        return bool(rows <= await self.cards.value("SELECT coalesce(max(to_id), 0) FROM journal_block"))

    async def exported(self) -> list[bytes]:
        async with self.cards.app() as connection:
            return [line async for line in export_journal(connection, f"{CELL}/card")]

    async def verdict(self, known_heads: Sequence[tuple[int, bytes]] = ()) -> Verdict:
        verifiers = self.journal_keys("card").publics["card"]
        return verify_export(await self.exported(), verifiers, source=f"{CELL}/card", known_heads=known_heads)


@pytest.fixture(scope="session")
async def journal_template(postgres: Any) -> AsyncIterator[Callable[[], Any]]:
    """Two roles and a database with the journal and the test's own tables, to be cloned."""
    template, password = f"tpl_journal_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    admin = make_url(postgres.admin_dsn).set(drivername="postgresql")

    def url(role: str, database: str) -> str:
        address = admin.set(username=role, password=password, database=database)
        return address.render_as_string(hide_password=False)

    connection = await asyncpg.connect(admin.render_as_string(hide_password=False))
    for role in ("journal_owner", "journal_app"):
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    await connection.execute(f"CREATE DATABASE {template} OWNER journal_owner")
    owner = await asyncpg.connect(url("journal_owner", template))
    statements: list[str] = []
    create_journal(statements.append, "journal_app")
    for statement in (*statements, TABLES):
        await owner.execute(statement)
    await owner.close()

    @asynccontextmanager
    async def fresh() -> AsyncIterator[Store]:
        name = f"t_journal_{secrets.token_hex(6)}"
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER journal_owner")
        store = Store(
            owner_url=url("journal_owner", name),
            app_url=url("journal_app", name),
            engine=create_engine(url("journal_app", name)),
        )
        try:
            yield store
        finally:
            await store.engine.dispose()
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    yield fresh
    await connection.close()


@pytest.fixture
async def cards(journal_template: Any) -> AsyncIterator[Store]:
    async with journal_template() as store:
        yield store


@pytest.fixture
async def payments(journal_template: Any) -> AsyncIterator[Store]:
    async with journal_template() as store:
        yield store


@pytest.fixture(scope="module")
def nats_cell(nats_server: Any) -> tuple[Any, NatsUsers]:
    users = new_users(FOLLOWS)
    return nats_server(users.config), users


@pytest.fixture
async def rig(cards: Store, payments: Store, nats_cell: tuple[Any, NatsUsers]) -> AsyncIterator[Rig]:
    server, users = nats_cell
    made = Rig(cards=cards, payments=payments, nats_url=server.url, users=users)
    async with made.stack:
        yield made
