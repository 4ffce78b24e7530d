"""The card's pages: words, steps that are done once, and forms that only this page's visitors can send."""

from typing import Any

import httpx
import pytest

from ecard.pages import qr_picture
from ecard.words import CARD_STATES, USE_STATES, local_clock, local_time, yuan

Phone = Any  # conftest.Phone, which tests cannot import
Api = Any
CHALLENGE = 'Bearer realm="onecard", error="insufficient_user_authentication", acr_values="urn:onecard:acr:real-person"'
ENABLING = "/v1/cards/0199a000-0000-7000-8000-000000000001/enabling"


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    show = {"zh": "现在不行。", "en": "Not now."}
    return httpx.Response(status, headers=headers, json={"code": code, "show": show})


async def test_whoever_has_no_card_applies_for_one(phone: Phone, api: Api) -> None:
    api.state = ""
    page = await phone.sign_in()
    assert "您还没有社保卡" in page.text
    assert (await phone.press(page, "/card/application")).headers["location"] == "/"
    assert (api.calls[-1].method, api.calls[-1].url.path) == ("POST", "/v1/cards")
    assert api.calls[-1].headers["Idempotency-Key"]


async def test_pressing_twice_sends_the_same_key(phone: Phone, api: Api) -> None:
    await phone.sign_in()
    page = await phone.http.get("/lost")
    for _ in range(2):
        assert (await phone.press(page, "/card/loss-report")).status_code == 303
    first, second = api.steps("/loss-report")
    assert first == second
    await phone.press(await phone.http.get("/lost"), "/card/loss-report")
    assert api.steps("/loss-report")[2] != first


async def test_a_face_check_is_asked_for_and_then_the_step_is_done(phone: Phone, api: Api) -> None:
    api.state = "dormant"
    page = await phone.sign_in()
    api.answers[f"POST {ENABLING}"] = refusal(403, "insufficient-assurance", **{"WWW-Authenticate": CHALLENGE})
    asked = await phone.go_to_issuer(await phone.press(page, "/card/enabling"))
    assert asked["acr_values"] == "urn:onecard:acr:real-person"
    del api.answers[f"POST {ENABLING}"]
    assert (await phone.come_back()).headers["location"] == "/"
    before, after = api.steps("/enabling")
    assert before == after


async def test_a_step_is_not_done_for_somebody_else_who_comes_back(phone: Phone, api: Api) -> None:
    api.state = "dormant"
    page = await phone.sign_in()
    api.answers[f"POST {ENABLING}"] = refusal(403, "insufficient-assurance", **{"WWW-Authenticate": CHALLENGE})
    await phone.go_to_issuer(await phone.press(page, "/card/enabling"))
    api.subject = "citizen-2"
    assert (await phone.come_back()).status_code == 303
    assert len(api.steps("/enabling")) == 1


async def test_a_step_that_is_still_refused_after_the_face_check_says_so_and_ends(phone: Phone, api: Api) -> None:
    api.state = "dormant"
    page = await phone.sign_in()
    api.answers[f"POST {ENABLING}"] = refusal(403, "insufficient-assurance", **{"WWW-Authenticate": CHALLENGE})
    await phone.go_to_issuer(await phone.press(page, "/card/enabling"))
    answer = await phone.come_back()
    assert answer.status_code == 403
    assert "操作未完成" in answer.text


async def test_a_loss_reported_from_a_page_left_open_for_long_is_not_forgotten(phone: Phone, api: Api) -> None:
    await phone.sign_in()
    page = await phone.http.get("/lost")
    phone.age_session(3600)
    await phone.go_to_issuer(await phone.press(page, "/card/loss-report"))
    assert api.steps("/loss-report") == []
    assert (await phone.come_back()).headers["location"] == "/"
    assert len(api.steps("/loss-report")) == 1
    # The page that was open before still works: the session is the same person's.
    assert (await phone.press(page, "/card/loss-report")).headers["location"] == "/"


@pytest.mark.parametrize("csrf", ["", "guessed", "é"])
@pytest.mark.parametrize("path", ["/card/loss-report", "/sign-out"])
async def test_a_form_from_another_site_does_nothing(phone: Phone, api: Api, path: str, csrf: str) -> None:
    await phone.sign_in()
    calls = len(api.calls)
    answer = await phone.http.post(path, data={"csrf": csrf, "key": "0123456789abcdef"})
    assert answer.status_code == 403
    assert "此页面已过期" in answer.text
    assert len(api.calls) == calls
    assert "正常使用" in (await phone.http.get("/")).text


