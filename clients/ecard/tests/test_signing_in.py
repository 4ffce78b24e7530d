"""Signing in, coming back, signing out: what is asked of the issuer, and what is not believed."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chassis.crypto.signing import PrivateKey
from ecard.settings import Settings

ISSUER = "http://localhost:8080"
Phone = Any  # conftest.Phone, which tests cannot import
Api = Any


async def test_whoever_signs_in_comes_back_to_the_page_they_wanted(phone: Phone, api: Api) -> None:
    page = await phone.sign_in("/code")
    assert "请出示此码" in page.text
    assert api.asked["code_challenge_method"] == "S256"
    assert api.asked["client_id"] == "sbx_ecard"
    assert "acr_values" not in api.asked
    assert "prompt" not in api.asked
    assert api.calls[-1].headers["Authorization"] == "Bearer a-token"


async def test_cookies_are_sealed_and_out_of_reach_for_scripts_and_other_sites(phone: Phone) -> None:
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    answer = await phone.come_back()
    kept = [cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith("onecard_session=")]
    assert len(kept) == 1
    assert all(word in kept[0] for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "a-token" not in kept[0]
    assert "Secure" not in kept[0]  # this page is served without TLS here


async def test_a_restart_of_the_page_signs_nobody_out(phone: Phone, open_phone: Callable[[], Phone]) -> None:
    await phone.sign_in()
    after = open_phone()
    after.http.cookies = phone.http.cookies
    assert "正常使用" in (await after.http.get("/")).text


async def test_a_changed_cookie_and_one_of_another_kind_are_nobodys(phone: Phone) -> None:
    await phone.sign_in()
    sealed = phone.http.cookies["onecard_session"]
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    other = phone.http.cookies["onecard_sign_in"]
    for value in (sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB"), other, "x" * 9000, ""):
        phone.http.cookies.clear()
        answer = await phone.http.get("/", headers={"Cookie": f"onecard_session={value}"})
        assert "登录后可以出示社保卡码" in answer.text


@pytest.mark.parametrize(
    "changed", [{"state": "another"}, {"iss": "https://elsewhere.example"}, {"iss": ""}, {"code": ""}]
)
async def test_an_answer_that_is_not_to_our_question_is_not_redeemed(
    phone: Phone, api: Api, changed: dict[str, str]
) -> None:
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    answer = await phone.come_back(**changed)
    assert answer.status_code == 400
    assert "登录未完成" in answer.text
    assert "onecard_session" not in phone.http.cookies
    assert not [call for call in api.calls if call.url.path == "/oauth/token"]


async def test_an_answer_in_another_browser_is_not_redeemed(phone: Phone, open_phone: Callable[[], Phone]) -> None:
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    other = open_phone()
    assert (await other.come_back()).status_code == 400
    assert "onecard_session" not in other.http.cookies


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"aud": "another-client"},
        {"iss": "https://elsewhere.example"},
        {"exp": 1},
        {"sub": None},
    ],
)
async def test_an_id_token_of_another_sign_in_client_issuer_or_time_gives_no_session(
    phone: Phone, api: Api, claims: dict[str, Any]
) -> None:
    api.claims = claims
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    assert (await phone.come_back()).status_code == 400
    assert "onecard_session" not in phone.http.cookies


async def test_an_id_token_signed_by_another_key_gives_no_session(phone: Phone, api: Api) -> None:
    api.published = PrivateKey.generate("key-1")
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    assert (await phone.come_back()).status_code == 400


@pytest.mark.parametrize(
    "discovery", [{"issuer": "https://elsewhere.example"}, {"token_endpoint": "https://elsewhere.example/oauth/token"}]
)
async def test_a_discovery_document_that_leads_elsewhere_is_not_followed(
    phone: Phone, api: Api, discovery: dict[str, str]
) -> None:
    api.discovery = discovery
    assert (await phone.http.get("/sign-in")).status_code == 503
    assert {call.url.host for call in api.calls} == {"localhost"}


@pytest.mark.parametrize("then", ["//elsewhere.example", "https://elsewhere.example", "/callback", "/sign-in"])
async def test_nobody_is_sent_to_a_place_that_is_not_one_of_ours(phone: Phone, then: str) -> None:
    await phone.go_to_issuer(await phone.http.get("/sign-in", params={"then": then[:20]}))
    assert (await phone.come_back()).headers["location"] == "/"


async def test_a_token_at_its_end_is_renewed_on_the_way_to_the_page(phone: Phone, api: Api) -> None:
    api.lasts_s = 10
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    await phone.come_back()
    phone.age_session(60)
    api.lasts_s = 600
    await phone.go_to_issuer(await phone.http.get("/uses"))
    answer = await phone.come_back()
    assert answer.headers["location"] == "/uses"


async def test_a_session_that_the_api_does_not_take_leads_nowhere_in_circles(phone: Phone, api: Api) -> None:
    api.answers["GET /v1/cards"] = httpx.Response(401)
    await phone.go_to_issuer(await phone.http.get("/sign-in"))
    await phone.come_back()
    answer = await phone.http.get("/")
    assert answer.status_code == 503
    assert "系统繁忙" in answer.text


async def test_a_page_that_needs_a_face_check_asks_for_one_once(phone: Phone, api: Api) -> None:
    await phone.sign_in()
    api.answers["GET /v1/uses"] = needs_a_face_check()
    asked = await phone.go_to_issuer(await phone.http.get("/uses"))
    assert asked["acr_values"] == "urn:onecard:acr:real-person"
    api.acr = "urn:onecard:acr:real-person"
    await phone.come_back()
    assert (await phone.http.get("/uses")).status_code == 503


async def test_signing_out_ends_the_token_and_the_next_person_signs_in_anew(phone: Phone, api: Api) -> None:
    page = await phone.sign_in()
    answer = await phone.press(page, "/sign-out")
    assert answer.headers["location"] == "/"
    revoked = [call for call in api.calls if call.url.path == "/oauth/revoke"]
    assert [call.content for call in revoked] == [b"token=a-token"]
    assert "登录后可以出示社保卡码" in (await phone.http.get("/")).text
    assert (await phone.go_to_issuer(await phone.http.get("/code")))["prompt"] == "login"
    await phone.come_back()
    assert "prompt" not in await phone.go_to_issuer(await phone.http.get("/sign-in"))


async def test_before_it_is_registered_the_page_says_so(phone: Phone, settings: Settings) -> None:
    (settings.clients / "ecard.json").unlink()
    assert (await phone.http.get("/")).status_code == 200
    answer = await phone.http.get("/sign-in")
    assert answer.status_code == 503
    assert "尚未注册" in answer.text
    assert "not registered yet" in answer.text


def needs_a_face_check() -> httpx.Response:
    return httpx.Response(
        403,
        headers={
            "WWW-Authenticate": 'Bearer realm="onecard", error="insufficient_user_authentication",'
            ' acr_values="urn:onecard:acr:real-person"'
        },
        json={"code": "insufficient-assurance", "show": {"zh": "需要人脸识别。", "en": "A face check is needed."}},
    )
