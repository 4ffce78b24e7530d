"""Clients: who may be registered with what, and what suspension and the sandbox mean."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.testing.service import caller, running
from identity_svc.app import create_app
from identity_svc.clients.domain import (
    KINDS_WITH_CITIZENS,
    SCOPES_OF_KIND,
    Client,
    ClientKind,
    RedirectUriRefused,
    ScopeNotForKind,
    Wish,
)
from identity_svc.clients.domain import register as decide
from identity_svc.clients.use_cases import authenticate_client, find_active_client

from ..conftest import IdentityService, StartIdentity

OPERATOR = caller(client="first-operator", kind="operator", scopes="clients.manage", acr="urn:onecard:acr:client")
CHANNEL: dict[str, Any] = {
    "name": "范例渠道 Example channel",
    "kind": "channel",
    "redirect_uris": ["https://channel.example/callback"],
    "scopes": ["openid", "card"],
}
CHOSEN = {"client_id": "sbx_channel", "client_secret": "sbx_0123456789abcdef"}


async def register(identity: IdentityService, *, key: str = "k", **other: Any) -> httpx.Response:
    """Register the example channel, with `other` in place of what it would have."""
    return await identity.api.call("POST", "/v1/clients", CHANNEL | other, by=OPERATOR, key=key)


def new_client(wish: Wish, *, sandbox_host: str | None = None) -> Client:
    """Decide on a wish as an operator's request would."""
    return decide(wish, new_id=uuid4(), client_id=None, sandbox_host=sandbox_host, now=datetime(2026, 3, 2, tzinfo=UTC))


async def authenticated(identity: IdentityService, client_id: str, secret: str, *, sandbox: bool = True) -> bool:
    """Whether a client proves who it is."""
    state = identity.api.app.state
    async with state.runtime.workshop.begin() as work:
        found = await authenticate_client(work.session, state.client_desk.secrets, client_id, secret, sandbox=sandbox)
    return found is not None


async def test_a_client_is_registered_and_proves_itself_by_its_secret(identity: IdentityService) -> None:
    answer = await register(identity)
    assert answer.status_code == 201
    client = answer.json()
    assert client["client_secret"].startswith("sbx_")
    assert client["status"] == "active"
    assert client["sector"] == client["client_id"]
    assert await authenticated(identity, client["client_id"], client["client_secret"])
    assert not await authenticated(identity, client["client_id"], client["client_secret"] + "x")
    for nobody in ("nobody", "", "a\u0000", "a" * 5_000):
        assert not await authenticated(identity, nobody, client["client_secret"])
    (told,) = await identity.said("identity.client.registered.v1")
    assert told["data"] == {"client_id": client["client_id"], "kind": "channel", "status": "active", "version": 1}


async def test_a_secret_is_shown_once_and_stored_nowhere(identity: IdentityService) -> None:
    secret = (await register(identity)).json()["client_secret"]
    again = (await register(identity)).json()
    assert again["client_secret"] is None
    shown = await identity.api.call("GET", f"/v1/clients/{again['client_id']}", by=OPERATOR)
    assert "client_secret" not in shown.json()
    stored = str(await identity.rows("SELECT client::text FROM client")) + str(
        await identity.rows("SELECT encode(body, 'escape') FROM journal_row")
    )
    assert secret not in stored
    assert secret.encode().hex() not in stored
    assert await identity.count("client") == 1


@pytest.mark.parametrize("kind", list(ClientKind))
def test_no_kind_is_given_a_scope_of_another(kind: ClientKind) -> None:
    for scope in frozenset[str]().union(*SCOPES_OF_KIND.values()):
        wish = Wish(name="Example", kind=kind, scopes=(scope,))
        if scope in SCOPES_OF_KIND[kind]:
            assert new_client(wish).scopes == (scope,)
        else:
            with pytest.raises(ScopeNotForKind) as refused:
                new_client(wish)
            assert refused.value.field == "scopes.0"


