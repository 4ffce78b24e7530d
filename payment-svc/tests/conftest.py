"""payment-svc in a test: its real app on a database of its own, the real bank simulator behind a wire that we hold."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from chassis.breaker import CircuitBreaker
from chassis.journal.received import Received
from chassis.testing.clock import FixedClock
from chassis.testing.databases import Databases, TestDatabase
from chassis.testing.keys import write_service_keys
from chassis.testing.service import CELL, PUBLIC_URL, Api, caller, running
from chassis.testing.waiting import until
from chassis.work import Workshop
from contracts.events.card import CardEnabled
from contracts.events.envelope import encode
from payment_svc.app import create_app
from payment_svc.ledger.consumers import open_accounts_of_enabled_cards
from payment_svc.settings import Settings
from simulators.app import create_app as create_simulators
from simulators.settings import SimulatorSettings

SCENARIO = caller(client="canteen-terminal", kind="terminal", acr="", service="scenario")
OPERATOR = caller(client="operations", kind="operator", scopes="ledger.read", acr="")


class Wire(httpx.AsyncBaseTransport):
    """The line to the bank: it can be cut, and an answer can be held back while the bank has long acted."""

    def __init__(self, bank: httpx.AsyncBaseTransport) -> None:
        self._bank = bank
        self.sent: list[tuple[str, str]] = []
        self.order_ids: list[str] = []
        self.is_cut = False
        self.loses_answers = False  # the bank hears us, we do not hear it
        self.hold_answers: asyncio.Event | None = None  # answers to orders wait for it

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.method, request.url.path))
        if request.method == "POST":
            self.order_ids.append(json.loads(request.content)["id"])
        if self.is_cut:
            raise httpx.ConnectError("the line is cut")
        response = await self._bank.handle_async_request(request)
        if self.loses_answers:
            raise httpx.ReadError("the answer is lost")
        if self.hold_answers is not None and request.method == "POST":
            await response.aread()
            await self.hold_answers.wait()
        return response

    def orders(self) -> int:
        """How many orders to move money were sent."""
        return len(self.order_ids)


@dataclass
class PaymentService:
    """The running service, its clock, its database and the bank."""

    api: Api
    clock: FixedClock
    wire: Wire
    bank: httpx.AsyncClient  # straight to the simulator, past the wire
    database: TestDatabase
    positions: dict[str, int] = field(default_factory=lambda: {"card": 0})

    @property
    def workshop(self) -> Workshop:
        """Where a test looks into the database as the service's own role."""
        workshop: Workshop = self.api.app.state.runtime.workshop
        return workshop

    async def enable_card(self, *citizens: UUID, level: int = 2) -> None:
        """Let card-svc's journal tell of enabled cards, through the real handler."""
        received = []
        for citizen in citizens:
            told = CardEnabled(
                card=uuid4(), handle=uuid4(), citizen=citizen, state="active", level=level, area="330400", version=5
            )
            body = encode(told, event_id=uuid4(), source=f"/cells/{CELL}/card-svc", time=self.clock())
            self.positions["card"] += 1
            received.append(Received("card", self.positions["card"], told.topic, told.key, body))
        async with self.workshop.begin() as work:
            await open_accounts_of_enabled_cards(work, received)

    async def citizen(self) -> UUID:
        """Return a citizen whose account is open at the bank."""
        citizen = uuid4()
        await self.enable_card(citizen)
        await until(lambda: self._is_open(citizen), what="the account at the bank")
        return citizen

    async def _is_open(self, citizen: UUID) -> bool:
        accounts = await self.accounts(citizen)
        return [account["state"] for account in accounts] == ["open"]

    async def accounts(self, citizen: UUID) -> list[dict[str, Any]]:
        """Return what the citizen sees."""
        answer = await self.api.call("GET", "/v1/accounts", by=caller(citizen=citizen, scopes="payments"))
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def charge(self, citizen: UUID, amount_fen: int = 1500, **more: Any) -> httpx.Response:
        """Charge as scenario-svc does."""
        body = {
            "charge_id": uuid4(),
            "citizen": citizen,
            "venue": UUID(int=7),
            "terminal": "canteen-terminal",
            "scenario": "canteen-meal",
            "amount_fen": amount_fen,
        }
        return await self.api.call("POST", "/internal/charges", body | more, by=SCENARIO)

    async def void(self, charge: UUID) -> httpx.Response:
        """Take a charge back as scenario-svc does."""
        return await self.api.call("POST", f"/internal/charges/{charge}/void", by=SCENARIO)

    async def refund(self, charge: UUID, amount_fen: int, refund_id: UUID | None = None) -> httpx.Response:
        """Refund as scenario-svc does."""
        body = {"refund_id": refund_id or uuid4(), "amount_fen": amount_fen}
        return await self.api.call("POST", f"/internal/charges/{charge}/refunds", body, by=SCENARIO)

    async def payment(self, citizen: UUID, payment_id: str) -> dict[str, Any]:
        """Read a payment as its payer."""
        by = caller(citizen=citizen, scopes="payments")
        answer = await self.api.call("GET", f"/v1/payments/{payment_id}", by=by)
        assert answer.status_code == 200, answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    async def settled(self, citizen: UUID, payment_id: str, *, state: str) -> dict[str, Any]:
        """Let time pass until the settling loop has brought a payment to `state`."""

        async def look() -> dict[str, Any] | None:
            self.clock.move(seconds=1)
            payment = await self.payment(citizen, payment_id)
            return payment if payment["state"] == state else None

        return await until(look, what=f"a payment in state {state}")

    async def invariants(self) -> dict[str, Any]:
        """Read the invariants, which have to hold in every test."""
        answer = await self.api.call("GET", "/v1/ledger/invariants", by=OPERATOR)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert found["ok"], found
        return found

    async def told(self, key: object) -> list[tuple[str, dict[str, Any]]]:
        """Return topic and CloudEvent data of everything that was said about one aggregate, oldest first."""
        rows = await self.rows(
            "SELECT topic, convert_from(body, 'UTF8')::jsonb->'data' AS data FROM journal_row"
            " WHERE key = :key AND kind = 'e' ORDER BY id",
            key=str(key),
        )
        return [(row.topic, row.data) for row in rows]

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """Look into the database."""
        async with self.workshop.begin() as work:
            return list(await work.session.execute(text(query), values))

    async def at_the_bank(self, account: str) -> int:
        """Return what the bank says an account holds."""
        answer = await self.bank.get(f"/bank/accounts/{account}")
        balance_fen: int = answer.json()["balance_fen"]
        return balance_fen


