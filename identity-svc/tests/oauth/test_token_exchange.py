"""Token exchange (RFC 8693) over the real app. Tests named after a complaint say whose users made it."""

import asyncio
from typing import Any
from uuid import UUID

import jwt
import pytest

from chassis.testing.service import PUBLIC_URL, caller

from ..conftest import somebody
from .conftest import ACCESS_TOKEN, POOL, REAL_PERSON, TAX, Credentials, OAuth, citizen_of, claims

CHANNEL = "openid profile card card.code card.loss use payments"


class World:
    """A channel, two platforms with audiences of their own, a service, and a citizen who has signed in."""

    channel: Credentials
    tax: Credentials
    pool: Credentials
    service: Credentials
    citizen: UUID
    token: str


@pytest.fixture
async def world(oauth: OAuth) -> World:
    world, person = World(), somebody(41)
    world.citizen = await oauth.identity.enrolled(person)
    world.channel = await oauth.client("channel", CHANNEL)
    world.tax = await oauth.client("platform", "openid card payments", audiences=[TAX])
    world.pool = await oauth.client("platform", "openid card", audiences=[POOL])
    world.service = await oauth.client("service", "introspect")
    subject_clients = [world.channel.client_id]
    assert (await oauth.policy(world.tax, TAX, "card payments", subject_clients=subject_clients)).status_code == 201
    world.token = await oauth.sign_in(world.channel, person, scope="openid card payments")
    return world


async def test_a_platform_swaps_a_citizens_token_for_one_of_its_own_audience(oauth: OAuth, world: World) -> None:
    answer = await oauth.exchange(world.tax, world.token, scope="card")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["issued_token_type"], body["token_type"], body["scope"]) == (ACCESS_TOKEN, "Bearer", "card")
    assert body["expires_in"] == 300
    parent, child = claims(world.token), claims(body["access_token"])
    assert (child["aud"], child["client_id"], child["acr"]) == (TAX, world.tax.client_id, parent["acr"])
    assert child["lin"] == [[parent["jti"], parent["iat_ms"]]]
    assert child["sub"] != parent["sub"], "two sectors must not know a person under one name"
    assert "cid" not in child
    assert (await oauth.introspect(world.tax, body["access_token"]))["active"]
    (told,) = await oauth.identity.said("identity.token.exchanged.v1")
    assert told["details"]["lineage"] == [parent["jti"]]


