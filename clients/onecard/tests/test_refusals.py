"""What an operator reads when it does not work: one sentence on stderr, an exit code, and never a secret."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from chassis.testing.service import PUBLIC_URL
from onecard.cell import ANSWER_MAX_BYTES, DISCOVERY, World
from onecard.commands import app

SECRET = "sbx_do-not-show-me"
LEDGER = "/v1/ledger/invariants"

Plan = dict[str, Any]


def good(**changed: Any) -> Plan:
    """Answers by path: a cell that issues a token, with `changed` in the place of some."""
    plan: Plan = {
        DISCOVERY: httpx.Response(200, json={"issuer": PUBLIC_URL, "token_endpoint": f"{PUBLIC_URL}/oauth/token"}),
        "/oauth/token": httpx.Response(200, json={"access_token": "t0ken", "expires_in": 300}),
    }
    return plan | {
        {"token": "/oauth/token", "ledger": LEDGER, "discovery": DISCOVERY}[k]: v for k, v in changed.items()
    }


class Wire:
    """A network whose answers are planned; `onecard("ledger")` runs a command on it."""

    def __init__(self, tmp_path: Path) -> None:
        self.seen: list[httpx.Request] = []
        self.waited: list[float] = []
        self.file = tmp_path / "operator.json"
        self.file.write_text(json.dumps({"client_id": "op:1", "client_secret": SECRET}))

    def __call__(self, plan: Plan, *words: str, **env: str) -> Result:
        def answer(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            planned = plan[request.url.path]
            if isinstance(planned, Exception):
                raise planned
            made: httpx.Response = planned if isinstance(planned, httpx.Response) else planned(request)
            return made

        world = World(transport=httpx.MockTransport(answer), wait=self.waited.append)
        variables: dict[str, str | None] = dict.fromkeys(
            ("ONECARD_PUBLIC_URL", "ONECARD_CLIENT_ID", "ONECARD_CLIENT_SECRET")
        )
        variables |= {"ONECARD_OPERATOR": str(self.file)} | env
        result = CliRunner().invoke(app, list(words or ("ledger",)), obj=world, env=variables)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert SECRET not in result.output
        assert "t0ken" not in result.output
        return result


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return Wire(tmp_path)


def told(result: Result) -> tuple[int, str]:
    """The exit code and the one sentence."""
    assert result.stdout == ""
    assert result.stderr.startswith("onecard: ")
    assert result.stderr.count("\n") == 1
    return result.exit_code, result.stderr.removeprefix("onecard: ").removesuffix("\n")


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": detail}, headers=headers)


def test_nobody_listens(wire: Wire) -> None:
    plan = good(discovery=httpx.ConnectError("refused"))
    assert told(wire(plan)) == (3, "http://localhost:8080 cannot be reached.")
    assert len(wire.seen) == 3


def test_an_answer_that_never_comes(wire: Wire) -> None:
    plan = good(discovery=httpx.ReadTimeout("silent"))
    assert told(wire(plan)) == (3, "http://localhost:8080 did not answer in time.")


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (401, "invalid_client", "The credentials of client op:1 are refused."),
        (400, "invalid_scope", "Client op:1 may not have the scope ledger.read."),
        (400, "unauthorized_client", "Client op:1 got no token: unauthorized_client"),
    ],
)
def test_the_client_gets_no_token(wire: Wire, status: int, error: str, sentence: str) -> None:
    assert told(wire(good(token=httpx.Response(status, json={"error": error})))) == (2, sentence)


def test_the_secret_is_sent_as_the_standard_says_and_only_once(wire: Wire) -> None:
    wire(good(ledger=problem(404, "not-found", "x")))
    sent = [request for request in wire.seen if request.url.path == "/oauth/token"]
    assert [r.headers["authorization"] for r in sent] == ["Basic b3AlM0ExOnNieF9kby1ub3Qtc2hvdy1tZQ=="]
    assert sent[0].content == b"grant_type=client_credentials&scope=ledger.read"
    assert all("authorization" not in request.headers for request in wire.seen if request.url.path == DISCOVERY)


@pytest.mark.parametrize(
    ("discovery", "code", "sentence"),
    [
        ({"issuer": "http://other", "token_endpoint": "http://other/t"}, 2, "calls itself http://other"),
        ({"issuer": PUBLIC_URL, "token_endpoint": "http://evil/t"}, 3, "names a token endpoint at another place"),
        ({"issuer": PUBLIC_URL, "token_endpoint": f"{PUBLIC_URL}.evil/t"}, 3, "at another place"),
        ({"issuer": PUBLIC_URL}, 3, "(`token_endpoint` is not as promised)"),
        ([], 3, "something that is not One Card's"),
    ],
)
def test_the_secret_goes_to_nobody_else(wire: Wire, discovery: Any, code: int, sentence: str) -> None:
    found = told(wire(good(discovery=httpx.Response(200, json=discovery))))
    assert (found[0], sentence in found[1]) == (code, True), found
    assert [request.url.path for request in wire.seen] == [DISCOVERY]


@pytest.mark.parametrize(
    ("status", "code", "tries"),
    [(400, 1, 1), (404, 1, 1), (409, 1, 1), (403, 2, 1), (500, 3, 1), (429, 3, 3), (503, 3, 3)],
)
def test_a_refusal_of_the_api_is_its_own_sentence(wire: Wire, status: int, code: int, tries: int) -> None:
    found = told(wire(good(ledger=problem(status, "some-code", "Because of this."))))
    assert found == (code, f"Because of this. (some-code, HTTP {status})")
    assert len([request for request in wire.seen if request.url.path == LEDGER]) == tries


def test_a_token_that_is_refused_is_replaced_once(wire: Wire) -> None:
    found = told(wire(good(ledger=problem(401, "token-invalid", "The access token is not valid here."))))
    assert found == (2, "The access token is not valid here. (token-invalid, HTTP 401)")
    assert [request.url.path for request in wire.seen].count("/oauth/token") == 2


def test_retry_after_is_obeyed_within_the_deadline(wire: Wire) -> None:
    wire(good(ledger=problem(429, "too-many-requests", "Later.", {"Retry-After": "2"})))
    assert wire.waited == [2.0, 2.0]
    wire.waited.clear()
    wire.seen.clear()
    wire(good(ledger=problem(429, "too-many-requests", "Later.", {"Retry-After": "3600"})))
    assert wire.waited == []  # longer than anybody would wait here
    assert [request.url.path for request in wire.seen].count(LEDGER) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>a hotel's login page</html>"),
        httpx.Response(200, json={"ok": True}),
        httpx.Response(200, json={"ok": "yes", "broken": []}),
        httpx.Response(302, headers={"Location": "http://evil/"}),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, content=b"x" * (ANSWER_MAX_BYTES + 1)),
    ],
)
def test_garbage_is_nobody_of_ours(wire: Wire, answer: httpx.Response) -> None:
    code, sentence = told(wire(good(ledger=answer)))
    assert code == 3
    assert sentence.startswith("http://localhost:8080")


def test_words_of_an_answer_cannot_steer_the_terminal(wire: Wire) -> None:
    _, sentence = told(wire(good(ledger=problem(404, "x", "a\x1b[2J\nb" + "c" * 5000))))
    assert sentence.startswith("a [2J b")
    assert len(sentence) < 1100


@pytest.mark.parametrize(
    ("env", "words", "sentence"),
    [
        ({"ONECARD_OPERATOR": ""}, (), "No credentials: give --client-file"),
        ({"ONECARD_OPERATOR": "/nowhere"}, (), "/nowhere cannot be read: No such file or directory."),
        ({"ONECARD_OPERATOR": "", "ONECARD_CLIENT_ID": "x"}, (), "are set together or not at all"),
        ({}, ("--url", "localhost:8080"), "is not the address of a cell"),
        ({}, ("--url", "http://a/b"), "is not the address of a cell"),
        ({}, ("--url", "http://u:p@a"), "is not the address of a cell"),
        ({}, ("--url", "http://a:99999"), "is not an address"),
    ],
)
def test_what_was_given_is_not_right(wire: Wire, env: dict[str, str], words: tuple[str, ...], sentence: str) -> None:
    code, said = told(wire(good(), "ledger", *words, **env))
    assert (code, sentence in said) == (2, True), said


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"client_id": "a"}', '{"client_id": 1, "client_secret": "s"}'])
def test_a_client_file_that_is_none(wire: Wire, content: str) -> None:
    wire.file.write_text(content)
    code, said = told(wire(good()))
    assert (code, "is not a client file" in said) == (2, True)


def test_credentials_of_the_environment_do_as_well(wire: Wire) -> None:
    variables = {"ONECARD_OPERATOR": "", "ONECARD_CLIENT_ID": "env", "ONECARD_CLIENT_SECRET": SECRET}
    told(wire(good(token=httpx.Response(401, json={"error": "invalid_client"})), "ledger", **variables))
    assert wire.seen[-1].headers["authorization"].startswith("Basic ZW52O")


@pytest.mark.parametrize("words", [("status",), ("doctor",), ("set-aside", "list"), ("ledger",)])
def test_every_command_is_bounded_when_nobody_is_there(wire: Wire, words: tuple[str, ...]) -> None:
    class Nobody(dict[str, Any]):
        def __missing__(self, path: str) -> Exception:
            return httpx.ConnectError("refused")

    assert wire(Nobody(), *words).exit_code == 3
    assert sum(wire.waited) < 5


def test_the_last_word_is_the_gateways_and_not_a_try_cut_short(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    passed_s = [1000.0]
    monkeypatch.setattr("onecard.cell.time", SimpleNamespace(monotonic=lambda: passed_s[0]))

    def after_5_s(request: httpx.Request) -> httpx.Response:
        passed_s[0] += 5.0
        return problem(503, "service-timeout", "The service did not answer in time.")

    found = told(wire(good(ledger=after_5_s)))
    assert found == (3, "The service did not answer in time. (service-timeout, HTTP 503)")
    assert [request.url.path for request in wire.seen].count(LEDGER) == 2
