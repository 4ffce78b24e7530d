"""Two channels cannot find out that they serve the same citizen, and nobody reaches what is another's.

Two citizens sign in at two channels. What one channel is told of a citizen is compared with what the other is told; and
every card, use and payment is tried by everyone whose it is not, over every route that takes an id.
"""

import base64
import io
import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import uuid4

import httpx
import pytest
from rich.console import Console

from contracts.card_code import Verifier, keys_from_trust_list
from onecard_local.callers import ApiClient, expect
from tests.demo.cell import RunningCell
from tests.demo.scenes import Demo
from tests.demo.story import Story

REDIRECT = "http://localhost:8091/callback"  # of the bank's app, in the sandbox file
TILL, GATE = TERMINALS = ("canteen-terminal", "library-gate")
OTHERS = ("bank-app", "government-platform")  # neither has the scope `introspect`
CHANNELS = ("ecard", "bank-app")
NAMES = ("one", "other")
PAIRS = tuple(product(NAMES, CHANNELS))

TOLD_TO_EVERY_CHANNEL = frozenset(
    # Masked, as both may show it; and what happened, when and where, for which the citizen gave both the scope `use`.
    ("name_masked", "document_number_masked", "phone_masked", "changed_at", "use", "venue", "at", "auth_time")
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A citizen with an active card, who has eaten once."""

    tokens: dict[str, str]  # channel -> access token
    cards: dict[str, str]  # channel -> sign number there
    use: str
    payment: str


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Everyone, and how they call."""

    url: str
    http: httpx.Client
    people: dict[str, Person]
    terminals: dict[str, str]  # client -> token
    clients: dict[str, ApiClient]

    def call(self, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Call the API."""
        headers = {"Authorization": f"Bearer {token}"}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid4())
        return self.http.request(method, self.url + path, json=body, headers=headers)

    def by(self, name: str, channel: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Call it as a channel with a citizen's token."""
        return self.call(self.people[name].tokens[channel], method, path, body)


@pytest.fixture(scope="module")
def cast(running_cell: RunningCell) -> Iterator[Cast]:
    with closing(Story(Console(file=io.StringIO()))) as story:
        clients = {key: running_cell.client(key, story) for key in (*TERMINALS, *OTHERS)}
        terminals = {key: clients[key].own_token("terminal") for key in TERMINALS}

        # One after the other: a batch of the card maker takes every card that waits.
        people = {
            name: bring_to_life(Demo(running_cell, story, seed), clients["bank-app"], terminals[TILL])
            for name, seed in zip(NAMES, random.sample(range(10**6), 2), strict=True)
        }
        http = story.quiet_http()
        yield Cast(url=running_cell.public_url, http=http, people=people, terminals=terminals, clients=clients)


def bring_to_life(demo: Demo, bank: ApiClient, till: str) -> Person:
    """Enrol somebody new, give them a card, sign them in at both channels and let them eat once."""
    with closing(demo.citizen):
        demo.enrolment()
        demo.application()
        signed_in = demo.citizen.sign_in(bank, REDIRECT, "openid profile card card.code use")
    tokens = {"ecard": demo.token, "bank-app": str(signed_in["access_token"])}
    cards = {}
    for channel, token in tokens.items():
        (held,) = expect(bank.call("GET", "/v1/cards", token=token), 200)["items"]
        cards[channel] = str(held["card"])
    use = eat(bank, tokens["ecard"], cards["ecard"], till)
    (paid,) = expect(bank.call("GET", "/v1/payments", token=tokens["ecard"]), 200)["items"]
    return Person(tokens=tokens, cards=cards, use=use, payment=str(paid["payment"]))


def eat(api: ApiClient, token: str, card: str, till: str) -> str:
    """Show a code at the canteen."""
    code = expect(api.call("POST", f"/v1/cards/{card}/codes", token=token), 201)["code"]
    meal = {"code": code, "scenario": "canteen-meal", "amount_fen": 1200}
    return str(expect(api.call("POST", "/v1/uses", meal, token=till, key=str(uuid4())), 201)["use"])


def claims_of(token: str) -> dict[str, Any]:
    """What a channel reads in a token, whether it may or not."""
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def told(cast: Cast, name: str, channel: str) -> dict[str, set[str]]:
    """Field -> every value that the channel is told of the citizen, wherever it stands."""
    token = cast.people[name].tokens[channel]
    answers: list[Any] = [claims_of(token), {"token": token}]
    for path in ("/v1/me", "/v1/cards", f"/v1/cards/{cast.people[name].cards[channel]}", "/v1/uses"):
        answers.append(expect(cast.by(name, channel, "GET", path), 200))
    found: dict[str, set[str]] = {}

    def collect(field: str, value: Any) -> None:
        if isinstance(value, dict):
            for inner, held in value.items():
                collect(inner, held)
        elif isinstance(value, list):
            for held in value:
                collect(field, held)
        else:
            found.setdefault(field, set()).add(str(value))

    collect("", answers)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_two_channels_are_told_nothing_by_which_they_could_meet(cast: Cast, name: str) -> None:
    here, there = (told(cast, name, channel) for channel in CHANNELS)
    stranger = told(cast, next(other for other in NAMES if other != name), "ecard")
    # What is said of everybody says nothing of anyone.
    of_everybody = set().union(*stranger.values())
    elsewhere = set().union(*(values for field, values in there.items() if field not in TOLD_TO_EVERY_CHANNEL))
    shared = {
        field: values & elsewhere - of_everybody
        for field, values in here.items()
        if field not in TOLD_TO_EVERY_CHANNEL and len(max(values, key=len)) >= 6
    }
    # The second at which two tokens were issued may fall together; it says when, not who.
    times = {"iat", "exp", "iat_ms", "nbf"}
    assert {field: values for field, values in shared.items() if values and field not in times} == {}
    assert {"sub", "cid", "jti", "card"} <= here.keys()


def test_one_citizen_has_another_name_and_another_card_number_at_each_channel(cast: Cast) -> None:
    subjects = {(name, channel): claims_of(cast.people[name].tokens[channel])["sub"] for name, channel in PAIRS}
    assert len(set(subjects.values())) == 4
    assert len({cast.people[name].cards[channel] for name, channel in PAIRS}) == 4
    for (name, channel), subject in subjects.items():
        assert expect(cast.by(name, channel, "GET", "/v1/me"), 200)["sub"] == subject
        (again,) = expect(cast.by(name, channel, "GET", "/v1/cards"), 200)["items"]
        assert again["card"] == cast.people[name].cards[channel]  # stable where it may be


def test_two_codes_of_one_card_share_nothing_whichever_channel_shows_them(cast: Cast) -> None:
    verifier = Verifier(keys_from_trust_list(cast.http.get(f"{cast.url}/v1/trust-list").json()))
    codes = []
    for channel in (*CHANNELS, "ecard"):
        shown = expect(cast.by("one", channel, "POST", f"/v1/cards/{cast.people['one'].cards[channel]}/codes"), 201)
        codes.append(verifier.verify(shown["code"], datetime.now(UTC)))
    assert len({code.code_id for code in codes}) == 3
    assert len({repr(code.handle) for code in codes}) == 3


@pytest.mark.parametrize(("name", "channel"), PAIRS)
def test_a_card_is_there_for_its_citizen_at_its_channel_alone(cast: Cast, name: str, channel: str) -> None:
    card = f"/v1/cards/{cast.people[name].cards[channel]}"
    asks: tuple[tuple[str, str, Any], ...] = (
        ("GET", card, None),
        ("GET", f"{card}?at={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", None),
        ("POST", f"{card}/codes", None),
        ("POST", f"{card}/loss-report", {}),
        ("POST", f"{card}/recovery", None),
        ("POST", f"{card}/enabling", None),
    )
    for who, where in PAIRS:
        if (who, where) == (name, channel):
            continue
        for method, path, body in asks:
            answer = cast.by(who, where, method, path, body)
            if where == "bank-app" and answer.status_code == 403:
                continue  # the channel has no scope, or no assurance, for this step at all
            assert (answer.status_code, answer.json()["code"]) == (404, "card-not-found"), (who, where, path)
    assert expect(cast.by(name, channel, "GET", card), 200)["state"] == "active"


@pytest.mark.parametrize("name", NAMES)
def test_a_use_is_there_for_its_citizen_and_its_terminal(cast: Cast, name: str) -> None:
    use = f"/v1/uses/{cast.people[name].use}"
    for who, channel in PAIRS:
        assert cast.by(who, channel, "GET", use).status_code == (200 if who == name else 404)
        listed = expect(cast.by(who, channel, "GET", "/v1/uses"), 200)["items"]
        assert [item["use"] for item in listed] == [cast.people[who].use]
    assert cast.call(cast.terminals[TILL], "GET", use).status_code == 200
    assert cast.call(cast.terminals[GATE], "GET", use).status_code == 404
    assert cast.call(cast.terminals[GATE], "POST", f"{use}/refunds", {"amount_fen": 1}).status_code == 404
    assert expect(cast.call(cast.terminals[TILL], "GET", use), 200)["refunded_fen"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_payment_is_there_for_its_payer(cast: Cast, name: str) -> None:
    payment = cast.people[name].payment
    for who in NAMES:
        assert cast.by(who, "ecard", "GET", f"/v1/payments/{payment}").status_code == (200 if who == name else 404)
        listed = expect(cast.by(who, "ecard", "GET", "/v1/payments"), 200)["items"]
        assert [item["payment"] for item in listed] == [cast.people[who].payment]
    accounts = [expect(cast.by(who, "ecard", "GET", "/v1/accounts"), 200)["items"] for who in NAMES]
    assert len({account["account"] for held in accounts for account in held}) == 2
    assert cast.by(name, "bank-app", "GET", f"/v1/payments/{payment}").status_code == 403


def test_a_cursor_of_one_citizen_shows_the_other_nothing_of_theirs(cast: Cast) -> None:
    one = cast.people["one"]
    eaten = eat(cast.clients["bank-app"], one.tokens["ecard"], one.cards["ecard"], cast.terminals[TILL])
    page = expect(cast.by("one", "ecard", "GET", "/v1/uses?limit=1"), 200)
    assert [item["use"] for item in page["items"]] == [eaten]
    for who in NAMES:
        following = expect(cast.by(who, "ecard", "GET", f"/v1/uses?cursor={page['next']}"), 200)["items"]
        assert {item["use"] for item in following} <= {cast.people[who].use}


def test_a_channel_learns_nothing_of_another_channels_token_and_ends_none(
    cast: Cast, running_cell: RunningCell
) -> None:
    token = cast.people["one"].tokens["ecard"]
    for key in OTHERS:
        known = cast.clients[key].credentials
        auth = (known.client_id, known.client_secret)
        answer = cast.http.post(f"{cast.url}/oauth/introspect", data={"token": token}, auth=auth)
        assert answer.json() == {"active": False}
        cast.http.post(f"{cast.url}/oauth/revoke", data={"token": token}, auth=auth)
    assert cast.by("one", "ecard", "GET", "/v1/me").status_code == 200