async def test_keycloak_up_scoping_by_default_is_impossible(oauth: OAuth, world: World) -> None:
    """Without `scope` the new token has what subject and policy share; what neither gave is refused, not trimmed."""
    plain = await oauth.exchange(world.tax, world.token)
    assert plain.json()["scope"] == "card payments"
    for scope in ("openid", "card card.code", "clients.manage", "card openid"):
        refused = await oauth.exchange(world.tax, world.token, scope=scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope"), scope


async def test_keycloak_the_resource_parameter_names_the_audience_as_rfc_8707_says(oauth: OAuth, world: World) -> None:
    named = await oauth.exchange(world.tax, world.token, audience="", resource=TAX)
    assert claims(named.json()["access_token"])["aud"] == TAX
    for other in ({"resource": POOL}, {"audience": "", "resource": POOL}, {"audience": ""}, {"audience": POOL}):
        refused = await oauth.exchange(world.tax, world.token, **other)
        assert refused.json()["error"] == "invalid_target", other


async def test_keycloak_revoking_a_token_cascades_through_every_exchanged_descendant(
    oauth: OAuth, world: World
) -> None:
    child = (await oauth.exchange(world.tax, world.token)).json()["access_token"]
    await oauth.policy(world.tax, POOL, "card")
    grandchild = (await oauth.exchange(world.tax, child, POOL)).json()["access_token"]
    assert len(claims(grandchild)["lin"]) == 2
    assert (await oauth.introspect(world.pool, grandchild))["active"]
    await oauth.revoke(world.channel, world.token)
    assert await oauth.introspect(world.tax, child) == {"active": False}
    assert await oauth.introspect(world.pool, grandchild) == {"active": False}
    assert (await oauth.exchange(world.tax, world.token)).json()["error"] == "invalid_request"
    assert (await oauth.exchange(world.tax, child, POOL)).json()["error"] == "invalid_request"


async def test_keycloak_53029_introspection_keeps_the_whole_chain_of_actors(oauth: OAuth, world: World) -> None:
    own = (await oauth.own_token(world.service)).json()["access_token"]
    await oauth.policy(world.service, TAX, "card", subject_clients=[world.channel.client_id])
    actor = {"actor_token": own, "actor_token_type": ACCESS_TOKEN}
    first = (await oauth.exchange(world.service, world.token, TAX, **actor)).json()["access_token"]
    second_service = await oauth.client("service", "introspect")
    await oauth.policy(second_service, POOL, "card", subject_clients=[world.service.client_id])
    own = (await oauth.own_token(second_service)).json()["access_token"]
    actor = {"actor_token": own, "actor_token_type": ACCESS_TOKEN}
    second = (await oauth.exchange(second_service, first, POOL, **actor)).json()["access_token"]
    told = await oauth.introspect(world.pool, second)
    assert [told["act"]["sub"], told["act"]["act"]["sub"]] == [second_service.client_id, world.service.client_id]
    await oauth.revoke(second_service, own)
    assert await oauth.introspect(world.pool, second) == {"active": False}, "an actor's token is an ancestor too"
    assert (await oauth.introspect(world.tax, first))["active"]


async def test_keycloak_52691_delegation_checks_the_actor(oauth: OAuth, world: World) -> None:
    own = (await oauth.own_token(world.service)).json()["access_token"]
    await oauth.policy(world.service, PUBLIC_URL, "card", subject_clients=[world.channel.client_id])
    for who, actor, audience in (
        (world.tax, own, TAX),  # a client's token in another client's hand
        (world.tax, world.token, TAX),  # a citizen's token
        (world.tax, "rubbish", TAX),
        (world.service, own, PUBLIC_URL),  # our own services know no clients as actors
    ):
        refused = await oauth.exchange(who, world.token, audience, actor_token=actor, actor_token_type=ACCESS_TOKEN)
        assert refused.json()["error"] in ("invalid_request", "invalid_target")
    half = await oauth.exchange(world.tax, world.token, actor_token=own)
    assert half.json()["error"] == "invalid_request"


async def test_zitadel_ghsa_g5h5_and_logto_8772_a_subject_token_made_for_others_is_refused(
    oauth: OAuth, world: World
) -> None:
    child = (await oauth.exchange(world.tax, world.token)).json()["access_token"]
    await oauth.policy(world.pool, POOL, "card")
    stolen = await oauth.exchange(world.pool, child, POOL)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_request")
    assert (await oauth.exchange(world.pool, world.token, POOL)).json()["error"] == "invalid_request"
    await oauth.policy(world.pool, POOL, "card", subject_clients=[world.tax.client_id])
    assert (await oauth.exchange(world.pool, child, POOL)).status_code == 200


async def test_zitadel_12319_the_strict_rules_still_let_the_permitted_exchange_through(
    oauth: OAuth, world: World
) -> None:
    """A platform's own token needs no word about other clients in its policy."""
    person = somebody(42)
    await oauth.identity.enrolled(person)
    token = await oauth.sign_in(world.pool, person, scope="openid card")
    await oauth.policy(world.pool, POOL, "card")
    assert (await oauth.exchange(world.pool, token, POOL)).status_code == 200


async def test_hydra_1218_a_child_for_our_own_api_is_made_and_names_its_parent_for_the_gateway(
    oauth: OAuth, world: World
) -> None:
    await oauth.policy(world.tax, PUBLIC_URL, "card", max_lifetime_s=600, subject_clients=[world.channel.client_id])
    child = (await oauth.exchange(world.tax, world.token, PUBLIC_URL)).json()["access_token"]
    parent = claims(world.token)
    assert claims(child)["lin"] == [[parent["jti"], parent["iat_ms"]]]
    assert citizen_of(oauth, child) == world.citizen
    await oauth.revoke(world.channel, world.token)
    listed = (await oauth.identity.api.call("GET", "/internal/revocations?after=0")).json()["entries"]
    assert any(one["id"] == parent["jti"] and one["not_before_ms"] > parent["iat_ms"] for one in listed)


async def test_no_policy_no_token_and_a_policy_is_for_one_client_and_one_audience(oauth: OAuth, world: World) -> None:
    assert (await oauth.exchange(world.channel, world.token)).json()["error"] == "invalid_target"
    assert (await oauth.exchange(world.tax, world.token, POOL)).json()["error"] == "invalid_target"
    assert (await oauth.exchange(world.pool, world.token, TAX)).json()["error"] == "invalid_target"


async def test_lifetime_and_assurance_only_narrow(oauth: OAuth, world: World) -> None:
    channel = [world.channel.client_id]
    await oauth.policy(world.tax, TAX, "card", max_lifetime_s=20, subject_clients=channel)
    assert (await oauth.exchange(world.tax, world.token)).json()["expires_in"] == 20
    await oauth.policy(world.tax, TAX, "card", max_lifetime_s=300, subject_clients=channel)
    oauth.identity.clock.move(seconds=590)
    assert (await oauth.exchange(world.tax, world.token)).json()["expires_in"] == 10
    await oauth.policy(world.tax, TAX, "card", min_acr=REAL_PERSON, subject_clients=channel)
    weak = await oauth.exchange(world.tax, world.token)
    assert weak.json()["error"] == "invalid_request"
    oauth.identity.clock.move(seconds=10)
    assert (await oauth.exchange(world.tax, world.token)).json()["error"] == "invalid_request"


async def test_a_family_of_tokens_is_at_most_eight_deep(oauth: OAuth, world: World) -> None:
    await oauth.policy(world.tax, PUBLIC_URL, "card", max_lifetime_s=600, subject_clients=[world.channel.client_id])
    token = world.token
    for depth in range(1, 9):
        token = (await oauth.exchange(world.tax, token, PUBLIC_URL)).json()["access_token"]
        assert len(claims(token)["lin"]) == depth
    assert (await oauth.exchange(world.tax, token, PUBLIC_URL)).json()["error"] == "invalid_request"


async def test_every_id_that_a_token_names_kills_it_when_revoked(oauth: OAuth, world: World) -> None:
    for number, kind in enumerate(("person", "client", "kid", "parent", "itself")):
        person = somebody(50 + number)
        citizen = await oauth.identity.enrolled(person)
        parent = await oauth.sign_in(world.channel, person, scope="openid card payments")
        child = (await oauth.exchange(world.tax, parent)).json()["access_token"]
        assert (await oauth.introspect(world.tax, child))["active"], kind
        name = {
            "person": f"person:{citizen}",
            "client": f"client:{world.tax.client_id}",
            "kid": f"kid:{jwt.get_unverified_header(child)['kid']}",
            "parent": claims(parent)["jti"],
            "itself": claims(child)["jti"],
        }[kind]
        await oauth.revoked(name)
        assert await oauth.introspect(world.tax, child) == {"active": False}, kind
        oauth.identity.clock.move(milliseconds=10)


async def test_a_suspended_platform_gets_nothing_and_its_tokens_are_dead(oauth: OAuth, world: World) -> None:
    child = (await oauth.exchange(world.tax, world.token)).json()["access_token"]
    operator = caller(client="first-operator", kind="operator", scopes="clients.manage", acr="")
    path = f"/v1/clients/{world.tax.client_id}/suspension"
    assert (await oauth.identity.api.call("POST", path, by=operator, key="s")).status_code == 200
    assert await oauth.introspect(world.service, child) == {"active": False}
    assert (await oauth.exchange(world.tax, world.token)).status_code == 401


async def test_only_access_tokens_are_exchanged_and_only_for_access_tokens(oauth: OAuth, world: World) -> None:
    id_token = "urn:ietf:params:oauth:token-type:id_token"
    for other in ({"subject_token_type": id_token}, {"requested_token_type": id_token}):
        assert (await oauth.exchange(world.tax, world.token, **other)).json()["error"] == "unsupported_token_type"
    own = (await oauth.own_token(world.service)).json()["access_token"]
    await oauth.policy(world.service, TAX, "card")
    assert (await oauth.exchange(world.service, own, TAX)).status_code == 400, "nobody is behind a client's own token"


async def test_every_refused_exchange_is_in_the_journal_under_the_client_that_asked(oauth: OAuth, world: World) -> None:
    await oauth.exchange(world.tax, "rubbish")
    await oauth.exchange(world.tax, world.token, scope="openid")
    rows = await oauth.identity.rows("SELECT key FROM journal_row WHERE kind = 'd' ORDER BY id")
    assert [row.key for row in rows] == [world.tax.client_id] * 2


async def test_a_policy_cannot_allow_more_than_policies_may(oauth: OAuth, world: World) -> None:
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("max_lifetime_s", {"max_lifetime_s": 301}),
        ("max_lifetime_s", {"max_lifetime_s": 601}),
        ("min_acr", {"min_acr": "strong"}),
        ("client_id", {"client_id": "nobody"}),
        ("audience", {"audience": "https://nobody.example"}),
        ("surprise", {"surprise": 1}),
    )
    for field, other in wrong:
        audience = str(other.pop("audience", TAX))
        refused = await oauth.policy(world.tax, audience, "card", **other)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    operator = caller(client="first-operator", kind="operator", scopes="policies.manage", acr="")
    listed = await oauth.identity.api.call("GET", "/v1/exchange-policies?limit=1", by=operator)
    assert [item["audience"] for item in listed.json()["items"]] == [TAX]
    assert listed.json()["next"] is None


async def test_setting_a_policy_again_takes_the_place_of_the_one_before_at_once(oauth: OAuth, world: World) -> None:
    before = (await oauth.policy(world.tax, TAX, "card", subject_clients=[world.channel.client_id])).json()
    after = (await oauth.policy(world.tax, TAX, "payments", subject_clients=[world.channel.client_id])).json()
    assert before["id"] == after["id"]
    assert (await oauth.exchange(world.tax, world.token)).json()["scope"] == "payments"
    assert len(await oauth.identity.said("identity.exchange_policy.set.v1")) == 3


async def test_exchanges_at_once_do_not_wait_for_each_other(oauth: OAuth, world: World) -> None:
    answers = await asyncio.gather(*(oauth.exchange(world.tax, world.token) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 6
