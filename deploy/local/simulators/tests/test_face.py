"""A face check's result is told once, to whoever asks about the right person."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

Patiently = Callable[[Awaitable[httpx.Response]], Awaitable[httpx.Response | None]]
ADULT, ELDER = "330000199001010014", "330000195601010028"
BACK = "http://localhost:8080/oauth/authorize?step=face"


async def look(outside: httpx.AsyncClient, who: str) -> dict[str, list[str]]:
    """Go through the page as a browser would and return what it brings back."""
    made = await outside.post("/face/sessions", json={"document_number": ADULT, "return_url": BACK})
    assert made.status_code == 201
    page = await outside.get(made.json()["url"])
    assert 'name="look" value="self"' in page.text
    back = await outside.post(made.json()["url"], data={"look": who})
    assert back.status_code == 303
    assert back.headers["location"].startswith(BACK + "&")
    return parse_qs(urlsplit(back.headers["location"]).query)


async def ask(outside: httpx.AsyncClient, result: str, number: str = ADULT) -> httpx.Response:
    return await outside.post("/face/checks", json={"document_number": number, "result": result})


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        ("self", {"match": True, "live": True}),
        ("other", {"match": False, "live": True}),
        ("picture", {"match": True, "live": False}),
    ],
)
async def test_the_answer_is_who_looked(outside: httpx.AsyncClient, who: str, answer: dict[str, bool]) -> None:
    brought = await look(outside, who)
    assert (await ask(outside, brought["face_result"][0])).json() == answer


async def test_a_result_is_told_once(outside: httpx.AsyncClient) -> None:
    reference = (await look(outside, "self"))["face_result"][0]
    assert (await ask(outside, reference)).status_code == 200
    again = await ask(outside, reference)
    assert (again.status_code, again.json()) == (404, {"reason": "result-unknown"})


async def test_a_result_is_no_match_for_another_person(outside: httpx.AsyncClient) -> None:
    reference = (await look(outside, "self"))["face_result"][0]
    assert (await ask(outside, reference, ELDER)).json()["match"] is False


async def test_who_cancels_comes_back_without_a_result(outside: httpx.AsyncClient) -> None:
    assert (await look(outside, "cancel"))["face_error"] == ["cancelled"]


async def test_a_session_is_looked_into_once_and_not_for_ever(outside: httpx.AsyncClient, clock: Any) -> None:
    made = (await outside.post("/face/sessions", json={"document_number": ADULT, "return_url": BACK})).json()
    other = (await outside.post("/face/sessions", json={"document_number": ADULT, "return_url": BACK})).json()
    await outside.post(made["url"], data={"look": "self"})
    assert (await outside.post(made["url"], data={"look": "self"})).status_code == 404
    clock.forward(600)
    assert (await outside.get(other["url"])).status_code == 404


async def test_a_result_fades(outside: httpx.AsyncClient, clock: Any) -> None:
    reference = (await look(outside, "self"))["face_result"][0]
    clock.forward(600)
    assert (await ask(outside, reference)).status_code == 404


async def test_a_synthetic_picture_shows_its_person(outside: httpx.AsyncClient) -> None:
    picture = base64.b64encode(b"face of " + ADULT.encode()).decode()
    for number, match in ((ADULT, True), (ELDER, False)):
        answer = await outside.post("/face/checks", json={"document_number": number, "picture": picture})
        assert answer.json() == {"match": match, "live": True}
    unreadable = await outside.post("/face/checks", json={"document_number": ADULT, "picture": "?"})
    assert unreadable.json() == {"reason": "picture-unreadable"}


@pytest.mark.parametrize("wrong", [{}, {"result": "a", "picture": "b"}])
async def test_a_question_rests_on_one_thing(outside: httpx.AsyncClient, wrong: dict[str, str]) -> None:
    assert (await outside.post("/face/checks", json={"document_number": ADULT, **wrong})).status_code == 422


async def test_modes_by_order(outside: httpx.AsyncClient, patiently: Patiently) -> None:
    question = {"document_number": ADULT, "picture": base64.b64encode(b"face of " + ADULT.encode()).decode()}
    seen = {}
    for mode in ("slow", "down", "silent", "wrong", "refused"):
        await outside.post("/face/mode", json={"mode": mode, "count": 1})
        answer = await patiently(outside.post("/face/checks", json=question))
        seen[mode] = answer and (answer.status_code, answer.json().get("match"))
    assert seen == {
        "slow": (200, True),
        "down": (503, None),
        "silent": None,
        "wrong": (200, "perhaps"),
        "refused": (200, False),
    }
