"""Clients for themselves, introspection, revocation, discovery, and what the gateway is told."""

import asyncio
import base64
import json
from typing import Any

import jwt
from sqlalchemy import text

from chassis.testing.service import PUBLIC_URL
from identity_svc.app import describe
from identity_svc.tokens.store import RevocationStore

from ..conftest import somebody
from .conftest import EXCHANGE, Credentials, OAuth, claims


async def test_a_terminal_gets_a_token_for_itself_with_what_it_is_registered_for(oauth: OAuth) -> None:
    terminal = await oauth.client("terminal", "terminal")
    answer = await oauth.own_token(terminal)
    token = claims(answer.json()["access_token"])
    assert (token["sub"], token["client_id"], token["kind"]) == (terminal.client_id, terminal.client_id, "terminal")
    assert (token["scope"], token["acr"], "cid" in token) == ("terminal", "urn:onecard:acr:client", False)
    assert "auth_time" not in token
    for scope in ("card", "terminal clients.manage", "openid"):
        refused = await oauth.own_token(terminal, scope=scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope"), scope


async def test_each_kind_of_client_has_its_own_grant(oauth: OAuth) -> None:
    channel, terminal = await oauth.client("channel", "openid card"), await oauth.client("terminal", "terminal")
    assert (await oauth.own_token(channel)).json()["error"] == "unauthorized_client"
    assert (await oauth.redeem(terminal, "any")).json()["error"] == "unauthorized_client"
    for grant in ("password", "refresh_token", "implicit"):
        refused = await oauth.post(
            "/oauth/token", {"grant_type": grant, "username": "x", "password": "y"}, **channel.basic
        )
        assert refused.json()["error"] == "unsupported_grant_type"


async def test_a_client_proves_itself_in_exactly_one_way(oauth: OAuth) -> None:
    terminal = await oauth.client("terminal", "terminal")
    grant = {"grant_type": "client_credentials"}
    assert (await oauth.post("/oauth/token", grant | terminal.post)).status_code == 200
    both = await oauth.post("/oauth/token", grant | terminal.post, **terminal.basic)
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")
    basic = base64.b64encode(f"{terminal.client_id}:wrong".encode()).decode()
    attempts: list[tuple[dict[str, str], dict[str, str]]] = [
        (grant, {}),
        (grant | {"client_id": terminal.client_id}, {}),
        (grant | {"client_id": terminal.client_id, "client_secret": "wrong"}, {}),
        (grant | {"client_id": "a\x01b", "client_secret": "wrong"}, {}),
        (grant, {"Authorization": f"Basic {basic}"}),
        (grant, {"Authorization": "Basic !!!"}),
        (grant, {"Authorization": f"Basic {base64.b64encode(b'a' + bytes(1) + b':b').decode()}"}),
        (grant, {"Authorization": "Bearer x"}),
        (grant, {"Authorization": Credentials("nobody", terminal.secret).basic["Authorization"]}),
    ]
    for form, headers in attempts:
        refused = await oauth.post("/oauth/token", form, **headers)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), (form, headers)
        assert ("www-authenticate" in refused.headers) == bool(headers)
        assert refused.headers["cache-control"] == "no-store"
    assert len(await oauth.denials()) == 1 + len(attempts)


async def test_a_form_that_is_none_is_refused_as_the_standard_says(oauth: OAuth) -> None:
    terminal = await oauth.client("terminal", "terminal")
    form = "application/x-www-form-urlencoded"
    bodies: list[tuple[str, bytes]] = [
        ("application/json", b'{"grant_type": "client_credentials"}'),
        (form, b"grant_type=client_credentials&grant_type=client_credentials"),
        (form, b"grant_type=client_credentials&scope=a%00b"),
        (form, b"grant_type=%ff"),
        (form, b"\xff\xfe"),
        (form, b"&".join(b"a%d=b" % number for number in range(60))),
        (form, b""),
    ]
    for content_type, content in bodies:
        headers = terminal.basic | {"Content-Type": content_type}
        for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
            refused = await oauth.identity.api.call("POST", path, headers=headers, content=content)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request"), content


async def test_a_token_is_shown_to_its_client_its_audience_and_who_may_introspect(oauth: OAuth) -> None:
    person = somebody(61)
    await oauth.identity.enrolled(person)
    channel, stranger = await oauth.client("channel", "openid card"), await oauth.client("channel", "openid card")
    service = await oauth.client("service", "introspect")
    token = await oauth.sign_in(channel, person)
    told = await oauth.introspect(channel, token)
    said = claims(token)
    assert told == {"active": True, "token_type": "Bearer"} | {
        name: said[name]
        for name in "iss aud sub client_id scope acr jti iat exp auth_time amr".split()  # noqa: SIM905 (reads better)
    }
    assert (await oauth.introspect(service, token))["active"]
    assert await oauth.introspect(stranger, token) == {"active": False}
    oauth.identity.clock.move(seconds=600)
    assert await oauth.introspect(channel, token) == {"active": False}


async def test_a_forged_changed_or_respelt_token_is_inactive(oauth: OAuth) -> None:
    terminal = await oauth.client("terminal", "terminal")
    token = (await oauth.own_token(terminal)).json()["access_token"]
    header, payload, signature = token.split(".")
    said = claims(token)
    twice = base64.urlsafe_b64encode(json.dumps(said).encode()[:-1] + b',"scope":"x"}').rstrip(b"=").decode()
    others = [
        "",
        "x.y.z",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}=",
        f"{header}.{payload}.{signature[:-2]}AA",
        f"{header}.{twice}.{signature}",
        jwt.encode(said, "k" * 32, algorithm="HS256", headers=jwt.get_unverified_header(token) | {"alg": "HS256"}),
        jwt.encode(said, None, algorithm="none", headers={"kid": "test-1", "typ": "at+jwt"}),
        "é" * 9,
        "a" * 9_000,
    ]
    assert (await oauth.introspect(terminal, token))["active"]
    for other in others[1:]:
        assert await oauth.introspect(terminal, other) == {"active": False}, other[:80]


