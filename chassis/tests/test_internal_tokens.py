"""An internal token opens one operation of one service on one edge, for half a minute, and nothing else."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.internal_tokens import Caller, InternalTokenRefused, decode, encode

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
SECRET = bytes(range(32))
CALLER = Caller(
    service="gateway",
    cell="330000",
    citizen=UUID(int=7),
    acting=None,
    client="ecard",
    kind="channel",
    scopes=frozenset({"card", "use"}),
    acr="urn:onecard:acr:real-name",
    jti="t-1",
)


def made(caller: Caller = CALLER, *, callee: str = "card", operation: str = "card.apply", now: datetime = NOW) -> str:
    now_ms = int(now.timestamp() * 1000)
    return encode(caller, callee=callee, operation=operation, kid="k1", secret=SECRET, now_ms=now_ms)


def opened(token: str, **changes: Any) -> Caller:
    asked: dict[str, Any] = {"callee": "card", "operation": "card.apply", "cell": "330000", "now": NOW}
    secrets = {"gateway": {"k1": SECRET}, "scenario": {"k1": SECRET}}
    return decode(token, **({"secrets": secrets} | asked | changes))


def test_a_token_says_who_is_behind_the_request() -> None:
    assert opened(made()) == CALLER


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "card.report_loss"},
        {"callee": "payment"},
        {"cell": "320000"},
        {"now": NOW + timedelta(seconds=31)},
        {"now": NOW - timedelta(seconds=5)},
        {"secrets": {"gateway": {"k1": bytes(32)}}},
        {"secrets": {"gateway": {"k2": SECRET}}},
        {"secrets": {}},
    ],
    ids=["other operation", "other service", "other cell", "expired", "from the future", "forged", "old key", "no key"],
)
def test_a_token_is_refused_where_it_was_not_meant_to_open(changes: dict[str, Any]) -> None:
    with pytest.raises(InternalTokenRefused):
        opened(made(), **changes)


def test_a_service_cannot_ask_for_what_no_edge_allows_although_it_holds_the_key() -> None:
    scenario = Caller(**{**vars(CALLER), "service": "scenario"})
    allowed = made(scenario, operation="card.state_now")
    assert opened(allowed, operation="card.state_now").service == "scenario"
    with pytest.raises(InternalTokenRefused):
        opened(made(scenario, operation="card.report_loss"), operation="card.report_loss")


def test_a_token_with_a_longer_life_than_ours_is_refused_even_when_rightly_signed() -> None:
    claims = json.loads(base64.urlsafe_b64decode(made().split(".")[0] + "=="))
    claims["exp"] += 3_600_000
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    tag = base64.urlsafe_b64encode(hmac.digest(SECRET, body, hashlib.sha256)).rstrip(b"=")
    token = (body + b"." + tag).decode()
    assert opened(token) == CALLER
    with pytest.raises(InternalTokenRefused):
        opened(token, now=NOW + timedelta(seconds=31))


@given(st.text(max_size=200))
def test_garbage_is_refused_and_nothing_else_is_raised(token: str) -> None:
    with pytest.raises(InternalTokenRefused):
        opened(token)


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_one_changed_character_is_refused(where: int, character: str) -> None:
    token = made()
    at = where % len(token)
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        with pytest.raises(InternalTokenRefused):
            opened(changed)