async def test_a_scope_that_is_not_for_its_kind_is_refused_by_the_api(identity: IdentityService) -> None:
    refused = await register(identity, scopes=["openid", "terminal"])
    assert (refused.status_code, refused.json()["code"]) == (422, "scope-not-for-kind")
    assert refused.json()["field"] == "scopes.1"
    assert await identity.count("client") == 0


def test_terminals_and_operators_never_act_for_citizens() -> None:
    citizen_scopes = SCOPES_OF_KIND[ClientKind.CHANNEL]
    for kind in set(ClientKind) - KINDS_WITH_CITIZENS:
        assert not SCOPES_OF_KIND[kind] & citizen_scopes


@pytest.mark.parametrize(
    "uri",
    [
        "http://channel.example/callback",
        "https:///callback",
        "https://user@channel.example/callback",
        "https://channel.example/callback#part",
        "https://channel.example/call back",
        "https://channel.example\\@evil.example/",
        "https://channel.example:99999/",
        "javascript:alert(1)",
        "//channel.example/callback",
        "http://localhost.evil.example/",
        "https://渠道.example/callback",
    ],
)
def test_a_citizen_is_not_sent_to_an_odd_address(uri: str) -> None:
    with pytest.raises(RedirectUriRefused) as refused:
        new_client(Wish(name="Example", kind=ClientKind.CHANNEL, redirect_uris=("https://channel.example/ok", uri)))
    assert refused.value.field == "redirect_uris.1"


@pytest.mark.parametrize("uri", ["http://localhost:8090/callback", "http://127.0.0.1/x", "http://[::1]:9/x"])
def test_the_own_machine_needs_no_https(uri: str) -> None:
    assert new_client(Wish(name="Example", kind=ClientKind.CHANNEL, redirect_uris=(uri,))).redirect_uris == (uri,)


def test_only_a_sandbox_sends_citizens_to_its_own_host_without_https() -> None:
    wish = Wish(name="Example", kind=ClientKind.CHANNEL, redirect_uris=("http://192.0.2.7:8090/callback",))
    assert new_client(wish, sandbox_host="192.0.2.7").redirect_uris == wish.redirect_uris
    for host in (None, "192.0.2.8"):
        with pytest.raises(RedirectUriRefused):
            new_client(wish, sandbox_host=host)


async def test_a_terminal_has_no_redirect_address(identity: IdentityService) -> None:
    refused = await register(identity, kind="terminal", scopes=["terminal"])
    assert (refused.status_code, refused.json()["field"]) == (422, "redirect_uris")


async def test_a_suspended_client_is_as_good_as_unknown_and_its_tokens_are_dead(identity: IdentityService) -> None:
    client = (await register(identity)).json()
    path = f"/v1/clients/{client['client_id']}/suspension"
    answers = [await identity.api.call("POST", path, by=OPERATOR, key=key) for key in ("s1", "s1", "s2")]
    assert [(one.status_code, one.json()["status"], one.json()["version"]) for one in answers] == [
        (200, "suspended", 2)
    ] * 3
    assert not await authenticated(identity, client["client_id"], client["client_secret"])
    async with identity.api.app.state.runtime.workshop.begin() as work:
        assert await find_active_client(work.session, client["client_id"]) is None
    (revoked,) = await identity.rows("SELECT id, not_before_ms FROM revocation")
    assert revoked.id == f"client:{client['client_id']}"
    assert revoked.not_before_ms >= int(identity.clock().timestamp() * 1000)
    assert len(await identity.said("identity.client.suspended.v1")) == 1


async def test_an_operator_does_not_lock_itself_out(identity: IdentityService) -> None:
    refused = await identity.api.call("POST", "/v1/clients/first-operator/suspension", by=OPERATOR, key="s")
    assert (refused.status_code, refused.json()["code"]) == (409, "client-suspends-itself")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_client_is_not_found(identity: IdentityService, method: str) -> None:
    path = "/v1/clients/nobody" + ("/suspension" if method == "POST" else "")
    refused = await identity.api.call(method, path, by=OPERATOR, key="x")
    assert (refused.status_code, refused.json()["code"]) == (404, "client-not-found")


