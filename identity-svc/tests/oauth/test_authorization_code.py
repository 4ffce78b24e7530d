"""The code flow over the real app: a citizen signs in at a page, the client gets tokens, and nobody else does."""

import asyncio
from datetime import timedelta
from urllib.parse import urlencode

import jwt

from chassis.crypto.signing import PublicKey
from chassis.testing.service import PUBLIC_URL

from ..conftest import somebody
from .conftest import (
    BACK,
    REAL_NAME,
    REAL_PERSON,
    Browser,
    OAuth,
    answer_of,
    authorization,
    citizen_of,
    claims,
)


async def test_a_citizen_signs_in_with_a_code_from_the_phone_and_the_client_gets_its_tokens(
    oauth: OAuth, browser: Browser
) -> None:
    person = somebody(1)
    citizen = await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    assert (await browser.open(client)).status_code == 200
    told = answer_of(await browser.enter_code_for(person))
    assert (told["state"], told["iss"]) == ("s-1", PUBLIC_URL)
    answer = await oauth.redeem(client, told["code"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 600, "card openid")
    access = claims(body["access_token"])
    assert (access["iss"], access["aud"], access["client_id"]) == (PUBLIC_URL, PUBLIC_URL, client.client_id)
    assert (access["acr"], access["amr"], access["kind"], access["lin"]) == (REAL_NAME, ["otp", "sms"], "channel", [])
    assert access["iat_ms"] // 1000 == access["iat"]
    assert str(citizen) not in str(access)
    assert citizen_of(oauth, body["access_token"]) == citizen
    keys = (await oauth.identity.api.call("GET", "/oauth/jwks")).json()["keys"]
    public = PublicKey.from_jwk(keys[0])
    about = jwt.decode(
        body["id_token"], public.native, algorithms=["ES256"], audience=client.client_id, options={"verify_exp": False}
    )
    assert (about["nonce"], about["sub"], about["acr"]) == ("n-1", access["sub"], REAL_NAME)
    assert jwt.get_unverified_header(body["access_token"]) == {"alg": "ES256", "typ": "at+jwt", "kid": public.kid}
    assert len(await oauth.identity.said("identity.token.issued.v1")) == 1
    assert len(await oauth.identity.said("identity.sign_in.completed.v1")) == 1


async def test_two_clients_know_a_citizen_under_different_names_and_one_sector_under_one(oauth: OAuth) -> None:
    person = somebody(2)
    await oauth.identity.enrolled(person)
    clients = [await oauth.client("channel", "openid", sector=sector) for sector in ("a", "b", "b")]
    subjects = [claims(await oauth.sign_in(client, person, scope="openid"))["sub"] for client in clients]
    assert subjects[0] != subjects[1] == subjects[2]


async def test_a_code_used_twice_kills_what_the_first_use_issued(oauth: OAuth, browser: Browser) -> None:
    person = somebody(3)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    code = answer_of(await browser.enter_code_for(person))["code"]
    token = (await oauth.redeem(client, code)).json()["access_token"]
    assert (await oauth.introspect(client, token))["active"]
    again = await oauth.redeem(client, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert await oauth.introspect(client, token) == {"active": False}
    assert len(await oauth.identity.said("identity.token.revoked.v1")) == 1


async def test_of_two_uses_of_a_code_at_once_at_most_one_token_comes_and_it_is_dead(
    oauth: OAuth, browser: Browser
) -> None:
    person = somebody(4)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    code = answer_of(await browser.enter_code_for(person))["code"]
    answers = await asyncio.gather(*(oauth.redeem(client, code) for _ in range(5)))
    issued = [answer.json()["access_token"] for answer in answers if answer.status_code == 200]
    assert len(issued) == 1
    assert await oauth.introspect(client, issued[0]) == {"active": False}


async def test_a_code_with_a_wrong_verifier_or_address_is_refused_and_spoilt(oauth: OAuth, browser: Browser) -> None:
    person = somebody(5)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    answer = await browser.enter_code_for(person)
    wrong = (
        {"code_verifier": "w" * 43},
        {"code_verifier": "short"},
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": "https://other.example/"},
    )
    for number, other in enumerate(wrong, 1):
        code = answer_of(answer)["code"]
        refused = await oauth.redeem(client, code, **other)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant"), other
        assert (await oauth.redeem(client, code)).status_code == 400, "it was not spoilt"
        assert len([denial for denial in await oauth.denials() if "invalid_grant" in denial]) == 2 * number
        answer = await browser.open(client)


async def test_a_code_of_another_client_or_an_old_one_or_one_of_nobody_is_refused(
    oauth: OAuth, browser: Browser
) -> None:
    person = somebody(6)
    await oauth.identity.enrolled(person)
    client, other = await oauth.client("channel", "openid card"), await oauth.client("platform", "openid card")
    await browser.open(client)
    stolen = answer_of(await browser.enter_code_for(person))["code"]
    assert (await oauth.redeem(other, stolen)).json()["error"] == "invalid_grant"
    assert (await oauth.redeem(client, "invented")).json()["error"] == "invalid_grant"
    late = answer_of(await browser.open(client))["code"]
    oauth.identity.clock.move(seconds=61)
    assert (await oauth.redeem(client, late)).json()["error"] == "invalid_grant"


async def test_a_code_is_worth_nothing_once_the_person_is_revoked(oauth: OAuth, browser: Browser) -> None:
    person = somebody(7)
    citizen = await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    code = answer_of(await browser.enter_code_for(person))["code"]
    await oauth.revoked(f"person:{citizen}")
    assert (await oauth.redeem(client, code)).json()["error"] == "invalid_grant"
    oauth.identity.clock.move(seconds=1)
    assert (await browser.open(client)).status_code == 200, "the session of a revoked person must not serve"


NOWHERE: list[dict[str, str | None]] = [
    {"client_id": "nobody"},
    {"client_id": "a\0b"},
    {"client_id": None},
    {"redirect_uri": "https://evil.example/"},
    {"redirect_uri": BACK + "?x=1"},
    {"redirect_uri": BACK + "/../evil"},
    {"redirect_uri": BACK.upper()},
    {"redirect_uri": "https://channel.example@evil.example/back"},
    {"redirect_uri": "javascript:alert(1)"},
    {"redirect_uri": "//channel.example/back"},
    {"redirect_uri": None},
]


async def test_an_unknown_client_or_address_is_told_on_our_page_and_sent_nowhere(
    oauth: OAuth, browser: Browser
) -> None:
    client = await oauth.client("channel", "openid card")
    terminal = await oauth.client("terminal", "terminal")
    for number, other in enumerate([*NOWHERE, {"client_id": terminal.client_id}], 1):
        answer = await browser.open(client, **other)
        assert answer.status_code == 400, other
        assert "location" not in answer.headers, other
        assert "evil" not in answer.text
        assert len(await oauth.denials()) == number
    twice = await browser.send(
        "GET", "/oauth/authorize?" + urlencode(authorization(client)) + "&redirect_uri=https://evil.example/"
    )
    assert (twice.status_code, "location" in twice.headers) == (400, False)


WRONG: list[tuple[dict[str, str | None], str]] = [
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"scope": "openid card payments"}, "invalid_scope"),
    ({"scope": "openid clients.manage"}, "invalid_scope"),
    ({"scope": None}, "invalid_scope"),
    ({"prompt": "select_account"}, "invalid_request"),
    ({"max_age": "x"}, "invalid_request"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
    ({"prompt": "none"}, "login_required"),
]


async def test_a_wrong_request_is_told_to_the_client_at_its_own_address(oauth: OAuth, browser: Browser) -> None:
    client = await oauth.client("channel", "openid card")
    for other, error in WRONG:
        told = answer_of(await browser.open(client, **other))
        assert (told["error"], told["state"], told["iss"]) == (error, "s-1", PUBLIC_URL), other
    assert len(await oauth.denials()) == len(WRONG)


async def test_a_second_client_is_served_silently_by_the_session_unless_it_wants_more(oauth: OAuth) -> None:
    person = somebody(8)
    await oauth.identity.enrolled(person)
    first, second = await oauth.client("channel", "openid card"), await oauth.client("platform", "openid card")
    browser = Browser(oauth)
    await oauth.sign_in(first, person, browser)
    assert "code" in answer_of(await browser.open(second))
    assert "code" in answer_of(await browser.open(second, prompt="none"))
    assert (await browser.open(second, prompt="login")).status_code == 200
    assert answer_of(await browser.open(second, prompt="none", acr_values=REAL_PERSON))["error"] == (
        "interaction_required"
    )
    oauth.identity.clock.move(minutes=5)
    assert "code" in answer_of(await browser.open(second, max_age="300"))
    assert (await browser.open(second, max_age="299")).status_code == 200
    oauth.identity.clock.move(minutes=30)
    assert (await browser.open(second)).status_code == 200, "30 minutes without use end a session"


async def test_a_session_ends_after_eight_hours_however_much_it_is_used(oauth: OAuth, browser: Browser) -> None:
    person = somebody(9)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await oauth.sign_in(client, person, browser)
    for _ in range(23):
        oauth.identity.clock.move(minutes=20)
        assert "code" in answer_of(await browser.open(client))
    oauth.identity.clock.move(minutes=20)
    assert (await browser.open(client)).status_code == 200


async def test_the_face_check_makes_a_real_person_of_a_real_name(oauth: OAuth, browser: Browser) -> None:
    person = somebody(10)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await oauth.sign_in(client, person, browser)
    assert (await browser.open(client, acr_values=REAL_PERSON)).status_code == 200
    failed = await browser.look("other")
    assert failed.status_code == 422
    assert 'role="alert"' in failed.text
    cancelled = await browser.look("cancel")
    assert cancelled.status_code == 422
    told = answer_of(await browser.look("self"))
    token = claims((await oauth.redeem(client, told["code"])).json()["access_token"])
    assert (token["acr"], token["amr"]) == (REAL_PERSON, ["otp", "sms", "face"])
    assert "code" in answer_of(await browser.open(client, acr_values="real-person"))


async def test_a_picture_of_the_person_is_not_the_person(oauth: OAuth, browser: Browser) -> None:
    person = somebody(11)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client, acr_values=REAL_PERSON)
    assert (await browser.enter_code_for(person)).status_code == 200
    assert (await browser.look("picture")).status_code == 422
    invented = await browser.send("GET", "/oauth/authorize?continue=face&face_result=invented")
    assert invented.status_code == 422
    assert await oauth.identity.count("authorization_code") == 0


async def test_leaving_the_page_tells_the_client(oauth: OAuth, browser: Browser) -> None:
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    assert answer_of(await browser.step("leave"))["error"] == "access_denied"
    oauth.identity.clock.move(seconds=timedelta(minutes=1).total_seconds())
    assert (await browser.open(client)).status_code == 200
