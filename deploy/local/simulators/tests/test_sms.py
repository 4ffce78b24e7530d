"""Messages arrive once, in the inbox of their phone, unless the phone's ending says otherwise."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

Patiently = Callable[[Awaitable[httpx.Response]], Awaitable[httpx.Response | None]]
JSON = {"Accept": "application/json"}


async def texts(outside: httpx.AsyncClient, phone: str) -> list[str]:
    inbox: dict[str, Any] = (await outside.get(f"/sms/inbox/{phone}", headers=JSON)).json()
    return [message["text"] for message in inbox["messages"]]


async def test_messages_are_shown_newest_first(outside: httpx.AsyncClient) -> None:
    for text in ("第一条", "第二条"):
        sent = await outside.post("/sms/messages", json={"phone": "19900000001", "text": text})
        assert sent.status_code == 202
    assert await texts(outside, "19900000001") == ["第二条", "第一条"]
    assert await texts(outside, "19900000002") == []


async def test_a_person_sees_the_inbox_as_a_page_and_nothing_in_it_is_markup(outside: httpx.AsyncClient) -> None:
    await outside.post("/sms/messages", json={"phone": "19900000001", "text": "<b>123456</b>"})
    shown = await outside.get("/sms/inbox/19900000001")
    assert shown.headers["content-type"].startswith("text/html")
    assert "&lt;b&gt;123456" in shown.text


async def test_the_same_id_is_the_same_message(outside: httpx.AsyncClient) -> None:
    for _ in range(2):
        await outside.post("/sms/messages", json={"phone": "19900000001", "text": "码", "id": "m-1"})
    assert await texts(outside, "19900000001") == ["码"]


async def test_an_inbox_keeps_the_last_twenty(outside: httpx.AsyncClient) -> None:
    for number in range(25):
        await outside.post("/sms/messages", json={"phone": "19900000001", "text": str(number)})
    assert await texts(outside, "19900000001") == [str(number) for number in range(24, 4, -1)]


@pytest.mark.parametrize(
    ("ending", "status", "arrived"),
    [("9901", 202, ["码"]), ("9902", 503, []), ("9904", 202, []), ("9906", 202, ["码", "码"])],
)
async def test_each_ending_misbehaves_as_written(
    outside: httpx.AsyncClient, ending: str, status: int, arrived: list[str]
) -> None:
    phone = f"1990000{ending}"
    sent = await outside.post("/sms/messages", json={"phone": phone, "text": "码"})
    assert sent.status_code == status
    assert await texts(outside, phone) == arrived


async def test_a_silent_operator_delivers_without_a_word(outside: httpx.AsyncClient, patiently: Patiently) -> None:
    phone = "19900009903"
    assert await patiently(outside.post("/sms/messages", json={"phone": phone, "text": "码"})) is None
    assert await texts(outside, phone) == ["码"]


async def test_a_late_message_arrives_after_three_seconds(outside: httpx.AsyncClient, clock: Any) -> None:
    phone = "19900009905"
    await outside.post("/sms/messages", json={"phone": phone, "text": "码"})
    assert await texts(outside, phone) == []
    clock.forward(3)
    assert await texts(outside, phone) == ["码"]


async def test_what_is_no_phone_is_refused(outside: httpx.AsyncClient) -> None:
    assert (await outside.post("/sms/messages", json={"phone": "12", "text": "码"})).status_code == 422
    assert (await outside.get("/sms/inbox/12", headers=JSON)).status_code == 422
