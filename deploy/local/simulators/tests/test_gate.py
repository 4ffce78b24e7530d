"""The gate opens for what the platform accepts, looks at each code itself first, and speaks two languages."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from contracts.card_code import CodeMaker
from simulators.gate.api import to_fen

Start = Callable[..., Awaitable[httpx.AsyncClient]]
KEY = ec.generate_private_key(ec.SECP256R1())
MAKER = CodeMaker(kid="330000-1", signing_key=KEY, handle_kid="1", handle_key=bytes(32))


class FakePlatform:
    """Answers as the public API promises, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.revoked: set[str] = set()
        self.trust_list_is_down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        match request.method, request.url.path:
            case "GET", "/v1/trust-list":
                return httpx.Response(503, json={}) if self.trust_list_is_down else httpx.Response(200, json=_trust())
            case "POST", "/oauth/token":
                return self._token(request)
            case ("POST", "/v1/uses") | ("GET", "/v1/uses/u-1"):
                if request.headers["authorization"].removeprefix("Bearer ") in self.revoked:
                    return httpx.Response(401, json={"code": "token-revoked"})
                status, body = self.answers.pop(0)
                return httpx.Response(status, json=body)
        return httpx.Response(404, json={})

    def _token(self, request: httpx.Request) -> httpx.Response:
        expected = b64encode(b"gate-1:sbx_secret").decode()
        assert request.headers["authorization"] == f"Basic {expected}"
        assert parse_qs(request.content.decode()) == {"grant_type": ["client_credentials"], "scope": ["terminal"]}
        return httpx.Response(200, json={"access_token": f"token-{len(self.asked)}", "expires_in": 600})

    def uses(self) -> list[httpx.Request]:
        return [request for request in self.asked if request.url.path == "/v1/uses"]


def _trust() -> dict[str, Any]:
    numbers = KEY.public_key().public_numbers()
    x, y = (urlsafe_b64encode(n.to_bytes(32)).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    return {"cell": "330000", "keys": [{"kid": "330000-1", "alg": "ES256", "jwk": jwk}], "as_of": "2026-11-24"}


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.fixture
async def gate(start: Start, platform: FakePlatform, tmp_path: Path) -> httpx.AsyncClient:
    (tmp_path / "clients").mkdir()
    for key in ("library-gate", "canteen-terminal"):
        credentials = {"client_id": "gate-1", "client_secret": "sbx_secret"}
        (tmp_path / "clients" / f"{key}.json").write_text(json.dumps(credentials))
    return await start(httpx.MockTransport(platform))


def light(page: httpx.Response) -> str:
    found = re.search(r'data-verdict="(\w+)"', page.text)
    return found[1] if found else ""


async def press(gate: httpx.AsyncClient, code: str, key: str = "library-gate", **form: str) -> httpx.Response:
    page = await gate.get(f"/gate/{key}")
    assert "data-verdict" not in page.text
    found = re.search(r'name="press" value="([^"]+)"', page.text)
    assert found
    return await gate.post(f"/gate/{key}", data={"code": code, "press": found[1], **form})


async def test_an_accepted_use_opens_the_gate(gate: httpx.AsyncClient, platform: FakePlatform, clock: Any) -> None:
    platform.answers = [(201, {"use": "u-1", "state": "accepted", "show": {"zh": "欢迎入馆", "en": "Welcome in"}})]
    code = MAKER.make(uuid4(), clock()).text
    page = await press(gate, f"\n {code} \r\n")
    assert light(page) == "open"
    assert "欢迎入馆" in page.text
    assert "Welcome in" in page.text
    [use] = platform.uses()
    assert json.loads(use.content) == {"code": code, "scenario": "library-entry"}
    assert len(use.headers["idempotency-key"]) >= 16
    assert code not in page.text


async def test_the_canteen_charges_what_was_typed(gate: httpx.AsyncClient, platform: FakePlatform, clock: Any) -> None:
    platform.answers = [(201, {"use": "u-1", "state": "accepted", "amount_fen": 1250})]
    page = await press(gate, MAKER.make(uuid4(), clock()).text, "canteen-terminal", yuan="12.5")
    assert json.loads(platform.uses()[0].content)["amount_fen"] == 1250
    assert "¥ 12.50" in page.text


async def test_an_open_use_waits_and_is_asked_about_until_it_is_settled(
    gate: httpx.AsyncClient, platform: FakePlatform, clock: Any
) -> None:
    platform.answers = [
        (201, {"use": "u-1", "state": "open"}),
        (200, {"use": "u-1", "state": "open"}),
        (200, {"use": "u-1", "state": "accepted"}),
    ]
    page = await press(gate, MAKER.make(uuid4(), clock()).text, "canteen-terminal", yuan="1")
    assert light(page) == "wait"
    assert "正在结算" in page.text
    address = "/gate/canteen-terminal/uses/u-1"
    assert f'content="1; url={address}"' in page.text
    assert [light(await gate.get(address)) for _ in range(2)] == ["wait", "open"]


LOST = {"zh": "卡已挂失,请补卡。", "en": "Reported lost. Please replace it."}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"code": "card-not-active", "show": LOST}),
        (201, {"use": "u-1", "state": "refused", "refusal": {"code": "x", "show": LOST}, "show": {"zh": "?"}}),
        (201, {"use": "u-1", "state": "cancelled", "show": LOST}),
    ],
)
async def test_a_refusal_says_why_and_what_would_help(
    gate: httpx.AsyncClient, platform: FakePlatform, clock: Any, status: int, body: dict[str, Any]
) -> None:
    platform.answers = [(status, body)]
    page = await press(gate, MAKER.make(uuid4(), clock()).text)
    assert light(page) == "shut"
    for words in LOST.values():
        assert words in page.text


