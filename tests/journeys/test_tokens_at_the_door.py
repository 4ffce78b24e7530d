"""At the gateway every guarded route is tried with tokens that are right but for one thing, signed by the cell's key.

Invariant: no scope but the named ones opens a route, no weaker assurance, no other audience or issuer, and no token
outside its time; the token that is right in everything is tried beside each of them.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.crypto.encoding import from_base64url, to_base64url
from chassis.crypto.signing import PrivateKey
from chassis.keys import KeyFolder
from gateway.routes import ASSURANCE, DEFAULT_FILE, Route, read_routes
from onecard_local.callers import REAL_PERSON, ApiClient, Citizen, wait_for
from onecard_local.sandbox import person_of, read_credentials, read_sandbox
from tests.demo.cell import RunningCell
from tests.journeys.inside import Inside
from tests.journeys.operations import SOME_ID, every_operation

ROUTES = [route for route in read_routes(DEFAULT_FILE).routes if not route.public]
CARDS = next(route for route in ROUTES if route.operation == "card.list")
PATHS = {operation.id: operation.url() for operation in every_operation()}
ALL_SCOPES = frozenset().union(*(route.scopes for route in ROUTES))
ACR = {name: f"urn:onecard:acr:{name}" for name in ASSURANCE if name}
Claims = dict[str, Any]


def named(route: Route) -> str:
    return route.operation


class Door:
    """Makes tokens as identity-svc does, from one that it made, and knocks with them."""

    def __init__(self, cell: RunningCell, real: str) -> None:
        self._url = cell.public_url
        self._key: PrivateKey = list(KeyFolder(Inside.of(cell).cell.keys_of("identity")).private("tokens").values())[-1]
        self.header: Claims = json.loads(from_base64url(real.split(".")[0]))
        self._real: Claims = json.loads(from_base64url(real.split(".")[1]))
        self._http = httpx.Client(timeout=10.0, trust_env=False)

    def claims(self, route: Route) -> Claims:
        """A token that is right for the route; a citizen's where it asks for one."""
        made = self._real | {"scope": " ".join(sorted(route.scopes)), "acr": ACR["real-person"]}
        return made if route.assurance > ASSURANCE.index("client") else _without_person(made)

    def knock(self, route: Route, claims: Claims, header: Claims | None = None) -> httpx.Response:
        """Ask for the route, with nothing to do in the request; who brought too many bad tokens waits, as told."""
        parts = [to_base64url(json.dumps(part).encode()) for part in (header or self.header, claims)]
        signature = to_base64url(self._key.sign(".".join(parts).encode()))
        headers = {"Authorization": f"Bearer {'.'.join(parts)}.{signature}", "Idempotency-Key": str(uuid4())}
        url = self._url + PATHS[route.operation]

        def answered() -> httpx.Response | None:
            answer = self._http.request(route.methods[0], url, headers=headers)
            return None if answer.status_code == 429 else answer

        return wait_for(answered, what="Anything but 429")

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


@pytest.fixture(scope="module")
def door(running_cell: RunningCell) -> Iterator[Door]:
    visitor = next(entry for entry in read_sandbox()["person"] if entry["key"] == "visitor")
    credentials = read_credentials(running_cell.home / "clients" / "ecard.json")
    with (
        closing(ApiClient(running_cell.public_url, credentials)) as ecard,
        closing(Citizen(running_cell.public_url, running_cell.outside, person_of(visitor))) as citizen,
    ):
        redirect_uri = f"{running_cell.ecard_url}/callback"
        real = citizen.sign_in(ecard, redirect_uri, "openid card", acr=REAL_PERSON)["access_token"]
    with closing(Door(running_cell, real)) as door:
        yield door


def _without_person(claims: Claims) -> Claims:
    personal = ("cid", "auth_time", "amr", "nonce")
    return {name: value for name, value in claims.items() if name not in personal} | {"acr": ACR["client"]}


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["instance"].startswith("urn:onecard:request:")
    assert SOME_ID not in answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def let_in(answer: httpx.Response) -> None:
    """The gateway has opened: the service answers, if only that the request makes no sense."""
    assert answer.status_code not in (401, 403), answer.text[:300]
    assert answer.status_code < 500, answer.text[:300]


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_only_the_scopes_of_a_route_open_it(door: Door, route: Route) -> None:
    right = door.claims(route)
    for scope in route.scopes:
        let_in(door.knock(route, right | {"scope": scope}))
    others = sorted(ALL_SCOPES - route.scopes)
    for scopes in (" ".join(others), "", " ".join(scope.upper() for scope in route.scopes), others[0]):
        refused(door.knock(route, right | {"scope": scopes}), 403, "insufficient-scope")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.assurance > 1], ids=named)
def test_a_weaker_assurance_opens_nothing(door: Door, route: Route) -> None:
    right = door.claims(route)
    for name in ASSURANCE[1:]:
        claims = _without_person(right) if name == "client" else right | {"acr": ACR[name]}
        answer = door.knock(route, claims)
        if ASSURANCE.index(name) < route.assurance:
            refused(answer, 403, "insufficient-assurance")
        else:
            let_in(answer)


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_a_token_that_has_expired_opens_nothing(door: Door, route: Route) -> None:
    right, now = door.claims(route), int(time.time())
    past = {"iat": now - 500, "iat_ms": (now - 500) * 1000, "exp": now - 1}
    refused(door.knock(route, right | past), 401, "unauthenticated")
    let_in(door.knock(route, right | past | {"exp": now + 60}))


def test_a_token_of_another_time_issuer_or_api_opens_nothing(door: Door) -> None:
    right, now = door.claims(CARDS), int(time.time())
    future = {"iat": now + 60, "iat_ms": (now + 60) * 1000, "exp": now + 300}
    for wrong in (
        future,
        {"exp": now + 3600},
        {"nbf": now + 60},
        {"aud": "https://benefits.example"},
        {"aud": [right["aud"], "https://benefits.example"]},
        {"iss": "https://nobody.example"},
    ):
        refused(door.knock(CARDS, right | wrong), 401, "unauthenticated")
    let_in(door.knock(CARDS, right))


def test_a_citizen_sealed_into_one_token_opens_no_other(door: Door) -> None:
    right = door.claims(CARDS)
    for wrong in (
        right | {"jti": str(uuid4())},
        {name: value for name, value in right.items() if name != "cid"},
        right | {"cid": right["cid"][:-2] + "AA"},
        _without_person(right) | {"cid": right["cid"]},
        right | {"acr": "urn:onecard:acr:minister"},
        right | {"kind": "minister"},
        right | {"lin": [["x", 1]] * 40},
    ):
        refused(door.knock(CARDS, wrong), 401, "unauthenticated")
    let_in(door.knock(CARDS, right))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"typ": "JWT"},
        {"kid": "nobody"},
        {"kid": "../cid/x"},
        {"jku": "https://x.example"},
    ],
    ids=str,
)
def test_a_header_that_is_not_ours_opens_nothing(door: Door, header: Claims) -> None:
    refused(door.knock(CARDS, door.claims(CARDS), door.header | header), 401, "unauthenticated")