StartPaymentService = Callable[..., AbstractAsyncContextManager[PaymentService]]


@pytest.fixture(autouse=True)
def _trusting_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker measures real seconds, and a test's clock does not move them."""
    monkeypatch.setitem(CircuitBreaker.__init__.__kwdefaults__, "pause_s", 0.02)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def start_payment_service(databases: Databases, tmp_path: Path, clock: FixedClock) -> StartPaymentService:
    """`async with start_payment_service() as service:`"""

    @asynccontextmanager
    async def start() -> AsyncIterator[PaymentService]:
        keys = write_service_keys(tmp_path / "keys", "payment", follows=["card"])
        async with databases.fresh("payment") as database:
            settings = Settings(
                cell=CELL,
                public_url=PUBLIC_URL,
                port=1,
                health_port=1,
                keys=keys,
                database_url=database.app_url,
                nats_url="nats://127.0.0.1:9",
                outside={"bank": "http://outside/bank"},
            )
            simulators = create_simulators(
                SimulatorSettings(port=1, health_port=2, state=tmp_path / "bank", clients=tmp_path), clock=clock
            )
            straight = httpx.ASGITransport(app=simulators)
            wire = Wire(straight)
            app = create_app(settings, clock=clock, outside=wire)
            async with (
                simulators.router.lifespan_context(simulators),
                httpx.AsyncClient(transport=straight, base_url="http://outside") as bank,
                running(app) as api,
            ):
                yield PaymentService(api, clock, wire, bank, database)

    return start


@pytest.fixture
async def service(start_payment_service: StartPaymentService) -> AsyncIterator[PaymentService]:
    """A running payment-svc; whatever a test did, its ledger has to be sound at the end."""
    async with start_payment_service() as running_service:
        yield running_service
        await running_service.invariants()
