"""Who calls whom: the code, the table of edges, the services' routes and the gateway's route file say the same.

What does not exist yet is not asked about: both sides are derived from what is there.
"""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from calls import (
    PeerCall,
    callees_and_calls,
    calls_of_another_address,
    calls_without_an_edge,
    edges_without_a_call,
    edges_without_a_route,
    gateway_asks,
    peer_calls,
    routes_and_services_differ,
)
from services import Operation, described, existing, operations_of

from contracts.edges import ANY_ROUTE, EDGES, FOLLOWS, SERVICES, Edge
from gateway.routes import DEFAULT_FILE, read_routes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def operations() -> dict[str, set[Operation]]:
    """What each existing service offers."""
    return {service: operations_of(service, document) for service, document in described().items()}


@pytest.fixture(scope="module")
def routes() -> set[Operation]:
    """What the gateway lets in."""
    return {
        Operation(service=route.service, operation=route.operation, method=method, path=route.path)
        for route in read_routes(DEFAULT_FILE).routes
        for method in route.methods
    }


def test_every_call_between_services_stands_in_the_table() -> None:
    calls, unreadable = peer_calls(ROOT, SERVICES)
    assert unreadable + calls_without_an_edge(calls, EDGES) == []


def test_every_row_of_the_table_is_used() -> None:
    calls, _ = peer_calls(ROOT, existing())
    has_a_door = (ROOT / "gateway/src/gateway/__main__.py").exists()
    callers = [*existing(), *(["gateway"] if has_a_door else [])]
    assert edges_without_a_call([*calls, *gateway_asks(ROOT)], EDGES, callers) == []


def test_every_operation_of_the_table_is_offered(operations: dict[str, set[Operation]]) -> None:
    assert edges_without_a_route(EDGES, operations) == []


def test_every_call_goes_to_the_address_of_its_operation(operations: dict[str, set[Operation]]) -> None:
    calls, _ = peer_calls(ROOT, SERVICES)
    assert calls_of_another_address(calls, operations) == []


def test_the_gateway_routes_what_the_services_offer_to_the_public(
    routes: set[Operation], operations: dict[str, set[Operation]]
) -> None:
    assert routes_and_services_differ(routes, operations) == []


def test_every_edge_joins_two_known_deployables() -> None:
    for edge in EDGES:
        assert edge.caller in ("gateway", *SERVICES)
        assert edge.callee in SERVICES
        assert edge.caller != edge.callee
        assert edge.operations == ANY_ROUTE or all(name.startswith(f"{edge.callee}.") for name in edge.operations)
        assert edge.deadline_s > 0
        assert edge.without


def test_nobody_follows_itself_or_a_stranger() -> None:
    assert set(FOLLOWS) == set(SERVICES)
    assert all(set(sources) <= set(SERVICES) - {follower} for follower, sources in FOLLOWS.items())


# From here on: each of the rules bites.

CODE = """
from chassis.peers import Peer

async def ask(runtime, use):
    bank = Outside("bank")
    await bank.call("POST", "/transfers")
    await Peer(runtime, "payment").call("payment.charge", "PUT", f"/internal/charges/{use}", repeatable=True)
"""
CALL = PeerCall(
    caller="scenario", operation="payment.charge", method="PUT", path="/internal/charges/{}", place="adapters.py:7"
)
CHARGE = Operation(service="payment", operation="payment.charge", method="PUT", path="/internal/charges/{use}")
READ = Operation(service="payment", operation="payment.read", method="GET", path="/v1/payments/{payment}")
EDGE = Edge(
    caller="scenario", callee="payment", operations=frozenset({"payment.charge"}), deadline_s=1, without="stays open"
)


def test_a_call_is_found_in_the_source() -> None:
    assert list(callees_and_calls("scenario", "adapters.py", ast.parse(CODE))) == [CALL]


WRAPPED = """
from chassis.peers import Peer

class Payments:
    async def charge(self, use):
        return await self._ask("payment.charge", f"/internal/charges/{use}", {})

    async def _ask(self, operation, path, body):
        return await self._payment.call(operation, "PUT", path, body=body, repeatable=True)
"""


def test_a_call_is_found_through_a_private_function() -> None:
    assert [replace(call, place=CALL.place) for call in read(WRAPPED)] == [CALL]
    hidden = WRAPPED.replace('"payment.charge"', "use.operation")
    assert "written out" in str(next(callees_and_calls("scenario", "adapters.py", ast.parse(hidden))))


def read(code: str) -> list[PeerCall]:
    """The calls in a piece of code, every one of which can be read."""
    found = list(callees_and_calls("scenario", "adapters.py", ast.parse(code)))
    assert all(isinstance(one, PeerCall) for one in found), found
    return [one for one in found if isinstance(one, PeerCall)]


def test_a_hidden_operation_is_refused() -> None:
    hidden = CODE.replace('"payment.charge"', "operation")
    assert "written out" in str(next(iter(callees_and_calls("scenario", "adapters.py", ast.parse(hidden)))))


def test_a_service_that_makes_its_own_tokens_is_refused() -> None:
    forging = "from chassis.internal_tokens import encode\n"
    assert "internal tokens by itself" in str(next(iter(callees_and_calls("card", "adapters.py", ast.parse(forging)))))


def test_a_service_s_calls_are_read_from_its_source(tmp_path: Path) -> None:
    module = tmp_path / "scenario-svc/src/scenario_svc/uses/adapters.py"
    module.parent.mkdir(parents=True)
    module.write_text(CODE)
    calls, unreadable = peer_calls(tmp_path, SERVICES)
    assert [call.operation for call in calls] == ["payment.charge"]
    assert unreadable == []


def test_a_call_that_the_table_does_not_know_is_refused() -> None:
    assert calls_without_an_edge([CALL], [EDGE]) == []
    assert calls_without_an_edge([CALL], []) != []
    through_the_door = Edge(caller="gateway", callee="payment", operations=ANY_ROUTE, deadline_s=1, without="503")
    assert calls_without_an_edge([CALL], [through_the_door]) != []


def test_a_row_that_nobody_uses_is_refused() -> None:
    assert edges_without_a_call([CALL], [EDGE], ["scenario"]) == []
    assert edges_without_a_call([], [EDGE], ["scenario"]) != []


def test_a_row_whose_operation_is_gone_is_refused() -> None:
    assert edges_without_a_route([EDGE], {"payment": {CHARGE}}) == []
    assert edges_without_a_route([EDGE], {"payment": {READ}}) != []


@pytest.mark.parametrize(("method", "path"), [("POST", "/internal/charges/{}"), ("PUT", "/internal/charge/{}")])
def test_a_call_of_another_address_is_refused(method: str, path: str) -> None:
    wrong = PeerCall(caller="scenario", operation="payment.charge", method=method, path=path, place="x")
    assert calls_of_another_address([CALL], {"payment": {CHARGE}}) == []
    assert calls_of_another_address([wrong], {"payment": {CHARGE}}) != []


@pytest.mark.parametrize(
    ("routes", "offered"),
    [
        ({READ}, set()),
        (set(), {READ}),
        ({READ}, {Operation(service="payment", operation="payment.read", method="GET", path="/v1/payment/{payment}")}),
        ({READ}, {Operation(service="payment", operation="payment.read", method="POST", path=READ.path)}),
        ({CHARGE}, {CHARGE}),
    ],
)
def test_a_route_file_that_says_something_else_is_refused(routes: set[Operation], offered: set[Operation]) -> None:
    assert routes_and_services_differ({READ}, {"payment": {READ, CHARGE}}) == []
    assert routes_and_services_differ(routes, {"payment": offered}) != []