async def test_clients_are_listed_newest_first_page_by_page(identity: IdentityService) -> None:
    for number in range(5):
        await register(identity, key=str(number), name=f"Client {number}")
        identity.clock.move(seconds=1)
    names, cursor, pages = [], None, 0
    while cursor or not pages:
        query = "?limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = (await identity.api.call("GET", f"/v1/clients{query}", by=OPERATOR)).json()
        names += [item["name"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert (names, pages) == ([f"Client {number}" for number in (4, 3, 2, 1, 0)], 3)


async def test_in_a_sandbox_an_id_and_a_secret_may_be_chosen(identity: IdentityService) -> None:
    answer = await register(identity, **CHOSEN)
    assert (answer.status_code, answer.json()["client_id"]) == (201, "sbx_channel")
    assert await authenticated(identity, CHOSEN["client_id"], CHOSEN["client_secret"])
    taken = await register(identity, key="other", **CHOSEN)
    assert (taken.status_code, taken.json()["code"]) == (409, "client-exists")
    alone = await register(identity, key="third", client_id="sbx_alone")
    assert (alone.status_code, alone.json()["field"]) == (400, "client_id")
    unmarked = await register(identity, key="fourth", client_id="channel", client_secret="0123456789abcdef0123")
    assert (unmarked.status_code, unmarked.json()["field"]) == (422, "client_id")


@pytest.fixture
async def production(start_identity: StartIdentity) -> AsyncIterator[IdentityService]:
    async with start_identity(env="production") as identity:
        yield identity


async def test_production_makes_secrets_of_its_own_and_takes_none_of_a_sandbox(production: IdentityService) -> None:
    client = (await register(production)).json()
    assert not client["client_secret"].startswith("sbx_")
    refused = await register(production, key="other", **CHOSEN)
    assert (refused.status_code, refused.json()["code"]) == (422, "sandbox-credentials-refused")
    assert await authenticated(production, client["client_id"], client["client_secret"], sandbox=False)


async def test_production_does_not_start_with_a_client_of_a_sandbox(identity: IdentityService) -> None:
    client = (await register(identity)).json()
    assert not await authenticated(identity, client["client_id"], client["client_secret"], sandbox=False)
    settings = identity.settings.model_copy(update={"env": "production"})
    with pytest.raises(SystemExit, match="sbx_"):
        async with running(create_app(settings)):
            pass


async def test_the_first_operator_is_made_once_and_its_secret_printed_once(identity: IdentityService) -> None:
    settings = identity.settings
    environment = {
        "PATH": os.environ["PATH"],
        "ONECARD_CELL": settings.cell,
        "ONECARD_PUBLIC_URL": settings.public_url,
        "ONECARD_PORT": "1",
        "ONECARD_HEALTH_PORT": "1",
        "ONECARD_KEYS": str(settings.keys),
        "ONECARD_DATABASE_URL": identity.database.app_url,
        "ONECARD_NATS_URL": settings.nats_url,
    }
    runs: list[dict[str, str]] = []
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "identity_svc.first_operator", env=environment, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        runs.append(json.loads(printed))
    assert runs[0].keys() == {"client_id", "client_secret"}
    assert runs[1] == {"client_id": runs[0]["client_id"]}
    assert await authenticated(identity, runs[0]["client_id"], runs[0]["client_secret"])
    assert len(await identity.said("identity.client.registered.v1")) == 1


async def test_a_wrong_field_is_named(identity: IdentityService) -> None:
    wrong = {
        "kind": "citizen",
        "name": "a\u0000b",
        "sector": "Other Sector",
        "audiences": ["http://platform.example"],
        "scopes": ["openid profile"],
        "redirect_uris": ["https://channel.example/"] * 21,
        "unknown": "x",
    }
    for field, value in wrong.items():
        refused = await register(identity, **{field: value})
        assert refused.status_code == 422, field
        assert refused.json()["field"].split(".")[0] == field