async def test_an_id_token_is_no_access_token(oauth: OAuth) -> None:
    person = somebody(62)
    await oauth.identity.enrolled(person)
    channel = await oauth.client("channel", "openid card")
    desk = oauth.identity.api.app.state.token_desk
    token = claims(await oauth.sign_in(channel, person))
    assert await oauth.introspect(channel, desk.smith.sign_id_token(token)) == {"active": False}


async def test_a_client_revokes_its_own_tokens_only_and_is_always_told_200(oauth: OAuth) -> None:
    mine, theirs = await oauth.client("terminal", "terminal"), await oauth.client("terminal", "terminal")
    token = (await oauth.own_token(mine)).json()["access_token"]
    await oauth.revoke(theirs, token)
    await oauth.revoke(theirs, "rubbish")
    assert (await oauth.introspect(mine, token))["active"]
    await oauth.revoke(mine, token)
    await oauth.revoke(mine, token)
    assert await oauth.introspect(mine, token) == {"active": False}
    newer = (await oauth.own_token(mine)).json()["access_token"]
    assert (await oauth.introspect(mine, newer))["active"]


async def test_discovery_names_exactly_what_is_served(oauth: OAuth) -> None:
    documents = {}
    for name in ("openid-configuration", "oauth-authorization-server"):
        documents[name] = (await oauth.identity.api.call("GET", f"/.well-known/{name}")).json()
    oidc = documents["openid-configuration"]
    assert documents["oauth-authorization-server"].items() <= oidc.items()
    paths = describe().openapi()["paths"]
    named = {value.removeprefix(PUBLIC_URL) for key, value in oidc.items() if key.endswith(("_endpoint", "_uri"))}
    served = {path for path in paths if path.startswith("/oauth/")} | {"/v1/me"}
    assert named == served
    assert oidc["issuer"] == PUBLIC_URL
    form = paths["/oauth/token"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    for grant in oidc["grant_types_supported"]:
        assert grant in form["properties"]["grant_type"]["description"]
    channel = await oauth.client("channel", "openid card")
    for grant in [*oidc["grant_types_supported"], "password", "urn:x"]:
        answer = await oauth.post("/oauth/token", {"grant_type": grant}, **channel.basic)
        known = answer.json()["error"] != "unsupported_grant_type"
        assert known == (grant in oidc["grant_types_supported"])
    assert oidc["grant_types_supported"] == ["authorization_code", "client_credentials", EXCHANGE]
    assert set(oidc["token_endpoint_auth_methods_supported"]) == {"client_secret_basic", "client_secret_post"}
    assert oidc["response_types_supported"] == ["code"]
    assert oidc["code_challenge_methods_supported"] == ["S256"]


async def test_the_keys_hold_no_private_part_and_are_those_of_the_gateway(oauth: OAuth) -> None:
    public = (await oauth.identity.api.call("GET", "/oauth/jwks")).json()
    assert public == (await oauth.identity.api.call("GET", "/internal/keys")).json()
    (key,) = public["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def asked(oauth: OAuth, after: int) -> dict[str, Any]:
    """Ask for revocations as the gateway does."""
    return dict((await oauth.identity.api.call("GET", f"/internal/revocations?after={after}")).json())


async def test_the_gateway_is_told_of_each_revocation_once_it_is_committed_and_of_old_ones_no_more(
    oauth: OAuth,
) -> None:
    assert await asked(oauth, 0) == {"entries": [], "newest": 0, "more": False}
    await oauth.revoked("client:a")
    await oauth.revoked("client:b")
    told = await asked(oauth, 0)
    assert [(one["id"], one["n"]) for one in told["entries"]] == [("client:a", 1), ("client:b", 2)]
    now_ms = int(oauth.identity.clock().timestamp() * 1000)
    assert {one["not_before_ms"] for one in told["entries"]} == {now_ms + 1}
    oauth.identity.clock.move(minutes=1)
    await oauth.revoked("client:a")
    told = await asked(oauth, 2)
    assert [(one["id"], one["n"]) for one in told["entries"]] == [("client:a", 3)]
    assert told["newest"] == 3
    oauth.identity.clock.move(minutes=21)
    assert await asked(oauth, 0) == {"entries": [], "newest": 3, "more": False}
    assert (await oauth.identity.api.call("GET", "/internal/revocations?after=-1")).status_code == 422


async def test_a_number_is_never_seen_before_a_lower_one_even_when_the_lower_commits_late(oauth: OAuth) -> None:
    workshop = oauth.identity.api.app.state.runtime.workshop
    async with workshop.begin() as slow:
        await RevocationStore(slow.session).revoke("late", 10**15)
        quick = asyncio.create_task(oauth.revoked("early"))
        await slow.session.execute(text("SELECT pg_sleep(0.1)"))
        assert not quick.done(), "the second number was drawn while the first was not yet visible"
        assert (await asked(oauth, 0))["entries"] == []
    await quick
    assert [one["id"] for one in (await asked(oauth, 0))["entries"]] == ["late", "early"]