async def test_what_the_api_refuses_is_said_in_its_words(phone: Phone, api: Api) -> None:
    await phone.sign_in()
    api.answers["POST /v1/cards/0199a000-0000-7000-8000-000000000001/codes"] = refusal(409, "card-not-in-state")
    answer = await phone.http.get("/code")
    assert answer.status_code == 409
    assert "现在不行。" in answer.text
    assert "Not now." in answer.text


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (httpx.Response(502), 503),
        (httpx.Response(503, json={"code": 1}), 503),
        (httpx.ConnectError("no"), 503),
        (httpx.Response(200, json={"items": 5}), 500),
    ],
)
async def test_an_api_that_is_down_or_talks_nonsense_gets_two_plain_sentences(
    phone: Phone, api: Api, answer: Any, status: int
) -> None:
    await phone.sign_in()
    api.answers["GET /v1/cards"] = answer
    page = await phone.http.get("/")
    assert page.status_code == status
    assert "系统繁忙" in page.text
    assert "Traceback" not in page.text


async def test_a_code_replaces_itself_only_so_often(phone: Phone) -> None:
    page = await phone.sign_in("/code")
    rounds = 0
    while 'data-next=""' not in page.text:
        page = await phone.http.get(page.text.split('data-next="')[1].split('"')[0])
        rounds += 1
    assert rounds == 4
    assert (await phone.http.get("/code?round=5")).status_code == 400
    assert "有效至" in page.text
    assert "12:01:00" in page.text
    assert 'data-seconds="60"' in page.text


async def test_uses_are_told_in_words_and_yuan(phone: Phone, api: Api) -> None:
    use = {"scenario": "canteen-meal", "amount_fen": 1297, "refunded_fen": 0, "at": "2026-11-24T04:00:00Z"}
    refused = {"code": "charge-refused", "show": {"zh": "余额不足。", "en": "The balance is too low."}}
    api.uses = [
        use | {"state": "accepted", "refunded_fen": 500, "refusal": None},
        use | {"state": "refused", "refusal": refused},
        use | {"scenario": "<b>", "state": "open", "amount_fen": None, "refusal": None},
    ]
    page = (await phone.sign_in("/uses")).text
    for words in ("食堂就餐", "Canteen meal", "¥12.97", "¥5.00", "余额不足。", "正在结算", "2026-11-24 12:00"):
        assert words in page
    assert "<b>" not in page


async def test_a_page_may_load_nothing_and_is_kept_by_nobody(phone: Phone) -> None:
    answer = await phone.sign_in("/code")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert answer.text.count("<script") == answer.text.count(f'<script nonce="{nonce}">') == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert (await phone.http.get("/code")).headers["Content-Security-Policy"] != policy
    assert "http:" not in answer.text.replace("http://www.w3.org/2000/svg", "")


async def test_strange_requests_get_a_plain_page(phone: Phone) -> None:
    await phone.sign_in()
    assert (await phone.http.get("/nowhere")).status_code == 404
    assert (await phone.http.post("/card/cancel", data={})).status_code == 403
    assert (await phone.http.get("/card/enabling")).status_code == 405
    large = await phone.http.post("/sign-out", data={"csrf": "x" * 50_000})
    assert large.status_code == 413
    unread = await phone.press(await phone.http.get("/lost"), "/card/loss-report", key="?")
    assert unread.status_code == 400
    assert "请求有误" in unread.text


def test_every_state_of_a_card_and_of_a_use_has_words() -> None:
    assert len(CARD_STATES) == 10
    assert set(USE_STATES) == {"accepted", "open", "refused", "cancelled"}
    for zh, en in (CARD_STATES | USE_STATES).values():
        assert zh
        assert en.isascii()


def test_amounts_and_times_are_written_as_people_read_them() -> None:
    assert [yuan(amount) for amount in (1, 100, 123456)] == ["¥0.01", "¥1.00", "¥1234.56"]
    assert local_time("2026-11-24T16:30:00Z") == "2026-11-25 00:30"
    assert local_clock("2026-11-24T16:30:05Z") == "00:30:05"


def test_a_code_is_drawn_black_on_white_with_a_quiet_zone() -> None:
    drawn = qr_picture("6BFOXN*TS0BI")
    assert 'fill="#fff"' in drawn
    assert 'stroke="#000"' in drawn
    assert 'viewBox="0 0 29 29"' in drawn  # 21 modules and four on each side
