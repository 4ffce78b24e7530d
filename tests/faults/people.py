"""Who uses the cell under attack: citizens with a card each, a channel, two terminals, a counter; all by the API.

Invariant: everything here is made before the attack begins; what is asked during the attack stands in `asks`.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from onecard_local.callers import REAL_PERSON, ApiClient, Citizen, Credentials, Unexpected, expect, wait_for
from tests.demo.people import fresh_person
from tests.faults.cell import AttackedCell

CARD_SCOPES = "openid card card.code card.loss use payments"
CALLBACK = "http://localhost:8099/callback"
RENEWED_AFTER_S = 240.0


class Tokens:
    """The access token of one party, renewed before it ends and when it is refused."""

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token = ""
        self._at = 0.0

    def __call__(self, renew: bool) -> str:
        """Return the token; raises httpx.HTTPError when none can be had now."""
        with self._lock:
            old = time.monotonic() - self._at
            if not self._token or old > RENEWED_AFTER_S or (renew and old > 1.0):
                self._renew()
            return self._token

    def _renew(self) -> None:
        try:
            self._token = self._fetch()
        except Unexpected as refused:
            raise httpx.TransportError(str(refused)) from refused
        self._at = time.monotonic()


@dataclass(kw_only=True, eq=False)
class Holder:
    """A citizen with a card, and the channel through which they reach it."""

    citizen: Citizen
    channel: ApiClient
    token: Tokens
    card: str = ""  # sign number
    uses: list[Any] = field(default_factory=list)  # asks that were accepted at the till
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """A registered terminal in a venue."""

    client: ApiClient
    token: Tokens
    venue: str


@dataclass(frozen=True, kw_only=True)
class Town:
    """All of them."""

    holders: list[Holder]
    gate: Terminal
    till: Terminal
    operator: ApiClient
    operator_token: Tokens


class Founding:
    """Makes the town."""

    def __init__(self, cell: AttackedCell, seed: int) -> None:
        self._cell = cell
        self._dice = random.Random(seed)
        self._operator = cell.operator()
        scopes = "clients.manage venues.manage cards.produce cards.handover journal.read ledger.read"
        self._token = Tokens(lambda: self._operator.own_token(scopes))

    def town(self, citizens: int) -> Town:
        """Register, enrol, apply, produce, hand over, enable."""
        channel = self._register("channel", scopes=CARD_SCOPES.split(), redirect_uris=[CALLBACK], sector="faults")
        gate, till = self._terminal("library-entry"), self._terminal("canteen-meal")
        with ThreadPoolExecutor(4) as pool:
            holders = list(pool.map(lambda person: self._holder(person, channel), self._people(citizens)))
            for _ in pool.map(self._apply, holders):
                pass
            self._post("/v1/production-batches", {}, 202)
            for _ in pool.map(self._collect, holders):
                pass
        return Town(holders=holders, gate=gate, till=till, operator=self._operator, operator_token=self._token)

    def _people(self, count: int) -> list[Any]:
        people = {person.phone: person for person in (fresh_person(self._dice) for _ in range(count * 3))}
        return list(people.values())[:count]

    def _post(self, path: str, body: Any, *statuses: int) -> Any:
        answer = self._operator.call("POST", path, body, token=self._token(False), key=secrets.token_hex(8))
        return expect(answer, *(statuses or (200, 201)))

    def _register(self, kind: str, **wanted: Any) -> ApiClient:
        made = self._post("/v1/clients", {"name": f"Faults {kind}", "kind": kind} | wanted)
        return ApiClient(self._cell.public_url, Credentials(made["client_id"], made["client_secret"]))

    def _terminal(self, scenario: str) -> Terminal:
        client = self._register("terminal", scopes=["terminal"])
        name = {"zh": f"测试{scenario}", "en": f"Faults {scenario}"}
        venue = self._post("/v1/venues", {"name": name, "area": "330100", "scenarios": [scenario]})["venue"]

        def placed() -> bool:
            body = {"client_id": client.credentials.client_id}
            answer = self._operator.call(
                "POST", f"/v1/venues/{venue}/terminals", body, token=self._token(False), key=f"place-{venue}"
            )
            return answer.status_code == 201  # 409 until scenario-svc has heard of the client

        wait_for(placed, what="The terminal's place")
        return Terminal(client=client, token=Tokens(lambda: client.own_token("terminal")), venue=venue)

    def _holder(self, person: Any, channel: ApiClient) -> Holder:
        citizen = Citizen(self._cell.public_url, self._cell.outside, person)
        citizen.enrol(secrets.token_hex(8))

        def sign_in() -> str:
            return str(citizen.sign_in(channel, CALLBACK, CARD_SCOPES, acr=REAL_PERSON)["access_token"])

        holder = Holder(citizen=citizen, channel=channel, token=Tokens(sign_in))
        holder.token(False)
        return holder

    def _apply(self, holder: Holder) -> None:
        def applied() -> str | None:
            token, key = holder.token(False), f"apply-{holder.citizen.person.phone}"
            answer = holder.channel.call("POST", "/v1/cards", {}, token=token, key=key)
            return str(expect(answer, 201)["card"]) if answer.status_code != 409 else None

        holder.card = wait_for(applied, what="The card's application")

    def _collect(self, holder: Holder) -> None:
        path = f"/v1/cards/{holder.card}"

        def sent() -> bool:
            answer = holder.channel.call("GET", path, token=holder.token(False))
            return bool(expect(answer, 200)["state"] == "dispatched")

        wait_for(sent, what="The card from its maker", within_s=30.0)
        self._post("/v1/counter/handovers", {"document_number": holder.citizen.person.document_number})
        enabled = holder.channel.call("POST", f"{path}/enabling", token=holder.token(False), key=secrets.token_hex(8))
        expect(enabled, 200)

        def has_account() -> bool:
            accounts = expect(holder.channel.call("GET", "/v1/accounts", token=holder.token(False)), 200)["items"]
            return bool(accounts) and accounts[0]["state"] == "open"

        wait_for(has_account, what="The account at the bank")