@pytest.mark.parametrize("body", [{}, {"state": "open"}, {"state": ["accepted"]}, {"show": "?", "refusal": 7}])
async def test_an_answer_that_is_not_understood_keeps_the_gate_shut(
    gate: httpx.AsyncClient, platform: FakePlatform, clock: Any, body: dict[str, Any]
) -> None:
    platform.answers = [(201, body)]
    assert light(await press(gate, MAKER.make(uuid4(), clock()).text)) == "shut"


async def test_a_bad_code_is_not_even_sent(gate: httpx.AsyncClient, platform: FakePlatform, clock: Any) -> None:
    code = MAKER.make(uuid4(), clock()).text
    clock.forward(66)
    foreign = CodeMaker(kid="330000-2", signing_key=KEY, handle_kid="1", handle_key=bytes(32))
    for wrong, words in (
        (code, "已过期"),
        ("hello", "读不出"),
        ("x" * 1500, "读不出"),
        ("", "读不出"),
        (foreign.make(uuid4(), clock()).text, "不认识"),
    ):
        page = await press(gate, wrong)
        assert light(page) == "shut"
        assert words in page.text
    assert platform.uses() == []


async def test_without_a_trust_list_the_platform_alone_decides(
    gate: httpx.AsyncClient, platform: FakePlatform, clock: Any
) -> None:
    platform.trust_list_is_down = True
    platform.answers = [(201, {"use": "u-1", "state": "accepted"})]
    assert light(await press(gate, "hello")) == "shut"
    assert platform.uses() == []
    assert light(await press(gate, MAKER.make(uuid4(), clock()).text)) == "open"


async def test_a_pressed_button_is_one_use_however_often_it_is_sent(
    gate: httpx.AsyncClient, platform: FakePlatform, clock: Any
) -> None:
    platform.answers = [(201, {"use": "u-1", "state": "accepted"})] * 2
    form = {"code": MAKER.make(uuid4(), clock()).text, "press": "a" * 24}
    for _ in range(2):
        await gate.post("/gate/library-gate", data=form)
    assert [use.headers["idempotency-key"] for use in platform.uses()] == ["a" * 24] * 2


async def test_a_revoked_token_is_replaced_once(gate: httpx.AsyncClient, platform: FakePlatform, clock: Any) -> None:
    platform.answers = [(201, {"use": "u-1", "state": "accepted"})] * 2
    await press(gate, MAKER.make(uuid4(), clock()).text)
    platform.revoked.add(platform.uses()[0].headers["authorization"].removeprefix("Bearer "))
    assert light(await press(gate, MAKER.make(uuid4(), clock()).text)) == "open"
    assert sum(request.url.path == "/oauth/token" for request in platform.asked) == 2


async def test_a_gate_that_nobody_registered_says_so(start: Start, platform: FakePlatform, clock: Any) -> None:
    gate = await start(httpx.MockTransport(platform))
    page = await press(gate, MAKER.make(uuid4(), clock()).text)
    assert light(page) == "shut"
    assert "尚未登记" in page.text


async def test_a_silent_platform_keeps_the_gate_shut(start: Start, clock: Any, tmp_path: Path) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "library-gate.json").write_text('{"client_id": "g", "client_secret": "s"}')

    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    gate = await start(httpx.MockTransport(unreachable))
    page = await press(gate, MAKER.make(uuid4(), clock()).text)
    assert light(page) == "shut"
    assert "没有应答" in page.text


@pytest.mark.parametrize(("yuan", "fen"), [("12.5", 1250), ("12.50", 1250), ("0.05", 5), (" 7 ", 700)])
def test_an_amount_is_read_to_the_fen(yuan: str, fen: int) -> None:
    assert to_fen(yuan) == fen


@pytest.mark.parametrize("yuan", ["", "-1", "1.234", "1e3", "1,5", "１", "999999", "."])
async def test_what_is_no_amount_is_not_charged(gate: httpx.AsyncClient, platform: FakePlatform, yuan: str) -> None:
    assert light(await press(gate, "OC1:", "canteen-terminal", yuan=yuan)) == "shut"
    assert platform.asked == []


async def test_every_page_forbids_foreign_content_and_an_unknown_gate_is_404(gate: httpx.AsyncClient) -> None:
    for address in ("/", "/gate", "/gate/library-gate", "/sms/inbox/19900000001"):
        page = await gate.get(address)
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"<script(?! src=)|style=|\son\w+=", page.text)
    assert (await gate.get("/gate/nowhere")).status_code == 404
    for static in ("/static/style.css", "/static/gate.js"):
        assert (await gate.get(static)).status_code == 200
