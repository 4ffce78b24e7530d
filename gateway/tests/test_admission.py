"""Who is let in: scope, assurance, revocation, the age of the copy; and what the service is told about the caller."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.internal_tokens import Caller, decode
from gateway.testing import CELL, Door, Reply, Seen

CITIZEN = UUID("01890000-0000-7000-8000-000000000001")
GUARDIAN = UUID("01890000-0000-7000-8000-000000000002")


def caller(door: Door, seen: Seen, operation: str) -> Caller:
    service = operation.split(".")[0]
    return decode(
        seen.header("onecard-token") or "",
        callee=service,
        operation=operation,
        cell=CELL,
        secrets={"gateway": {"e1": door.edges[service].value}},
        now=datetime.now(UTC),
    )


async def until(door: Door, path: str, token: str, status: int, limit_s: float) -> tuple[Reply, float]:
    """Ask until the status comes; returns the reply and how long it took."""
    began = time.monotonic()
    while (reply := await door.get(path, token)).status != status and time.monotonic() - began < limit_s:  # noqa: ASYNC110  # another process's state
        await asyncio.sleep(0.02)  # below the quota of a person
    return reply, time.monotonic() - began


async def test_the_service_learns_who_asks_from_an_internal_token(door: Door) -> None:
    token = door.issuer.token(citizen=CITIZEN, jti="j-1", scope="card use")

    assert (await door.get("/v1/cards/c1", token)).status == 200

    told = caller(door, door.services.seen[0], "card.read")
    assert (told.citizen, told.acting, told.client, told.kind) == (CITIZEN, None, "channel-1", "channel")
    assert (told.jti, told.scopes) == ("j-1", frozenset(("card", "use")))
    assert told.acr == "urn:onecard:acr:real-person"


async def test_who_acts_for_the_citizen_stands_in_act(door: Door) -> None:
    await door.get("/v1/cards/c1", door.issuer.token(citizen=CITIZEN, acting=GUARDIAN))

    told = caller(door, door.services.seen[0], "card.read")
    assert (told.citizen, told.acting) == (CITIZEN, GUARDIAN)


async def test_on_a_public_route_nobody_is_known(door: Door) -> None:
    reply = await door.get("/v1/trust-list", door.issuer.token(citizen=CITIZEN))

    assert reply.status == 200
    told = caller(door, door.services.seen[0], "interop.trust_list")
    assert (told.citizen, told.client, told.jti, told.scopes) == (None, "", "", frozenset())


async def test_an_internal_token_opens_its_own_operation_only(door: Door) -> None:
    await door.get("/v1/cards/c1", door.issuer.token(citizen=CITIZEN))

    with pytest.raises(Exception, match="forged or meant for another operation"):
        caller(door, door.services.seen[0], "card.list")


async def test_without_the_scope_it_is_403_and_says_which(door: Door) -> None:
    reply = await door.get("/v1/cards/c1", door.issuer.token(citizen=CITIZEN, scope="payments use"))

    assert reply.status == 403
    assert reply.json()["code"] == "insufficient-scope"
    assert 'error="insufficient_scope", scope="card"' in reply.headers["www-authenticate"]
    assert not door.services.seen


@pytest.mark.parametrize("scope", ["terminal", "use", "use terminal"])
async def test_any_one_of_the_scopes_of_a_route_is_enough(door: Door, scope: str) -> None:
    assert (await door.get("/v1/uses/u1", door.issuer.token(citizen=CITIZEN, scope=scope))).status == 200


async def test_too_weak_an_assurance_names_the_one_that_is_needed(door: Door) -> None:
    token = door.issuer.token(citizen=CITIZEN, acr="urn:onecard:acr:real-name")

    assert (await door.send("POST", "/v1/cards/c1/loss-report", token)).status == 200
    reply = await door.send("POST", "/v1/cards/c1/enabling", token)

    assert reply.status == 403
    assert reply.json()["code"] == "insufficient-assurance"
    assert 'acr_values="urn:onecard:acr:real-person"' in reply.headers["www-authenticate"]


async def test_a_client_without_a_person_does_not_reach_a_persons_routes(door: Door) -> None:
    token = door.issuer.token(kind="terminal", scope="terminal card")

    assert (await door.get("/v1/scenarios", token)).status == 200
    assert (await door.get("/v1/cards", token)).json()["code"] == "insufficient-assurance"


@pytest.mark.parametrize("named", ["jti", "ancestor", "person", "acting person", "client", "kid", "binding"])
async def test_a_revoked_id_kills_every_token_that_names_it_within_a_second(door: Door, named: str) -> None:
    person, acting, jti, ancestor, client = uuid4(), uuid4(), str(uuid4()), str(uuid4()), f"channel-{uuid4()}"
    now_ms = int(time.time() * 1000)
    token = door.issuer.token(
        citizen=person, acting=acting, jti=jti, client_id=client, lin=[[ancestor, now_ms - 60_000]]
    )
    other = door.issuer.token(citizen=uuid4(), client_id=f"channel-{uuid4()}")
    assert (await door.get("/v1/cards/c1", token)).status == 200
    assert (await door.get("/v1/cards/c1", other)).status == 200
    ids = {
        "jti": jti,
        "ancestor": ancestor,
        "person": f"person:{person}",
        "acting person": f"person:{acting}",
        "client": f"client:{client}",
        "kid": "kid:t1",
        "binding": "binding:b-1",
    }

    # The ancestor was issued a minute ago: that time counts for it, not the token's own.
    door.services.revoke(ids[named], now_ms - 30_000 if named == "ancestor" else None)
    reply, seconds = await until(door, "/v1/cards/c1", token, 401, 2.0)

    assert reply.status == 401
    assert reply.json()["detail"] == "The access token has been revoked."
    assert seconds < 1.0
    if named != "kid":
        assert (await door.get("/v1/cards/c1", other)).status == 200
    fresh = door.issuer.token(citizen=person, acting=acting, client_id=client)
    assert (await door.get("/v1/cards/c1", fresh)).status == 200, "what was issued after the revocation lives"


async def test_an_ancestor_issued_after_the_moment_of_revocation_lives(door: Door) -> None:
    ancestor, now_ms = str(uuid4()), int(time.time() * 1000)
    door.services.revoke(ancestor, now_ms - 30_000)
    marker = door.issuer.token(citizen=CITIZEN, jti=str(uuid4()))
    assert (await door.get("/v1/cards/c1", marker)).status == 200
    jti = str(uuid4())
    canary = door.issuer.token(citizen=CITIZEN, jti=jti)
    door.services.revoke(jti)
    await until(door, "/v1/cards/c1", canary, 401, 2.0)  # the copy holds both entries now

    token = door.issuer.token(citizen=CITIZEN, lin=[[ancestor, now_ms - 10_000]])

    assert (await door.get("/v1/cards/c1", token)).status == 200


async def test_a_copy_older_than_three_seconds_closes_the_sensitive_routes_only(door: Door) -> None:
    token = door.issuer.token(citizen=CITIZEN)
    door.services.silent = True
    began = time.monotonic()

    while (reply := await door.send("POST", "/v1/cards/c1/loss-report", token)).status == 200:
        assert time.monotonic() - began < 6
        await asyncio.sleep(0.05)

    assert reply.status == 503
    assert reply.json()["code"] == "revocation-stale"
    assert reply.headers["retry-after"] == "1"
    assert 2.4 < time.monotonic() - began < 4.5
    assert (await door.get("/v1/cards/c1", token)).status == 200
    assert b"too old" in (await door.health("/readyz")).body
    door.services.silent = False
    reply, _ = await until(door, "/v1/cards/c1", token, 200, 3.0)
    began = time.monotonic()
    while (await door.send("POST", "/v1/cards/c1/loss-report", token)).status != 200:
        assert time.monotonic() - began < 3
        await asyncio.sleep(0.05)


async def test_before_the_first_list_no_token_is_taken(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.services.silent = True
    await door.services.start()
    await door.start_process(ready=False)
    try:
        reply = await door.get("/v1/cards/c1", door.issuer.token(citizen=CITIZEN))
        assert (reply.status, reply.json()["code"]) == (503, "unavailable")
        assert (await door.health("/readyz")).status == 503
        assert not door.services.seen
        door.services.silent = False
        reply, _ = await until(door, "/v1/cards/c1", door.issuer.token(citizen=CITIZEN), 200, 5.0)
        assert reply.status == 200
    finally:
        await door.__aexit__()


async def test_the_gateways_own_questions_carry_its_own_internal_token(door: Door) -> None:
    await until(door, "/v1/cards/c1", door.issuer.token(citizen=CITIZEN), 200, 1.0)

    asked = next(seen for seen in reversed(door.services.asked) if "revocations" in seen.target)
    told = caller(door, asked, "identity.revocations")
    assert (told.service, told.citizen, told.client) == ("gateway", None, "")
