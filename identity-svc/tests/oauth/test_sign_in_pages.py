"""The pages: who can read them, what they give away (nothing), and how many guesses they allow."""

import re

import httpx
import pytest

from chassis.testing.waiting import until
from contracts.document_number import check_character

from ..conftest import somebody
from .conftest import REAL_PERSON, Browser, OAuth, answer_of, counting_statements

OF_THE_SENDER = ("UPDATE sms_outbox", "DELETE FROM sms_outbox")
"""What the loop beside the requests does whenever it comes round."""


def without_ids(page: httpx.Response) -> str:
    """Return a page without what differs in every sign-in."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", page.text)


async def test_a_page_is_plain_accessible_html_that_loads_nothing(oauth: OAuth, browser: Browser) -> None:
    client = await oauth.client("channel", "openid card", name="<b>名&\"'</b>")
    page = await browser.open(client)
    assert "<script" not in page.text
    assert "&lt;b&gt;" in page.text
    assert "<b>" not in page.text
    assert not re.search(r'(src|href)="', page.text)
    label = re.search(r'<label for="([^"]+)"', page.text)
    assert label
    assert f'id="{label[1]}"' in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://channel.example;" in policy
    assert page.headers["cache-control"] == "no-store"
    code_page = await browser.step("number", document_number=somebody(1).document_number)
    assert 'inputmode="numeric" autocomplete="one-time-code"' in code_page.text


async def test_cookies_are_out_of_reach_for_scripts(oauth: OAuth, browser: Browser) -> None:
    client = await oauth.client("channel", "openid card")
    page = await browser.open(client)
    (cookie,) = page.headers.get_list("set-cookie")
    assert {"HttpOnly", "Path=/oauth", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    stored = await oauth.identity.rows("SELECT cookie_hash FROM sign_in")
    assert browser.cookies["onecard-sign-in"].encode() not in stored[0].cookie_hash


async def test_cookies_travel_by_https_only_when_we_are_served_by_https(
    start_identity: object, browser: Browser
) -> None:
    async with start_identity(public_url="https://card.example") as identity:  # type: ignore[operator]  # a fixture
        oauth = OAuth(identity)
        page = await Browser(oauth).open(await oauth.client("channel", "openid card"))
        assert "Secure" in page.headers["set-cookie"]


async def test_a_known_and_an_unknown_number_get_the_same_pages_by_the_same_statements(oauth: OAuth) -> None:
    known, stranger = somebody(21), somebody(22)
    await oauth.identity.enrolled(known)
    client = await oauth.client("channel", "openid card")
    seen = []
    for person in (known, stranger):
        browser = Browser(oauth, network=f"192.0.2.{person.document_number[-2]}")
        await browser.open(client)
        pages, statements = [], []
        for step, values in (
            ("number", {"document_number": person.document_number}),
            ("code", {"code": "not-it"}),
            *[("code", {"code": "000000x"})] * 4,
        ):
            async with counting_statements(oauth) as sent:
                answer = await browser.step(step, **values)
            pages.append((answer.status_code, sorted(answer.headers), without_ids(answer)))
            statements.append([statement for statement in sent if not statement.startswith(OF_THE_SENDER)])
        seen.append((pages, statements))
    assert seen[0] == seen[1]
    assert len(await oauth.identity.inbox(known.phone)) == 2, "enrolment and one sign-in"
    assert len(await oauth.identity.inbox(stranger.phone)) == 0


async def test_five_wrong_codes_end_a_code_and_the_right_one_comes_too_late(oauth: OAuth, browser: Browser) -> None:
    person = somebody(23)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    await browser.step("number", document_number=person.document_number)
    right = (await oauth.identity.codes(person.phone, at_least=2))[0]
    wrong = "000000" if right != "000000" else "111111"
    for _ in range(4):
        assert (await browser.step("code", code=wrong)).status_code == 422
    assert "重新开始" in (await browser.step("code", code=wrong)).text
    late = await browser.step("code", code=right)
    assert (late.status_code, "document-number" in late.text) == (200, True)
    assert await oauth.identity.count("authorization_code") == 0
    assert len([denial for denial in await oauth.denials() if "wrong code" in denial]) == 5


async def test_a_code_is_open_for_five_minutes(oauth: OAuth, browser: Browser) -> None:
    person = somebody(24)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    await browser.step("number", document_number=person.document_number)
    code = (await oauth.identity.codes(person.phone, at_least=2))[0]
    oauth.identity.clock.move(minutes=5)
    assert (await browser.step("code", code=code)).status_code == 422


async def test_lockout_guessing_over_many_sign_ins_ends_at_the_persons_limit_not_only_at_the_codes(
    oauth: OAuth,
) -> None:
    person = somebody(25)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    for _ in range(2):
        guesser = Browser(oauth)
        await guesser.open(client)
        await guesser.step("number", document_number=person.document_number)
        for _ in range(5):
            await guesser.step("code", code="x")
    here, elsewhere = Browser(oauth), Browser(oauth, network="198.51.100.1")
    await here.open(client)
    assert (await here.enter_code_for(person)).status_code == 422, "ten wrong ones from this network"
    await elsewhere.open(client)
    assert "code" in answer_of(await elsewhere.enter_code_for(person)), "its owner is not locked out at home"


async def test_one_network_cannot_send_messages_to_a_phone_without_end(oauth: OAuth, browser: Browser) -> None:
    person = somebody(26)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    pages = [await browser.step("number", document_number=person.document_number)]
    for _ in range(7):
        await browser.step("restart")
        pages.append(await browser.step("number", document_number=person.document_number))
    assert {without_ids(page) for page in pages} == {without_ids(pages[0])}

    await until(oauth.identity.outbox_is_empty)
    assert len(await oauth.identity.inbox(person.phone)) == 1 + 6


async def test_a_network_that_tries_many_numbers_is_told_to_wait(oauth: OAuth, browser: Browser) -> None:
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    for sequence in range(60):
        assert (await browser.step("number", document_number=somebody(sequence + 100).document_number)).is_success
    many = await browser.step("number", document_number=somebody(99).document_number)
    assert (many.status_code, "retry-after" in many.headers) == (429, True)


async def test_a_mistyped_number_is_said_to_be_one(oauth: OAuth, browser: Browser) -> None:
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    digits = "33009919900305001"
    wrong = "0" if check_character(digits) != "0" else "1"
    page = await browser.step("number", document_number=digits + wrong)
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert digits not in page.text


@pytest.mark.parametrize("spoilt", ["cookie", "id", "old", "type"])
async def test_a_form_from_elsewhere_goes_nowhere(oauth: OAuth, browser: Browser, spoilt: str) -> None:
    client = await oauth.client("channel", "openid card")
    await browser.open(client)
    if spoilt == "cookie":
        browser.cookies = {"onecard-sign-in": "another"}
    if spoilt == "old":
        oauth.identity.clock.move(minutes=15)
    if spoilt == "id":
        answer = await browser.send("POST", "/oauth/authorize", {"sign_in": "x", "step": "leave"})
    elif spoilt == "type":
        answer = await oauth.identity.api.call("POST", "/oauth/authorize", {"step": "leave"})
    else:
        answer = await browser.step("leave")
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_a_sign_in_is_over_once_it_has_given_its_code(oauth: OAuth, browser: Browser) -> None:
    person = somebody(27)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    first = await browser.open(client)
    assert "code" in answer_of(await browser.enter_code_for(person))
    browser.page = first
    assert (await browser.step("leave")).status_code == 400


async def test_a_face_check_that_is_down_is_said_to_be_and_can_be_tried_again(oauth: OAuth, browser: Browser) -> None:
    person = somebody(28)
    await oauth.identity.enrolled(person)
    client = await oauth.client("channel", "openid card")
    await browser.open(client, acr_values=REAL_PERSON)
    await oauth.identity.world.post("/face/mode", json={"mode": "down"})
    down = await browser.enter_code_for(person)
    assert (down.status_code, 'value="face"' in down.text) == (503, True)
    await oauth.identity.world.delete("/face/mode")
    assert (await browser.step("face")).status_code == 200
    assert "code" in answer_of(await browser.look("self"))
